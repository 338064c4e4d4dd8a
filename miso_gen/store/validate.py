"""Our own rules for images and stores: what the OME-Zarr validators do not look at. One rule is one function."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count, pairwise, takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.contents import content_path
from miso_gen.errors import MisoGenError
from miso_gen.geometry import Box
from miso_gen.store.arrays import StoredArray
from miso_gen.store.digests import ROOT_FIELDS, BlockDigests, array_digest, block_digest, root_digest
from miso_gen.store.imports import is_sound
from miso_gen.store.layout import BLOCK, CELL, INSTANCE_DTYPES, PIXEL_DTYPES, PYRAMID_END
from miso_gen.store.opening import open_store
from miso_gen.store.pyramid import halve_label, halve_mean
from miso_gen.store.read import Dataset, ImageView
from miso_gen.store.root import read_root
from miso_gen.store.summary import image_cells, truth_cells
from miso_gen.store.target import open_target

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from miso_gen.store.layout import ArrayName
    from miso_gen.store.target import Target

_STEP = 4096  #: columns looked at together


@dataclass(frozen=True)
class Problem:
    """A rule that something breaks.

    Attributes:
        where: The image id or the path.
        rule: Name of the rule.
        message: What was found.
    """

    where: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.message}"


@dataclass
class _Facts:
    """An image, and what its pixels say."""

    view: ImageView
    arrays: dict[ArrayName, list[StoredArray]]
    digests: dict[str, str] = field(default_factory=dict)
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    summary: NDArray[np.uint64] | None = None
    strange_truth: int = 0
    strange_instances: int = 0

    @property
    def miso(self) -> Mapping[str, Any]:
        return self.view.attributes


def validate_image(location: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> list[Problem]:
    """Return what is wrong with one image, given by the folder or URL of its group; every pixel is read."""
    text = str(location).rstrip("/")
    parent, _, name = text.rpartition("/")
    return _image_problems(ImageView(open_target(parent or ".", options), name))


def validate_store(location: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> list[Problem]:
    """Return what is wrong with a store and all its images; an empty list means it is sound.

    Raises:
        StoreError: There is no store at all, or one of a newer layout.
    """
    return validate_target(open_store(location, options))


def validate_target(target: Target) -> list[Problem]:
    """Return what is wrong with the store of a target; see :func:`validate_store`."""
    root = read_root(target)
    try:
        dataset = Dataset(target, root)
    except MisoGenError as error:
        return [Problem(target.describe(""), "readable", str(error))]
    problems = [Problem(target.describe(""), rule.__name__, message) for rule in STORE_RULES for message in rule(dataset)]
    for image_id in dataset.ids:
        view = dataset[image_id]
        found = _image_problems(view)
        problems += found
        if not any(problem.rule == "readable" for problem in found):
            row = {str(key): value for key, value in dataset.table[dataset.table["image_id"] == image_id].iloc[0].items()}
            problems += [Problem(image_id, "index_equals_attributes", m) for m in index_equals_attributes(view, row)]
    return problems


def _image_problems(view: ImageView) -> list[Problem]:
    where = view.target.describe(view.path)
    try:
        where = view.id
        facts = _Facts(view, _arrays(view))
        shape_rules = [Problem(where, rule.__name__, m) for rule in METADATA_RULES for m in rule(facts)]
        if shape_rules:
            return shape_rules  # pixels that do not fit together can't be compared
        _look(facts)
        return [Problem(where, rule.__name__, message) for rule in PIXEL_RULES for message in rule(facts)]
    except MisoGenError as error:
        return [Problem(where, "readable", str(error))]


def _arrays(view: ImageView) -> dict[ArrayName, list[StoredArray]]:
    names: list[ArrayName] = ["image", "truth"]
    if view.record.instances_digest is not None:
        names.append("instances")
    return {name: [view.array(name, level) for level in _levels(view.target, view.path, name)] for name in names}


def _levels(target: Target, path: str, name: ArrayName) -> range:
    folder = path if name == "image" else f"{path}/labels/{name}"
    present = (target.size(f"{folder}/{level}/zarr.json") is not None for level in count())  # web servers list nothing
    return range(max(1, sum(1 for _ in takewhile(bool, present))))


def _look(facts: _Facts) -> None:
    """Read every pixel of level 0 once, some blocks at a time."""
    arrays = {name: levels[0] for name, levels in facts.arrays.items()}
    height, width = arrays["truth"].shape
    blocks = {name: BlockDigests(array.dtype.name, array.shape) for name, array in arrays.items()}
    facts.summary = np.zeros((3, -(-height // CELL), -(-width // CELL)), np.uint64)
    for top in range(0, height, BLOCK):
        for left in range(0, width, _STEP):
            box = Box(top, left, min(height, top + BLOCK), min(width, left + _STEP))
            pixels = {name: array.read(box) for name, array in arrays.items()}
            for name, plane in pixels.items():
                for col in range(0, box.width, BLOCK):
                    block = np.ascontiguousarray(plane[..., col : col + BLOCK])
                    blocks[name].add(top // BLOCK, (left + col) // BLOCK, block_digest(block))
            truth = pixels["truth"]
            facts.strange_truth += int(np.count_nonzero(truth > 2))
            if "instances" in pixels:
                facts.strange_instances += int(np.count_nonzero((pixels["instances"] > 0) & (truth == 0)))
            cells, counts = image_cells(pixels["image"]), truth_cells(np.minimum(truth, np.uint8(2)))
            rows = slice(top // CELL, top // CELL + counts.ones.shape[0])
            cols = slice(left // CELL, left // CELL + counts.ones.shape[1])
            facts.summary[:, rows, cols] = cells.sums, counts.ones, counts.twos
            facts.histogram += cells.histogram
    facts.digests = {name: digests.hexdigest() for name, digests in blocks.items()}


def equal_shapes(facts: _Facts) -> Iterator[str]:
    """Image and labels have the same height and width on every level, the ones the attributes name."""
    expected = facts.view.shape
    if facts.arrays["image"][0].shape != expected:
        yield f"image must have shape {expected}, got {facts.arrays['image'][0].shape}"
    for name, levels in facts.arrays.items():
        for level, array in enumerate(levels[: len(facts.arrays["image"])]):
            shape = facts.arrays["image"][level].shape[1:]
            if array.shape[-2:] != shape:
                yield f"{name} on level {level} must be {shape}, got {array.shape[-2:]}"
    cells = (3, *(-(-size // CELL) for size in expected[1:]))
    summary = StoredArray(facts.view.target, f"{facts.view.path}/summary").shape
    if summary != cells:
        yield f"summary must have shape {cells}, got {summary}"


def equal_levels(facts: _Facts) -> Iterator[str]:
    """Image and labels have the same number of levels, halved until the longer side is at most 4096 px."""
    sizes = [facts.view.shape[1:]]
    while max(sizes[-1]) > PYRAMID_END:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    for name, levels in facts.arrays.items():
        if len(levels) != len(sizes):
            yield f"{name} must have {len(sizes)} levels, got {len(levels)}"
            continue
        for level, (array, size) in enumerate(zip(levels, sizes, strict=True)):
            if array.shape[-2:] != size:
                yield f"{name} on level {level} must be {size}, got {array.shape[-2:]}"


def right_dtypes(facts: _Facts) -> Iterator[str]:
    """Pixels are uint8, uint16 or float32, truth uint8, instances uint16 or uint32, and levels agree."""
    allowed = {"image": PIXEL_DTYPES, "truth": ("uint8",), "instances": INSTANCE_DTYPES}
    for name, levels in facts.arrays.items():
        for level, array in enumerate(levels):
            if array.dtype.name not in allowed[name] or array.dtype != levels[0].dtype:
                yield f"{name} on level {level} must be {' or '.join(allowed[name])}, got {array.dtype.name}"
    if facts.arrays["image"][0].dtype.name != facts.miso["dtype"]:
        yield f"image must be {facts.miso['dtype']}, got {facts.arrays['image'][0].dtype.name}"


def right_dimension_names(facts: _Facts) -> Iterator[str]:
    """Arrays name their axes: (c, y, x) for images, (y, x) for labels."""
    for name, levels in facts.arrays.items():
        expected = ("c", "y", "x") if name == "image" else ("y", "x")
        for level, array in enumerate(levels):
            if array.layout.dimension_names != expected:
                yield f"{name} on level {level} must name {expected}, got {array.layout.dimension_names}"


def truth_values(facts: _Facts) -> Iterator[str]:
    """Truth holds 0, 1 and 2 only."""
    if facts.strange_truth:
        yield f"truth must hold 0, 1 and 2 only, got {facts.strange_truth} px of other values"


def instances_inside_truth(facts: _Facts) -> Iterator[str]:
    """Instances are 0 where the truth is 0."""
    if facts.strange_instances:
        yield f"instances must be 0 where truth is 0, got {facts.strange_instances} px that are not"


def digests_equal_pixels(facts: _Facts) -> Iterator[str]:
    """The digests in the attributes are those of the pixels."""
    stored = facts.miso["digests"]
    for name, digest in facts.digests.items():
        if stored.get(name) != digest:
            yield f"digest of {name} must be {stored.get(name)}, got {digest}"
    if "objects" in stored:
        objects = facts.view.objects
        digest = array_digest(objects.stored()) if objects is not None else "nothing"
        if digest != stored["objects"]:
            yield f"digest of objects must be {stored['objects']}, got {digest}"


def summary_equals_pixels(facts: _Facts) -> Iterator[str]:
    """The stored summary is that of the pixels."""
    if facts.summary is not None and not np.array_equal(facts.summary, facts.view.summary):
        yield f"summary must equal the pixels, got {int((facts.summary != facts.view.summary).sum())} other numbers"


def histogram_equals_pixels(facts: _Facts) -> Iterator[str]:
    """Histogram and truth shares in the attributes are those of the pixels."""
    if facts.histogram.tolist() != facts.miso["histogram"]:
        yield "histogram must equal the pixels, got another"
    if facts.summary is not None:
        pixels = facts.view.shape[1] * facts.view.shape[2]
        for place in (1, 2):
            share = int(facts.summary[place].sum()) / pixels
            if share != facts.miso[f"truth_{place}_share"]:
                yield f"truth_{place}_share must be {share}, got {facts.miso[f'truth_{place}_share']}"


def levels_equal_level_0(facts: _Facts) -> Iterator[str]:
    """Every level is made from the one below it."""
    for name, levels in facts.arrays.items():
        halve = halve_mean if name == "image" else halve_label
        for level, (below, array) in enumerate(pairwise(levels), start=1):
            height, width = array.shape[-2:]
            for top in range(0, height, BLOCK):
                bottom = min(height, top + BLOCK)
                fine = below.read(Box(2 * top, 0, min(below.shape[-2], 2 * bottom), below.shape[-1]))
                if not np.array_equal(halve(fine), array.read(Box(top, 0, bottom, width))):
                    yield f"{name} on level {level} must be made from level {level - 1}, got others at row {top}"
                    break


def index_equals_attributes(view: ImageView, row: Mapping[str, Any]) -> Iterator[str]:
    """The row of the index says what the image's attributes say."""
    expected = {"path": view.path, **view.record.row()}
    expected |= {name: None for name in row if name.startswith("params.") and name not in expected}
    for name, value in expected.items():
        got = _plain(row.get(name))
        if name == "histogram" and got is not None:
            got = list(got)
        if got != value and not (name.startswith("params.") and _same_parameter(got, value)):
            yield f"{name} must be {value!r}, got {got!r}"


