"""What every plug-in of the scene families promises; a new file is tested by existing."""

from __future__ import annotations

import inspect
import io
import json
import pickle
import re
from contextlib import chdir
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, get_args

import brought
import literal
import numpy as np
import pytest
import yaml
from PIL import Image

from miso_gen.geometry import Box
from miso_gen.imports.binarizing import PictureBinarizer
from miso_gen.imports.pictures import read_picture
from miso_gen.planes import Planes
from miso_gen.recipe import (
    BACKGROUNDS,
    BINARIZERS,
    CELLS,
    DEFORMATIONS,
    MORPHOLOGIES,
    POINTS,
    RULES,
    SCENARIOS,
    TISSUES,
    Case,
    EachOwn,
    ImagePlan,
    Plugin,
    Scenario,
    load_recipe,
    plan_images,
)
from miso_gen.recipe.importing import Importing, imported
from miso_gen.recipe.model import Canvas
from miso_gen.recipe.plugins import Evidence
from miso_gen.recipe.problems import NOTHING, Problem
from miso_gen.recipe.slots import default
from miso_gen.recipe.source import item_of
from miso_gen.render import render_box
from miso_gen.rng import NoiseField, Stream
from miso_gen.scene import make_scene
from miso_gen.scene.interfaces import (
    CellularTissue,
    OutlinedMorphologies,
    PaintedBackground,
    ScatteredPoints,
    SceneScenario,
    ShapeDeformation,
)
from miso_gen.scene.textures import array_of

FAMILIES = {
    "scenario": SCENARIOS,
    "background": BACKGROUNDS,
    "morphologies": MORPHOLOGIES,
    "points": POINTS,
    "deformation": DEFORMATIONS,
    "cell": CELLS,
    "rule": RULES,
    "tissue": TISSUES,
    "binarizer": BINARIZERS,
}
EVERY = [(family, name) for family, registry in FAMILIES.items() for name in registry.names()]
HEAD = {"schema": 1, "name": "test", "splits": ["test"], "seed": 5}
SHAPE = (256, 256)
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def cls_of(family: str, name: str) -> type[Plugin]:
    return FAMILIES[family].get(name)


def example_of(cls: type[Plugin]) -> Any:
    """Return the YAML below ``::`` in the docstring."""
    text = inspect.getdoc(cls) or ""
    match = re.search(r"::\n\n((?:    .*\n?)+)", text)
    assert match, f"{cls.__name__} must show an example below '::'"
    return yaml.safe_load(inspect.cleandoc(match[1]))


def plans_of(name: str) -> tuple[ImagePlan, ...]:
    """Plan a scenario with its defaults at 256 px, the lengths of known ones scaled to it."""
    return tuple(literal.plans_of(literal.small(name, SHAPE), SHAPE, seed=5).values())


def scenario_of(plan: ImagePlan) -> Scenario:
    return SCENARIOS.get(plan.type).from_spec(plan.spec)


# --- every family -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_declarations(family: str, name: str) -> None:
    cls = cls_of(family, name)
    assert KEBAB.fullmatch(name)
    assert cls.type_name == name
    assert isinstance(cls.revision, int)
    assert cls.revision >= 1
    assert isinstance(cls.exact, bool)
    assert inspect.getmodule(cls) is not None
    assert re.match(r"[A-Z].*[.]", (inspect.getmodule(cls).__doc__ or "").splitlines()[0])  # type: ignore[union-attr]


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_docstrings_say_what_and_show_an_example(family: str, name: str) -> None:
    cls = cls_of(family, name)
    assert "__doc__" in vars(cls)
    assert re.match(r"\S.*", cls.__doc__ or "")
    assert isinstance(example_of(cls), dict)


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_every_field_is_documented(family: str, name: str) -> None:
    for field, info in cls_of(family, name).model_fields.items():
        assert (info.description or "").strip(), f"{name}.{field}"


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_files_are_named_by_documented_fields(family: str, name: str) -> None:
    cls = cls_of(family, name)
    if issubclass(cls, Importing):
        assert cls.found
        assert set(cls.found) <= cls.model_fields.keys()
        assert not cls.source.model_fields.keys() & cls.model_fields.keys()
        assert all((info.description or "").strip() for info in cls.source.model_fields.values())


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_units_stand_in_field_names(family: str, name: str) -> None:
    """A length says so: no field has a unit in its text only."""
    for field, info in cls_of(family, name).model_fields.items():
        if re.search(r"\b(in|of) (pixels|px)\b", info.description or ""):
            assert field.endswith("_px"), f"{name}.{field}"
        if re.search(r"\bin radians\b", info.description or ""):
            assert field.endswith("_rad"), f"{name}.{field}"


