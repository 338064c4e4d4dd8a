"""The table of patches: against pixels, patch by patch, for all scenarios, pixel types and sizes."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import brought
import literal
import numpy as np
import pandas as pd
import pytest
from building import small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miso_gen.build import build
from miso_gen.data.grid import grid_patches
from miso_gen.data.patches import COLUMNS, PatchTable, PixelMean, patch_table
from miso_gen.errors import InputError, UnknownNameError
from miso_gen.recipe import load_recipe
from miso_gen.store import Dataset, open_dataset

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (300, 280)
SIZES = (32, 48, 96, 50)  # 48: grid 0 from the summary, the shifted one from pixels; 50: all from pixels
KEYS = ("grid", "i", "j", "row", "col")


def _few(type_: str) -> dict[str, Any]:
    """Return a scenario of a few images."""
    entry = literal.small(type_, SHAPE, only=("canary",) if type_ != "md" else ("canary", "teapot"))
    if type_ == "cell":
        entry["images"] = 10
    if type_ == "tissue":
        entry["tissue"] = {**entry["tissue"], "images": 2}
    return entry


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """Build all scenarios, in all pixel types, with one channel and with three."""
    folder = tmp_path_factory.mktemp("stores")
    canvases: dict[str, tuple[dict[str, Any], list[str]]] = {
        "uint8": ({}, ["evp", "dsp", "md", "evsp", "gsp", "fm", "tissue"]),
        "uint16": ({"channels": 3, "dtype": "uint16"}, ["cell", "cell-field", "tissue", "gsp"]),
        "float32": ({"channels": 3, "dtype": "float32"}, ["cell-field", "dsp"]),
    }
    for name, (canvas, types) in canvases.items():
        recipe = {
            "schema": 1,
            "name": name,
            "seed": 2022,
            "canvas": {"shape": list(SHAPE), **canvas},
            "splits": ["test"],
            "scenarios": [_few(type_) for type_ in types],
        }
        build(load_recipe(recipe), folder / name, workers=1)
    return {name: open_dataset(folder / name) for name in canvases}


@pytest.fixture(scope="module")
def mini(stores: dict[str, Dataset]) -> Dataset:
    return stores["uint8"]


def from_pixels(dataset: Dataset, image_id: str, size: int, shift: Any, positive: int = 2) -> list[dict[str, Any]]:
    """Return what the table should say of each patch of an image, by looking at the patch."""
    image, truth = dataset[image_id].read()
    if image.dtype == np.float32:
        numbers, top = np.floor(image.astype(np.float64) * 65535 + 0.5), 65535
    else:
        numbers, top = image.astype(np.int64), np.iinfo(image.dtype).max
    patches, found = grid_patches(*truth.shape, size, shift), []
    for grid, i, j, row, col in zip(*(getattr(patches, key).tolist() for key in KEYS), strict=True):
        place = slice(row, row + size), slice(col, col + size)
        found.append(
            {
                **dict(zip(KEYS, (grid, i, j, row, col), strict=True)),
                "object_share": np.count_nonzero(truth[place] >= 1) / size**2,
                "evidence_share": np.count_nonzero(truth[place] >= positive) / size**2,
                "pixel_mean": int(numbers[:, *place].sum()) / (size**2 * len(image) * top),
            }
        )
    return found


def rows_of(table: PatchTable, image: int) -> list[dict[str, Any]]:
    """Return the rows of an image, but its number and labels."""
    mine = table.image == image
    keys = [key for key in COLUMNS if key not in ("image", "label")]
    columns = [getattr(table, key)[mine].tolist() for key in keys]
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shift", ["half", "none", "legacy"])
@pytest.mark.parametrize("store", ["uint8", "uint16", "float32"])
def test_the_table_is_what_pixels_show(stores: dict[str, Dataset], store: str, size: int, shift: Any) -> None:
    dataset = stores[store]
    for positive in (1, 2):
        table = patch_table(dataset, dataset.ids, size=size, shift=shift, background="keep", positive=positive)
        assert table.ids == tuple(dataset.ids)
        for number, image_id in enumerate(dataset.ids):
            assert rows_of(table, number) == from_pixels(dataset, image_id, size, shift, positive), image_id
            assert set(table.label[table.image == number].tolist()) == {dataset[image_id].attributes["label"]}
    assert {getattr(table, key).dtype.name for key in COLUMNS[:7]} == {"int64"}
    assert {getattr(table, key).dtype.name for key in COLUMNS[7:]} == {"float64"}


def test_the_mean_of_floats_is_near_that_of_pixels(stores: dict[str, Dataset]) -> None:
    dataset = stores["float32"]
    table = patch_table(dataset, dataset.ids[:3], size=96, shift="none", background="keep")
    for number, image_id in enumerate(table.ids):
        image = dataset[image_id].image.all()
        for row, col, mean in zip(
            *(getattr(table.where(table.image == number), key) for key in (*KEYS[3:], "pixel_mean")), strict=True
        ):
            assert abs(image[:, row : row + 96, col : col + 96].astype(np.float64).mean() - mean) <= 0.5 / 65535 + 1e-12


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(8, 320), st.sampled_from(["half", "none", "legacy"]))
def test_any_size(mini: Dataset, size: int, shift: Any) -> None:
    image_id = "md/test/0003"
    table = patch_table(mini, [image_id], size=size, shift=shift, background="keep")
    assert rows_of(table, 0) == from_pixels(mini, image_id, size, shift)


def test_tiles_join(mini: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read in many tiles is what is read at once."""
    for size in (32, 50):
        whole = patch_table(mini, mini.ids[:4], size=size, background="keep")
        for tile in (1, 5, 110):
            monkeypatch.setattr("miso_gen.data.shares._TILE", tile)
            cut = patch_table(mini, mini.ids[:4], size=size, background="keep")
            assert all(np.array_equal(getattr(cut, key), getattr(whole, key)) for key in COLUMNS)
            monkeypatch.undo()