def _same_parameter(got: Any, value: Any) -> bool:
    """Whether a column holds a value: its type depends on the other images, and may be JSON text, or float."""
    if isinstance(value, int | float) and isinstance(got, int | float):
        return float(got) == float(value)
    return bool(got == json.dumps(value, sort_keys=True, ensure_ascii=False))


def root_digest_equals_index(dataset: Dataset) -> Iterator[str]:
    """The root digest covers the index."""
    rows = [{name: _plain(row[name]) for name in ROOT_FIELDS} for row in dataset.table.to_dict("records")]
    digest = root_digest(rows)
    if dataset.root.complete and digest != dataset.root_digest:
        yield f"root digest must be {dataset.root_digest}, got {digest}"


def imports_are_there(dataset: Dataset) -> Iterator[str]:
    """What the recipe imported is in the store, and is what its digests say."""
    for digest in dataset.root.imports:
        if not is_sound(dataset.target, digest):
            yield f"{content_path(digest)} must be a content of this digest, got none or another"


def _plain(value: Any) -> Any:
    """Return a value of a table as JSON has it; arrays stay."""
    if isinstance(value, np.ndarray):
        return value
    if value is None or value != value:
        return None
    return value.item() if isinstance(value, np.generic) else value


METADATA_RULES: tuple[Callable[[_Facts], Iterator[str]], ...] = (
    equal_levels,
    equal_shapes,
    right_dtypes,
    right_dimension_names,
)
PIXEL_RULES: tuple[Callable[[_Facts], Iterator[str]], ...] = (
    truth_values,
    instances_inside_truth,
    digests_equal_pixels,
    summary_equals_pixels,
    histogram_equals_pixels,
    levels_equal_level_0,
)
STORE_RULES: tuple[Callable[[Dataset], Iterator[str]], ...] = (root_digest_equals_index, imports_are_there)