@cache
def imported_spec(family: str, name: str) -> dict[str, Any]:
    """Return the plug-in of the files in ``brought``, after the import."""
    folder = Path(mkdtemp())
    item = item_of({"type": name, **brought.BROUGHT[family, name](folder)})
    problems: list[Problem] = []
    model = cls_of(family, name)
    assert issubclass(model, Importing)
    with chdir(folder):
        found = imported(model, item, problems)
    assert found is not None, problems
    return found.plain()


def made(family: str, name: str) -> list[Plugin]:
    """Return instances: as planned for scenarios; of the defaults and of the example for the others."""
    if family == "scenario":
        return [SCENARIOS.get(name).from_spec(plan.spec) for plan in plans_of(name)[:3]]
    cls = cls_of(family, name)
    if issubclass(cls, Importing):
        assert (family, name) in brought.BROUGHT, f"write files that {name} can import in tests/brought.py"
        return [cls.from_spec(imported_spec(family, name))]
    example = example_of(cls)
    while not (isinstance(example, dict) and "type" in example):
        (example, *_) = example.values() if isinstance(example, dict) else example
        example = {"type": example} if isinstance(example, str) else example
    if any(default(cls_of(family, name), field) is NOTHING for field in cls_of(family, name).model_fields):
        return [cls_of(family, name).from_spec(example)]
    if family in ("cell", "background"):  # with draws in the places of numbers
        family_of = EachOwn(FAMILIES[family])
        return [family_of.validate({"type": name, **spec}).sample(Stream("contract", name)) for spec in ({}, example)]
    return [cls_of(family, name).from_spec(spec) for spec in ({}, example)]


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_specs_go_there_and_back(family: str, name: str) -> None:
    for plugin in made(family, name):
        spec = plugin.to_spec()
        assert spec["type"] == name
        assert set(spec) == {"type", *type(plugin).model_fields}
        assert json.loads(json.dumps(spec, allow_nan=False)) == spec
        again = type(plugin).from_spec(spec)
        assert again == plugin
        assert hash(again) == hash(plugin)  # silhouettes and tiles are cached by it
        assert again.to_spec() == spec
        assert pickle.loads(pickle.dumps(plugin)) == plugin


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_plugins_are_frozen(family: str, name: str) -> None:
    for plugin in made(family, name):
        for field in type(plugin).model_fields:
            with pytest.raises(Exception, match="frozen"):
                setattr(plugin, field, None)


