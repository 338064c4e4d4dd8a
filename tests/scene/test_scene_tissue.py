"""The scenario tissue over masks that users bring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brought
import numpy as np
import pytest
import tifffile
import yaml

from miso_gen.errors import MisoGenWarning, RecipeError
from miso_gen.recipe import Recipe, load_recipe, plan_images
from miso_gen.render import render_box
from miso_gen.scene import make_scene

HEAD = {"schema": 1, "name": "mine", "canvas": {"shape": [256, 256]}, "splits": ["train", "test"]}


def load(folder: Path, tissue: dict[str, Any], **head: Any) -> Recipe:
    """Write a recipe beside the files, and load it."""
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**HEAD, **head, "scenarios": [{"type": "tissue", "tissue": tissue}]}))
    return load_recipe(folder / "recipe.yaml")


def write(folder: Path, rows: list[str], **masks: np.ndarray) -> None:
    for name, mask in masks.items():
        tifffile.imwrite(folder / f"{name}.tif", mask)
    (folder / "samples.csv").write_text("\n".join(rows) + "\n", "utf-8")


def shown(recipe: Recipe) -> dict[str, Any]:
    """Return plan, scene and whole render of every image, by the name of its sample."""
    out = {}
    for plan in plan_images(recipe):
        scene = make_scene(plan)
        out[plan.morphology] = (plan, scene, render_box(scene, scene.box))
    return out


def middle(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    top = (mask.shape[0] - height + 1) // 2
    left = (mask.shape[1] - width + 1) // 2
    return mask[top : top + height, left : left + width]


def test_masks_become_images_truth_and_objects(tmp_path: Path) -> None:
    found = shown(load(tmp_path, brought.masks(tmp_path)))
    assert len(found) == 10
    for number in range(10):
        plan, scene, drawn = found[f"{number:02d}"]
        mask = middle(brought.labels(seed=number), 256, 256)
        assert plan.class_name == "ab"[number % 2]
        assert np.array_equal(drawn.image[0], np.where(mask > 0, 255, 0))
        assert np.array_equal(drawn.truth, np.where(mask > 0, 2, 0))
        assert not scene.truth_2_known
        ids = np.unique(mask[mask > 0])
        assert np.array_equal(drawn.instances, np.searchsorted(ids, mask) * (mask > 0) + (mask > 0))
        (cells,) = scene.objects
        assert cells.kind == "cell"
        assert cells.params["area_px"].tolist() == [int((mask == one).sum()) for one in ids]


def test_groups_stay_in_a_split_and_every_split_has_every_class(tmp_path: Path) -> None:
    tissue = brought.masks(tmp_path, 40) | {"columns": {"group": "patient"}, "shares": {"train": 0.75, "test": 0.25}}
    plans = plan_images(load(tmp_path, tissue))
    splits: dict[str, set[str]] = {}
    for plan in plans:
        splits.setdefault(str(plan.params["group"]), set()).add(plan.split)
    assert set(map(len, splits.values())) == {1}
    assert [sum(plan.split == "test" and plan.label == label for plan in plans) for label in (0, 1)] == [5, 5]
    other = plan_images(load(tmp_path, tissue | {"split_seed": 1}))
    assert {p.morphology: p.split for p in plans} != {p.morphology: p.split for p in other}


def test_the_table_may_say_the_split_and_the_order_of_classes(tmp_path: Path) -> None:
    mask = brought.labels()
    write(
        tmp_path,
        ["mask;class;where", *(f"m{n}.tif;{'ab'[n % 2]};{'test' if n < 2 else 'train'}" for n in range(4))],
        **dict.fromkeys(("m0", "m1", "m2", "m3"), mask),
    )
    tissue = {"type": "masks", "table": "samples.csv", "columns": {"split": "where"}, "classes": ["b", "a"]}
    plans = {plan.morphology: plan for plan in plan_images(load(tmp_path, tissue))}
    assert {name: (plan.split, plan.label) for name, plan in plans.items()} == {
        "m0": ("test", 1), "m1": ("test", 0), "m2": ("train", 1), "m3": ("train", 0)
    }  # fmt: skip
    with pytest.raises(RecipeError, match="classes must be those of the table, a, b, got a, c"):
        load(tmp_path, tissue | {"classes": ["a", "c"]})
    with pytest.raises(RecipeError, match="split of sample 'm2' must be one of test, dev, got 'train'"):
        plan_images(load(tmp_path, tissue, splits=["test", "dev"]))


def test_a_table_of_cells_says_which_make_the_class(tmp_path: Path) -> None:
    tissue = brought.masks(tmp_path, 4) | {
        "cells": {"table": "cells.csv", "mask": "file", "id": "nr", "kind": "what", "telling": ["tumour", "mitosis"]},
        "shares": {"train": 0.5, "test": 0.5},
    }
    kinds = ("tumour", "stroma", "mitosis", "")
    lines = ["file,nr,what"]
    for number in range(4):
        ids = np.unique(brought.labels(seed=number))[1:]
        lines += [f"masks/{number:02d}.npy,{one},{kinds[one % 4]}" for one in ids if kinds[one % 4]]
    (tmp_path / "cells.csv").write_text("\n".join(lines), "utf-8")
    for name, (_, scene, drawn) in shown(load(tmp_path, tissue)).items():
        mask = middle(brought.labels(seed=int(name)), 256, 256)
        assert np.array_equal(drawn.truth, np.where(mask == 0, 0, np.where(mask % 2 == 0, 2, 1)))
        assert scene.truth_2_known
        ids = np.unique(mask[mask > 0]).tolist()
        for table in scene.objects:
            expected = [ids.index(one) + 1 for one in ids if (kinds[one % 4] or "cell") == table.kind]
            assert table.ids.tolist() == expected, table.kind
        assert {table.kind for table in scene.objects} == {"tumour", "stroma", "mitosis", "cell"}


def test_a_second_mask_marks_the_evidence(tmp_path: Path) -> None:
    mask = brought.labels()
    marks = np.zeros(mask.shape, np.uint8)
    marks[:, :150] = 255
    write(tmp_path, ["mask,class,why", "a.tif,x,marks.tif", "b.tif,y,none.tif"], a=mask, b=mask, marks=marks, none=0 * marks)
    tissue = {"type": "masks", "table": "samples.csv", "columns": {"evidence": "why"}}
    found = shown(load(tmp_path, tissue, splits=["train"]))
    _, scene, drawn = found["a"]
    half = [one for one in np.unique(mask)[1:] if 2 * (marks[mask == one] > 0).sum() > (mask == one).sum()]
    assert 0 < len(half) < len(np.unique(mask)) - 1
    part = middle(mask, 256, 256)
    assert np.array_equal(drawn.truth, np.where(part == 0, 0, np.where(np.isin(part, half), 2, 1)))
    assert scene.truth_2_known
    assert found["b"][1].truth_2_known
    assert set(np.unique(found["b"][2].truth)) == {0, 1}


def test_masks_of_a_sample_are_stitched(tmp_path: Path) -> None:
    tiles = {f"t{n}": brought.labels((130, 128), seed=n, cells=40) for n in range(5)}
    rows = ["mask,class,sample", *(f"t{n}.tif,{'x' if n < 3 else 'y'},{'first' if n < 3 else 'second'}" for n in range(5))]
    write(tmp_path, rows, **tiles)
    tissue = {"type": "masks", "table": "samples.csv", "columns": {"sample": "sample"}, "smaller": "pad"}
    found = shown(load(tmp_path, tissue, splits=["train"]))
    expected = np.zeros((260, 256), bool)
    for n, (top, left) in enumerate([(0, 0), (0, 128), (130, 0)]):
        expected[top : top + 130, left : left + 128] = tiles[f"t{n}"] > 0
    assert np.array_equal(found["first"][2].image[0] > 0, middle(expected, 256, 256))
    second = np.zeros((256, 256), bool)  # 130 x 256 px, in the middle
    second[63:193] = np.hstack([tiles["t3"], tiles["t4"]]) > 0
    assert np.array_equal(found["second"][2].image[0] > 0, second)
    first = found["first"][2].instances  # two rows are cut off above: tiles meet at row and column 128
    quarters = [set(np.unique(part).tolist()) - {0} for part in (first[:128, :128], first[:128, 128:], first[128:, :128])]
    assert all(quarters)
    assert not quarters[0] & quarters[1]
    assert not quarters[0] & quarters[2]
    assert sorted(set().union(*quarters)) == list(range(1, int(first.max()) + 1))


def test_the_digest_knows_the_cells_and_no_path(tmp_path: Path) -> None:
    recipe = load(tmp_path, brought.masks(tmp_path, 4))
    assert ".npy" not in str(recipe.to_dict())
    assert str(tmp_path) not in str(recipe.to_dict())
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "other").mkdir(parents=True)
    lines = ["path,class,patient"]
    for number in range(4):
        tifffile.imwrite(elsewhere / f"other/{number:02d}.tif", brought.labels(seed=number).astype(np.uint16))
        lines.append(f"other/{number:02d}.tif,{'ab'[number % 2]},p{number // 2}")
    (elsewhere / "table.csv").write_text("\n".join(lines))
    same = load(elsewhere, {"type": "masks", "table": "table.csv", "columns": {"mask": "path"}})
    assert same.digest == recipe.digest
    changed = brought.labels(seed=0)
    changed[100, 100] = 500
    np.save(tmp_path / "masks/00.npy", changed)
    assert load(tmp_path, {"type": "masks", "table": "samples.csv"}).digest != recipe.digest
    assert Recipe.from_dict(recipe.to_dict()).digest == recipe.digest


BAD_TABLES = {
    "no table": (None, "table .*samples.csv must be an existing file, got none"),
    "empty": ("", "table samples.csv must be UTF-8 CSV or Parquet"),
    "no rows": ("mask,class\n", "table samples.csv must have rows, got none"),
    "no column": ("mask,clas\na.tif,x\n", "must have the column 'class', got mask, clas. Did you mean 'clas'?"),
    "twice": ("mask,class\na.tif,x\na.tif,x\n", "each mask must be there once, got a.tif again"),
    "no class": ("mask,class\na.tif,\n", "samples.csv:2: class must be given, got nothing"),
    "no file": ("mask,class\na.tif,x\nz.tif,y\n", "z.tif"),
    "broken": ("mask,class\na.tif,x\nbroken.tif,y\n", "broken.tif"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables_are_refused_in_words(name: str, tmp_path: Path) -> None:
    text, match = BAD_TABLES[name]
    tifffile.imwrite(tmp_path / "a.tif", brought.labels())
    (tmp_path / "broken.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:200])
    if text is not None:
        (tmp_path / "samples.csv").write_text(text, "utf-8")
    with pytest.raises(RecipeError, match=match) as found:
        load(tmp_path, {"type": "masks", "table": "samples.csv"})
    assert "recipe.yaml:" in str(found.value)
    assert "scenarios[0].tissue" in str(found.value)


def test_every_bad_file_is_named(tmp_path: Path) -> None:
    masks = {
        "good": brought.labels(),
        "empty": np.zeros((64, 64), np.uint8),
        "deep": np.ones((5, 64, 64), np.uint8),
        "full": np.ones((64, 64), np.uint8),
    }
    write(tmp_path, ["mask,class", *(f"{name}.tif,x" for name in masks)], **masks)
    with pytest.raises(RecipeError) as found:
        load(tmp_path, {"type": "masks", "table": "samples.csv"})
    text = str(found.value)
    assert all(f"{name}.tif" in text for name in ("empty", "deep", "full"))
    assert "good.tif" not in text


BAD_CELLS = {
    "unknown mask": ("mask,id,type\nother.npy,1,t\n", "cells.csv:2: mask must be one of the table of samples, got 'other.npy'"),
    "no number": ("mask,id,type\nmasks/00.npy,one,t\n", "cells.csv:2: id must be a whole number, got 'one'"),
    "twice": ("mask,id,type\nmasks/00.npy,1,t\nmasks/00.npy,1,t\n", "each cell must be there once, got 1"),
    "no such kind": ("mask,id,type\nmasks/00.npy,1,stroma\n", "telling must name kinds of cells.csv, of stroma, got t"),
    "no such cell": ("mask,id,type\nmasks/00.npy,9999,t\n", "cells of the table must be in the mask, got 9999 that are not"),
}


@pytest.mark.filterwarnings("ignore::miso_gen.errors.MisoGenWarning")
@pytest.mark.parametrize("name", BAD_CELLS)
def test_bad_tables_of_cells_are_refused_in_words(name: str, tmp_path: Path) -> None:
    text, match = BAD_CELLS[name]
    (tmp_path / "cells.csv").write_text(text, "utf-8")
    tissue = brought.masks(tmp_path, 4)
    with pytest.raises(RecipeError, match=match):
        load(tmp_path, tissue | {"cells": {"table": "cells.csv", "telling": ["t"]}})


def test_masks_of_which_the_table_of_cells_says_nothing_are_told(tmp_path: Path) -> None:
    tissue = brought.masks(tmp_path, 4)
    (tmp_path / "cells.csv").write_text(f"mask,id,type\nmasks/00.npy,{brought.labels().max()},t\n", "utf-8")
    with pytest.warns(MisoGenWarning, match="lists no cell of 3 of 4 masks"):
        load(tmp_path, tissue | {"cells": {"table": "cells.csv", "telling": ["t"]}})


def test_what_does_not_fit_the_canvas_is_refused_in_words(tmp_path: Path) -> None:
    tissue = brought.masks(tmp_path, 4)
    with pytest.raises(RecipeError, match="sample '00' must be at least as large as the canvas, 512 x 512 px, got 300 x 320 px"):
        plan_images(load(tmp_path, tissue, canvas={"shape": [512, 512]}))
    with pytest.raises(RecipeError, match="sample '00' must be as large as the canvas, 256 x 256 px, got 300 x 320 px"):
        plan_images(load(tmp_path, tissue | {"larger": "refuse"}))
    with pytest.raises(RecipeError, match="each split must have samples of every class, got none of a, b in 'test'"):
        plan_images(load(tmp_path, tissue | {"shares": {"train": 0.99, "test": 0.01}}))
    with pytest.raises(RecipeError, match="shares must name the splits train, test, got train, tset"):
        plan_images(load(tmp_path, tissue | {"shares": {"train": 0.8, "tset": 0.2}}))


def test_recipes_say_what_is_wrong(tmp_path: Path) -> None:
    tissue = brought.masks(tmp_path, 4)
    wrong = {
        "a key of the import": (tissue | {"tabel": "samples.csv"}, "tabel"),
        "a key of its columns": (tissue | {"columns": {"klass": "class"}}, "columns.klass must be one of the keys"),
        "a draw": (tissue | {"background": {"uniform": [0, 3]}}, "What is imported must be known before anything is drawn"),
        "both": (tissue | {"samples": "0" * 64}, "samples must be left out"),
        "neither": ({"type": "masks"}, "tissue.table must be given"),
        "two evidences": (
            tissue | {"columns": {"evidence": "patient"}, "cells": {"table": "cells.csv", "telling": ["t"]}},
            "evidence must come from cells or from columns.evidence, got both",
        ),
        "no such content": ({"type": "masks", "samples": "0" * 64}, "imported content 000000000000 must be in the store"),
    }
    for name, (bad, match) in wrong.items():
        with pytest.raises(RecipeError) as found:
            load(tmp_path, bad)
        assert match in str(found.value), name