def test_pixels_are_not_read_where_the_summary_knows(mini: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("pixels were read")

    monkeypatch.setattr("miso_gen.data.shares._pixel_planes", refuse)
    assert len(patch_table(mini, mini.ids, size=96)) > 0
    assert len(patch_table(mini, mini.ids, size=48, shift="none")) > 0
    with pytest.raises(AssertionError, match="pixels were read"):
        patch_table(mini, mini.ids, size=48)


# --- background -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_background_is_left_out_by_object_share(mini: Dataset, size: int) -> None:
    for min_share in (0.0, 0.1, 0.5):
        table = patch_table(mini, mini.ids, size=size, min_share=min_share)
        for number, image_id in enumerate(mini.ids):
            wanted = [row for row in from_pixels(mini, image_id, size, "half") if row["object_share"] > min_share]
            assert rows_of(table, number) == wanted
    assert len(table) > 0


def test_a_share_that_is_just_the_least_is_too_little(mini: Dataset) -> None:
    table = patch_table(mini, mini.ids, size=32, background="keep")
    share = float(np.unique(table.object_share[(table.object_share > 0) & (table.object_share < 1)])[5])
    kept = patch_table(mini, mini.ids, size=32, min_share=share)
    assert kept.object_share.min() > share
    assert len(kept) == np.count_nonzero(table.object_share > share)


@pytest.mark.parametrize("rule", [PixelMean(), PixelMean(0.0, 0.05), PixelMean(0.3, 0.2)])
def test_background_is_left_out_by_pixel_mean(stores: dict[str, Dataset], rule: PixelMean) -> None:
    for dataset in stores.values():
        table = patch_table(dataset, dataset.ids, size=48, background=rule)
        left = 0
        for number, image_id in enumerate(dataset.ids):
            all_of_it = from_pixels(dataset, image_id, 48, "half")
            wanted = [row for row in all_of_it if not abs(row["pixel_mean"] - rule.value) < rule.margin]
            assert rows_of(table, number) == wanted
            left += len(all_of_it) - len(wanted)
        assert left > 0


def test_the_margin_itself_is_kept(mini: Dataset) -> None:
    table = patch_table(mini, mini.ids[:1], size=32, background="keep")
    mean = float(table.pixel_mean[0])
    margin = abs(mean - 0.25)
    assert mean in patch_table(mini, mini.ids[:1], size=32, background=PixelMean(0.25, margin)).pixel_mean
    above = float(np.nextafter(margin, 1))
    assert mean not in patch_table(mini, mini.ids[:1], size=32, background=PixelMean(0.25, above)).pixel_mean


# --- labels -----------------------------------------------------------------------------------------------------------


def true_label(scenario: str, label: int, evidence: float, min_share: float, names: tuple[str, ...]) -> int:
    """Return the label of a patch from its own truth, as docs say."""
    absence = {"gsp": 0, "cell": names.index("none"), "cell-field": 0}.get(scenario)
    if label == absence:
        return label
    if evidence > min_share:
        return label
    if evidence == 0 and absence is not None:
        return absence
    return -1


@pytest.mark.parametrize("store", ["uint8", "uint16"])
@pytest.mark.parametrize("min_share", [0.0, 0.1])
def test_labels_from_the_truth(stores: dict[str, Dataset], store: str, min_share: float) -> None:
    dataset = stores[store]
    names = {
        int(label): name for label, name in dataset.table[dataset.table["scenario"] == "cell"][["label", "class_name"]].values
    }
    cells = tuple(names[label] for label in sorted(names)) or ("none",)
    table = patch_table(dataset, dataset.ids, size=32, background="keep", labels="truth", min_share=min_share)
    wanted = []
    for image_id in dataset.ids:
        label = int(dataset[image_id].attributes["label"])
        scenario = image_id.split("/")[0]
        shares = [row["evidence_share"] for row in from_pixels(dataset, image_id, 32, "half")]
        wanted += [true_label(scenario, label, share, min_share, cells) for share in shares]
    assert table.label.tolist() == wanted
    assert (table.label == -1).any()
    assert (table.label >= 0).any()
    inherited = patch_table(dataset, dataset.ids, size=32, background="keep", min_share=min_share)
    assert all(np.array_equal(getattr(inherited, key), getattr(table, key)) for key in COLUMNS if key != "label")


def test_intact_patches_of_a_guilty_image(mini: Dataset) -> None:
    guilty = [image_id for image_id in mini.ids if image_id.startswith("gsp") and mini[image_id].attributes["label"] == 1]
    table = patch_table(mini, guilty, size=32, labels="truth")
    assert set(table.label.tolist()) == {-1, 0, 1}
    assert (table.evidence_share[table.label == 1] > 0.1).all()
    assert (table.evidence_share[table.label == 0] == 0).all()
    assert (table.evidence_share[table.label == -1] > 0).all()


def test_several_absences_are_told_by_the_image_alone(mini: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    gsp = [image_id for image_id in mini.ids if image_id.startswith("gsp")]
    labels = np.array([mini[image_id].attributes["label"] for image_id in gsp])
    for blank, wanted in (({0, 7}, {0: {0}, 1: {-1, 1}}), ({0, 1}, {0: {0}, 1: {1}}), ({7, 8}, {0: {-1}, 1: {-1, 1}})):
        monkeypatch.setattr("miso_gen.data.patches._blank_labels", lambda *_, blank=blank: {"gsp": frozenset(blank)})
        table = patch_table(mini, gsp, size=32, background="keep", labels="truth")
        assert {label: set(table.label[labels[table.image] == label].tolist()) for label in (0, 1)} == wanted


def test_labels_from_the_object(mini: Dataset) -> None:
    """With positive=1 an object is evidence of the label of its image, whatever makes that."""
    gsp = [image_id for image_id in mini.ids if image_id.startswith("gsp")]
    table = patch_table(mini, gsp, size=32, background="keep", labels="truth", positive=1)
    labels = np.array([mini[image_id].attributes["label"] for image_id in gsp])[table.image]
    assert np.array_equal(table.label, np.where(table.object_share > 0.1, labels, -1))


def test_evidence_that_nobody_knows(tmp_path: Path) -> None:
    tissue = {**brought.masks(tmp_path), "table": str(tmp_path / "samples.csv")}
    head = {"schema": 1, "name": "mine", "seed": 1, "canvas": {"shape": [256, 256]}, "splits": ["train", "test"]}
    (tmp_path / "mine.yaml").write_text(json.dumps({**head, "scenarios": [{"type": "tissue", "tissue": tissue}]}))
    build(tmp_path / "mine.yaml", tmp_path / "out", workers=1)
    dataset = open_dataset(tmp_path / "out")
    assert not dataset.table["truth_2_known"].any()
    table = patch_table(dataset, dataset.ids, size=64)
    assert np.isnan(table.evidence_share).all()
    assert (table.object_share > 0.1).all()
    ones = patch_table(dataset, dataset.ids, size=64, labels="truth", positive=1)
    assert np.array_equal(ones.evidence_share, ones.object_share)
    with pytest.raises(InputError, match=r"labels='truth' must have images whose evidence is known, got tissue/.*Use labels="):
        patch_table(dataset, dataset.ids, size=64, labels="truth")


# --- the table --------------------------------------------------------------------------------------------------------


def test_counts_of_the_released_code(mini: Dataset) -> None:
    table = patch_table(mini, mini.ids, size=48, shift="legacy", background="keep")
    assert np.bincount(table.image).tolist() == [2 * (300 // 48) * (280 // 48)] * len(mini)


def test_images_come_in_the_order_asked_for(mini: Dataset) -> None:
    ids = [mini.ids[7], mini.ids[2]]
    table = patch_table(mini, iter(ids), size=96, background="keep")
    assert table.ids == tuple(ids)
    assert table.shapes == (SHAPE, SHAPE)
    for number, image_id in enumerate(ids):
        assert rows_of(table, number) == from_pixels(mini, image_id, 96, "half")


def test_frame_for_people(mini: Dataset) -> None:
    table = patch_table(mini, mini.ids, size=96)
    frame = table.frame()
    assert list(frame) == ["image_id", "scenario", "split", *COLUMNS[1:]]
    for name in COLUMNS[1:]:
        assert np.array_equal(frame[name], getattr(table, name))
    assert frame["image_id"].tolist() == [mini.ids[number] for number in table.image.tolist()]
    known = mini.table.set_index("image_id").loc[frame["image_id"]]
    assert frame["scenario"].tolist() == known["scenario"].tolist()
    assert frame["split"].tolist() == known["split"].tolist()


def test_where_keeps_images(mini: Dataset) -> None:
    table = patch_table(mini, mini.ids, size=96)
    part = table.where(table.pixel_mean > 0.6)
    assert part.ids == table.ids
    assert (part.size, part.shift, part.positive) == (96, "half", 2)
    assert 0 < len(part) < len(table)
    pd.testing.assert_frame_equal(part.frame(), table.frame()[table.pixel_mean > 0.6].reset_index(drop=True))
    assert table.where([3, 1]).row.tolist() == [table.row[3], table.row[1]]


def test_no_images_and_no_patches(mini: Dataset) -> None:
    for table in (patch_table(mini, []), patch_table(mini, mini.ids, size=320), patch_table(mini, mini.ids, min_share=1.0)):
        assert len(table) == 0
        assert len(table.frame()) == 0
        assert {getattr(table, key).dtype.name for key in COLUMNS[:7]} == {"int64"}
        assert {getattr(table, key).dtype.name for key in COLUMNS[7:]} == {"float64"}


def test_tables_pickle(mini: Dataset) -> None:
    table = patch_table(mini, mini.ids, size=96)
    other = pickle.loads(pickle.dumps(table))
    pd.testing.assert_frame_equal(other.frame(), table.frame())
    assert repr(other) == repr(table) == f"PatchTable({len(table)} patches of 96 px of {len(mini)} images, shift 'half')"


def test_stores_under_a_url(mini: Dataset) -> None:
    build(small(scenarios=["gsp"]), "memory://patches", workers=1)
    remote = open_dataset("memory://patches")
    table = patch_table(remote, remote.ids, size=96, background="keep")
    for number, image_id in enumerate(remote.ids):
        assert rows_of(table, number) == from_pixels(remote, image_id, 96, "half")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "size of patches must be a whole number of pixels from 2, got 1"),
        ({"shift": "full"}, "shift must be one of half, none, legacy, got 'full'"),
        ({"background": "black"}, "background must be 'drop', 'keep' or a PixelMean, got 'black'"),
        ({"labels": "own"}, "labels must be 'inherit' or 'truth', got 'own'"),
        ({"positive": 3}, "positive must be 1 or 2, got 3"),
        ({"min_share": 1.5}, r"min_share must be in \[0, 1\], got 1\.5"),
        ({"min_share": float("nan")}, r"min_share must be in \[0, 1\], got nan"),
    ],
)
def test_arguments_that_cannot_be(mini: Dataset, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        patch_table(mini, mini.ids[:1], **options)


def test_ids_that_cannot_be(mini: Dataset) -> None:
    with pytest.raises(UnknownNameError, match="image must be one of"):
        patch_table(mini, ["evp/test/9999"])
    with pytest.raises(InputError, match=r"ids must be different, got evp/test/0001 more than once\. Name each image once\."):
        patch_table(mini, ["evp/test/0001", "evp/test/0002", "evp/test/0001"])