# --- scenarios --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS.names())
class TestScenario:
    def test_facts_about_itself(self, name: str) -> None:
        cls = SCENARIOS.get(name)
        assert issubclass(cls, SceneScenario)
        assert cls.evidence in get_args(Evidence)
        assert all(scenario_of(plan).reason in get_args(Evidence) for plan in plans_of(name))
        assert isinstance(cls.shortcuts, tuple)
        assert all(isinstance(text, str) and text for text in cls.shortcuts)
        assert len(cls.classes) >= 2
        assert len(set(cls.classes)) == len(cls.classes)
        assert all(KEBAB.fullmatch(text) for text in cls.classes)

    def test_the_example_is_a_recipe(self, name: str) -> None:
        example = example_of(SCENARIOS.get(name))
        recipe = load_recipe({**HEAD, "canvas": {"shape": [3072, 3072]}, **example})
        assert {entry.type for entry in recipe.scenarios} == {name}
        assert plan_images(recipe)

    def test_plans_are_plain_data(self, name: str) -> None:
        plans = plans_of(name)
        assert plans
        assert {plan.label for plan in plans} == set(range(len(scenario_of(plans[0]).class_names)))
        assert scenario_of(plans[0]).class_names == SCENARIOS.get(name).classes  # those of the defaults
        for plan in plans:
            assert json.loads(json.dumps(plan.spec)) == plan.spec
            assert json.loads(json.dumps(dict(plan.settings))) == plan.settings
            assert json.loads(json.dumps(dict(plan.params))) == plan.params
            assert pickle.loads(pickle.dumps(plan)) == plan
            assert plan.class_name == scenario_of(plan).class_names[plan.label]

    def test_images(self, name: str) -> None:
        """Shapes, types, levels, and that the object table speaks of what is there."""
        plans = plans_of(name)
        for plan in {plan.label: plan for plan in plans}.values():
            scene = make_scene(plan)
            found = render_box(scene, scene.box)
            assert found.image.shape == (plan.canvas.channels, *SHAPE)
            assert found.image.dtype == np.uint8
            assert found.truth.shape == SHAPE
            assert found.truth.dtype == np.uint8
            assert set(np.unique(found.truth)) <= {0, 1, 2}
            for table in scene.objects:
                assert len(table.ids) == len(table.boxes) == len(set(table.ids.tolist()))
                assert all(len(values) == len(table.ids) for values in table.params.values())
                for top, left, bottom, right in table.boxes.tolist():
                    assert 0 <= top < bottom <= SHAPE[0]
                    assert 0 <= left < right <= SHAPE[1]
            listed = sorted(int(number) for table in scene.objects for number in table.ids)
            if found.instances is None:
                assert len(listed) <= 1
            else:
                assert found.instances.dtype == scene.instances
                assert sorted(set(found.instances[found.instances > 0].tolist())) == listed
                assert np.array_equal(found.instances > 0, found.truth > 0)
            json.dumps(dict(scene.drawn))

    def test_labels_show_in_the_truth_or_are_an_absence(self, name: str) -> None:
        """Only labels that an absence makes true have images without discriminative pixels."""
        for plan in plans_of(name):
            truth = literal.whole(plan).truth
            if not (truth == 2).any():
                assert plan.label in scenario_of(plan).blank_labels

    def test_splits_differ(self, name: str) -> None:
        entry = literal.small(name, SHAPE)
        entry |= {"fuzz": 0.1} if "fuzz" in entry else {}
        train, test = (
            literal.plans_of(entry, SHAPE, splits=["train", "test"])[f"{name}/{split}/0001"] for split in ("train", "test")
        )
        assert not np.array_equal(literal.whole(train).image, literal.whole(test).image)

    def test_other_scenarios_change_nothing(self, name: str) -> None:
        alone = {plan.id: plan for plan in plans_of(name)}
        others = [{**literal.small(other, SHAPE), "name": f"other-{other}"} for other in SCENARIOS.names()]
        channels = literal.channels_of(name)
        others = [other for other in others if channels == 3 or other["type"] not in literal.COLOURED]
        canvas = {"shape": list(SHAPE), "channels": channels}
        recipe = load_recipe({**HEAD, "canvas": canvas, "scenarios": [*others, literal.small(name, SHAPE)]})
        among = {plan.id: plan for plan in plan_images(recipe) if plan.scenario == name}
        assert among == alone

    @pytest.mark.full
    def test_defaults_at_full_size(self, name: str) -> None:
        plans = literal.plans_of(literal.counted(name, scale=6.0), (3072, 3072))  # cells are made for 512 px
        for plan in {plan.label: plan for plan in plans.values()}.values():
            scene = make_scene(plan)
            found = render_box(scene, Box(1024, 1024, 1536, 1536))
            assert found.image.shape == (plan.canvas.channels, 512, 512)


# --- the other families -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", BACKGROUNDS.names())
def test_backgrounds_paint_any_box(name: str, dtype: str, channels: int) -> None:
    shape = (520, 530)
    for background in made("background", name):
        assert isinstance(background, PaintedBackground)
        canvas, noise = Canvas(shape=shape, channels=channels, dtype=dtype), NoiseField("contract", name)

        def painted(
            box: Box, shown: PaintedBackground = background, canvas: Canvas = canvas, noise: NoiseField = noise
        ) -> np.ndarray:
            found = shown.paint(box, canvas, noise)
            assert isinstance(found, Planes) == shown.few_valued
            assert found.dtype == np.dtype(canvas.dtype)
            assert found.shape[:-2] in ((), (canvas.channels,))
            assert found.shape[-2:] == box.shape
            return array_of(found)

        full = painted(Box(0, 0, *shape))
        if dtype == "float32":
            assert full.min() >= 0
            assert full.max() <= 1
        for box in [Box(0, 0, 1, 1), Box(510, 505, 515, 530), Box(3, 0, 4, 530), Box(100, 511, 520, 513)]:
            assert np.array_equal(painted(box), full[..., box.top : box.bottom, box.left : box.right])


@pytest.mark.parametrize("name", BACKGROUNDS.names())
def test_backgrounds_serve_a_scenario(name: str) -> None:
    for channels in (1, 3):
        entry = literal.small("evp", SHAPE, background=name, fuzz=0.0)
        for plan in literal.plans_of(entry, SHAPE, channels=channels).values():
            found = literal.whole(plan)
            assert found.image.shape == (channels, *SHAPE)
            assert (found.image[:, found.truth == 2] == (255 if plan.label else 0)).all()


@pytest.mark.parametrize("name", MORPHOLOGIES.names())
def test_morphologies_draw_what_they_name(name: str) -> None:
    morphologies = made("morphologies", name)[0]
    assert isinstance(morphologies, OutlinedMorphologies)
    names = morphologies.names()
    assert names
    assert len(set(names)) == len(names)
    assert all(KEBAB.fullmatch(shape) for shape in [*names, morphologies.reference])
    for height, width in ((64, 64), (100, 257)):
        for shape in (*names, morphologies.reference):
            for ring in morphologies.rings(shape, height, width):
                assert ring.dtype == np.int64
                assert ring.shape == (len(ring), 2)
                assert len(ring) >= 3
                assert (ring & 1).all()


@pytest.mark.parametrize("name", POINTS.names())
def test_points_keep_their_distance(name: str) -> None:
    for process in made("points", name):
        assert isinstance(process, ScatteredPoints)
        for height, width, distance in ((520, 600, 20), (64, 300, 6)):
            points = process.scatter(height, width, distance, "contract", 1)
            assert points.dtype == np.int64
            assert points.tolist() == sorted(points.tolist())
            assert ((points >= 0) & (points < [height, width])).all()
            apart = ((points[:, None] - points[None]) ** 2).sum(axis=2) + np.eye(len(points), dtype=np.int64) * 10**9
            assert len(points) == 0 or apart.min() >= distance**2
            assert np.array_equal(points, process.scatter(height, width, distance, "contract", 1))
            assert not np.array_equal(points, process.scatter(height, width, distance, "contract", 2))


@pytest.mark.parametrize("name", DEFORMATIONS.names())
def test_deformations_yield_silhouettes_of_the_canvas(name: str) -> None:
    height, width = 150, 190
    rings = MORPHOLOGIES.get("builtin")().rings("canary", height, width)  # type: ignore[attr-defined]
    for deformation in made("deformation", name):
        assert isinstance(deformation, ShapeDeformation)
        assert re.fullmatch(r"[a-z0-9.-]+", deformation.label)
        before = [ring.copy() for ring in rings]
        shape = deformation.deform(rings, height, width)
        assert all(np.array_equal(a, b) for a, b in zip(before, rings, strict=True))
        mask = shape.mask(Box(0, 0, height, width))
        if mask is None:  # the example's translation is one of 3,072 px
            assert shape.area == 0
            continue
        full = mask.unpack()
        assert full.shape == (height, width)
        assert full.sum() == shape.area
        for box in Box(0, 0, height, width).tiles(41, 53):
            crop = shape.mask(box)
            assert np.array_equal(np.zeros(box.shape) if crop is None else crop.unpack(), full[box.slices])


@pytest.mark.parametrize("name", TISSUES.names())
def test_tissues_show_the_cells_that_they_list(name: str) -> None:
    for tissue in made("tissue", name):
        assert isinstance(tissue, CellularTissue)
        splits = ["train", "test"]
        for split in splits:
            variants = list(islice(tissue.variants([Case(0)], tissue.samples_in(split, splits)), tissue.images_in(split)))
            assert {variant.label for variant in variants} == set(range(len(tissue.class_names)))
        for plan in list(literal.plans_of({"type": "tissue", "tissue": tissue.to_spec()}, SHAPE, splits=splits).values())[:3]:
            cells = tissue.cells(plan)
            assert (cells.runs.height, cells.runs.width) == SHAPE
            ids = cells.runs.objects.tolist()
            assert ids == list(range(1, len(ids) + 1))
            assert sorted(np.concatenate([table.ids for table in cells.objects]).tolist()) == ids
            boxes = {i: box for table in cells.objects for i, box in zip(table.ids.tolist(), table.boxes.tolist(), strict=True)}
            assert [boxes[i] for i in ids] == cells.runs.boxes.tolist()
            assert cells.telling is None or set(cells.telling.tolist()) <= set(ids)
            again = tissue.cells(plan)
            assert np.array_equal(again.runs.ids, cells.runs.ids)
            assert np.array_equal(again.runs.first, cells.runs.first)


@pytest.mark.parametrize("name", BINARIZERS.names())
def test_binarizers_tell_black_from_white(name: str) -> None:
    """A picture that every rule understands: a black square, opaque, on white that is transparent."""
    values = np.full((40, 60, 2), (255, 0), np.uint8)
    values[10:30, 15:40] = (0, 255)
    file = io.BytesIO()
    Image.fromarray(values, "LA").save(file, "PNG")
    for binarizer in made("binarizer", name):
        assert isinstance(binarizer, PictureBinarizer)
        binarizer.check(["square", "cat"])  # the names in examples
        found = binarizer.binarize(read_picture(file.getvalue()), "square")
        assert found.dtype == np.bool_
        assert np.array_equal(found, values[..., 1] == 255)
