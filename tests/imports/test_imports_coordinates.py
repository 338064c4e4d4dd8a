"""Imported tables of coordinates: columns, units, corners, missing values, duplicates; each handled or refused in words."""

from __future__ import annotations

import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_gen import load_recipe
from miso_gen.contents import Content, recall
from miso_gen.errors import InputError, MisoGenWarning, RecipeError, RefusedFilesError
from miso_gen.imports.coordinates import PointFiles, point_files
from miso_gen.imports.giveaways import auroc


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(text: str | bytes, name: str = "cells.csv") -> Path:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return written


def load(folder: Path, path: Any = "cells.csv", **fields: Any) -> dict[str, Content]:
    """Return the sets by name."""
    found = PointFiles.from_spec({"path": path, **fields}).load(folder)
    assert set(found) == {"sets"}
    return {one["name"]: recall(one["content"]) for one in found["sets"]}


def one(folder: Path, path: Any = "cells.csv", **fields: Any) -> Content:
    (found,) = load(folder, path, **fields).values()
    return found


def places(content: Content) -> list[tuple[float, float]]:
    """Return rows and columns in px."""
    return [(row / 256, column / 256) for row, column in content.arrays["places"].tolist()]


def refusal(folder: Path, path: Any = "cells.csv", **fields: Any) -> str:
    with pytest.raises(RefusedFilesError) as caught:
        load(folder, path, **fields)
    ((name, reason),) = caught.value.refused
    assert name == Path(path).name
    assert " must " in f" {reason}"
    assert ", got " in reason
    assert reason.endswith((".", "?"))
    return reason


# --- columns, formats, units -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_of_every_make(write: Any, separator: str, bom: bytes, newline: str) -> None:
    rows = [["id", "centroid_x", "centroid_y"], ["a", "12.5", " 3"], ["b", "1e2", "0.25"], ["c", "-7", "+3.0 "]]
    folder = write(bom + newline.join(separator.join(row) for row in rows).encode())
    content = one(folder, columns={"x": "centroid_x", "y": "centroid_y"})
    assert places(content) == [(0.25, 100), (3, -7), (3, 12.5)]
    assert content.kind == "points"
    assert content.facts == {"classes": [], "extent": None}
    assert {name: array.dtype.str for name, array in content.arrays.items()} == {"places": "<i8"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-5000, 5000), st.floats(-5000, 5000), st.floats(0.001, 50)), min_size=1, max_size=20))
def test_places_are_rounded_sorted_and_there_once(tmp_path_factory: Any, rows: list[tuple[float, float, float]]) -> None:
    folder = tmp_path_factory.mktemp("points")
    pd.DataFrame(rows, columns=["x", "y", "r"]).to_csv(folder / "cells.csv", index=False)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", MisoGenWarning)
        content = one(folder, columns={"radius": "r"})
    units = [tuple(int(np.floor(value * 256 + 0.5)) for value in (y, x, r)) for x, y, r in rows]
    wanted = sorted({(y, x, max(r, 1)) for y, x, r in units})
    found = zip(content.arrays["places"].tolist(), content.arrays["radii"].tolist(), strict=True)
    assert [(*place, radius) for place, radius in found] == wanted
    assert bool(said) == (len(wanted) < len(rows))


@pytest.mark.parametrize("unit", ["px", "um", "mm"])
def test_units(write: Any, unit: str) -> None:
    """Positions, radii and extent all count in the unit."""
    factor = {"px": 1.0, "um": 0.5, "mm": 0.0005}[unit]
    folder = write(f"x,y,r\n{30 * factor},{8 * factor},{4 * factor}\n{10 * factor},{90 * factor},{2 * factor}\n")
    extent = [0.0, 5 * factor, 100 * factor, 50 * factor]
    size = {} if unit == "px" else {"pixel_size_um": 0.5}
    content = one(folder, unit=unit, columns={"radius": "r"}, extent=extent, **size)
    assert places(content) == [(8, 30), (90, 10)]
    assert content.arrays["radii"].tolist() == [4 * 256, 2 * 256]
    assert content.facts["extent"] == [0, 5 * 256, 100 * 256, 50 * 256]


def test_corners_of_boxes(write: Any) -> None:
    folder = write("x0,y0,x1,y1\n10,20,30,60\n5,5,5,5\n")
    columns = {"left": "x0", "top": "y0", "right": "x1", "bottom": "y1"}
    assert places(one(folder, columns=columns)) == [(5, 5), (40, 20)]
    folder = write("x0,y0,x1,y1\n10,20,30,60\n30,20,10,60\n1,2,3,4\n5,6,7,5\n")
    assert "in rows 3, 5. Correct" in refusal(folder, columns=columns)


def test_csv_and_parquet_have_one_digest(write: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.5, 0.1, 7], "y": [2, 9, 4], "kind": ["b", "a", "b"], "r": np.array([0.1, 2, 3], np.float32)})
    frame.to_parquet(tmp_path / "cells.parquet")
    frame[::-1].to_csv(tmp_path / "cells.csv", index=False)
    frame.set_index("kind").reset_index().to_csv(tmp_path / "other.csv", sep=";", index=False)
    columns = {"radius": "r", "class_name": "kind"}
    digests = {one(tmp_path, f"{name}", columns=columns).digest for name in ("cells.parquet", "cells.csv", "other.csv")}
    assert len(digests) == 1


def test_unknown_columns_are_named_with_the_known_ones(write: Any) -> None:
    folder = write("centroid_x,centroid_y\n1,2\n")
    reason = refusal(folder, columns={"x": "centroidx", "y": "centroid_y"})
    assert "centroid_x, centroid_y" in reason
    assert "Did you mean 'centroid_x'?" in reason
    assert "column 'x'" in refusal(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "CSV"),
        ("x,y\n", "rows"),
        ("x\n1\n", "column 'y'"),
        ("x,y\n1,2,3\n4,5,6\n", "3 values in line 2, where there are 2 columns"),
        ("x,y,x\n1,2,3\n", "must have each column once, got x twice"),
        ('x,y\n"1,2\n', "line 2"),
        ("x,y\n1,2\n4,5,6\n", "CSV"),
        (b"x,y\n1,\xff\n", "UTF-8"),
        ("x;y\n1,5;2\n3;4\n2;7,25\n", "rows 2, 4"),
        ("x,y\n1,2\nten,4\n", "ten"),
        ("x,y\n1,2\n3,\n", "nothing in row 3"),
        ("x,y\n1,2\n3,nan\n4,inf\n", "rows 3, 4"),
        ("x,y\n1,2\n-inf,1\n", "row 3"),
        ("x,y\n1,2\n1e300,1\n", "at most 1073741824 px"),
    ],
)
def test_bad_tables_are_refused(write: Any, text: str, words: str) -> None:
    assert words in refusal(write(text))


def test_parquet_that_is_none_is_refused(write: Any) -> None:
    assert "Parquet" in refusal(write("x,y\n1,2\n", "cells.parquet"), "cells.parquet")


def test_missing_values(write: Any) -> None:
    """Refused with their rows, or left out and counted."""
    text = "x,y,r,kind\n" + "".join(f"{n},{n},1,a\n" for n in range(8)) + ",1,1,a\n2,n/a,1,a\n3,3,inf,a\n4,4,1,\n5,5,2,b\n"
    folder = write(text)
    columns = {"radius": "r", "class_name": "kind"}
    reason = refusal(folder, columns=columns)
    assert "x: nothing, y: 1, r: 1, kind: a in row 10" in reason
    assert "rows 10, 11, 12, 13" in reason
    with pytest.warns(MisoGenWarning, match=r"4 rows have missing or infinite values, and are left out: 4 in cells\.csv"):
        content = one(folder, columns=columns, missing="drop")
    assert places(content) == [(n, n) for n in (0, 1, 2, 3, 4, 5, 5, 6, 7)]
    assert content.facts["classes"] == ["a", "b"]
    assert content.arrays["classes"].tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert "none of 2" in refusal(write("x,y\na,b\nc,d\n"), missing="drop")
    assert "decimal points" in refusal(write("x;y\n1,5;2\n3;4\n"), missing="drop")


@pytest.mark.parametrize("radius", ["0", "-1"])
def test_radii_must_be_positive(write: Any, radius: str) -> None:
    folder = write(f"x,y,r\n1,2,3\n4,5,{radius}\n")
    for missing in ("refuse", "drop"):
        assert "radii above 0, got others in row 3" in refusal(folder, columns={"radius": "r"}, missing=missing)


def test_equal_points_count_once(write: Any) -> None:
    folder = write("x,y,r\n1,2,3\n5,6,7\n1,2,3\n1,2,4\n1,2.0001,3\n")
    with pytest.warns(MisoGenWarning, match=r"2 points are there already, and count once: 2 in cells"):
        content = one(folder, columns={"radius": "r"})
    assert places(content) == [(2, 1), (2, 1), (6, 5)]
    assert content.arrays["radii"].tolist() == [3 * 256, 4 * 256, 7 * 256]
    with pytest.warns(MisoGenWarning, match=r"3 points"):
        assert places(one(folder)) == [(2, 1), (6, 5)]


def test_extent(write: Any) -> None:
    folder = write("x,y\n0,0\n20,10\n19.99,9.99\n-1,5\n5,25\n")
    with pytest.warns(MisoGenWarning, match=r"3 points lie outside of extent"):
        content = one(folder, extent=[0, 0, 10, 20])
    assert content.arrays["places"].tolist() == [[0, 0], [2557, 5117]]
    assert "none of 5" in refusal(folder, extent=[100, 100, 200, 200])


# --- sets, samples, classes --------------------------------------------------------------------------------------------


def test_files_are_sets(write: Any, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(f"x,y\n{ord(name)},1\n", f"cells/{name}.csv")
    write("x,y\n1,1\n", "more/d.tsv")
    (tmp_path / "cells/folder.csv").mkdir()
    assert list(load(tmp_path, "cells/*.csv")) == ["a", "b", "c"]
    assert list(load(tmp_path, ["more/d.tsv", "cells/[ab].csv", "cells/a.csv"])) == ["a", "b", "d"]
    assert list(load(tmp_path, str(tmp_path / "cells/b.csv"))) == ["b"]
    assert list(load(tmp_path / "more", "../**/?.csv")) == ["a", "b", "c"]
    write("x,y\n1,1\n", "slides/one/cells.csv")
    write("x,y\n1,2\n", "slides/two/cells.csv")
    assert list(load(tmp_path, "slides/*/cells.csv")) == ["one/cells", "two/cells"]
    write("x,y\n1,2\n", "odd[1].csv")
    assert list(load(tmp_path, "odd[1].csv")) == ["odd[1]"]


@pytest.mark.parametrize("path", ["absent.csv", "none/*.csv", "folder", [], ["cells.csv", "absent.csv"]])
def test_files_that_are_not_there(write: Any, tmp_path: Path, path: Any) -> None:
    write("x,y\n1,1\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"path must name (at least one )?files?, got"):
        load(tmp_path, path)


def test_names_that_differ_in_the_suffix_only_are_refused(write: Any, tmp_path: Path) -> None:
    write("x,y\n1,1\n")
    write("x,y\n1,1\n", "cells.txt")
    with pytest.raises(InputError, match=r"differ in more than their suffix, got cells.csv, cells.txt"):
        point_files("cells.*", tmp_path)


def test_every_bad_file_is_named(write: Any, tmp_path: Path) -> None:
    write("x,y\n1,1\n", "good.csv")
    write("x,y\n1,\n", "gap.csv")
    write("x,z\n1,1\n", "other.csv")
    with pytest.raises(RefusedFilesError) as caught:
        load(tmp_path, "*.csv")
    assert [name for name, _ in caught.value.refused] == ["gap.csv", "other.csv"]


def test_samples_are_sets(write: Any, tmp_path: Path) -> None:
    write("x,y,slide\n1,1,s2\n2,2,s1\n3,3,s2\n")
    sets = load(tmp_path, columns={"sample": "slide"})
    assert {name: places(content) for name, content in sets.items()} == {"s1": [(2, 2)], "s2": [(1, 1), (3, 3)]}
    write("x,y,slide\n1,1,s9\n", "other.csv")
    assert list(load(tmp_path, "*.csv", columns={"sample": "slide"})) == ["s1", "s2", "s9"]
    write("x,y,slide\n1,1,s1\n", "other.csv")
    with pytest.raises(RefusedFilesError, match=r"other\.csv must have samples of its own, got s1"):
        load(tmp_path, "*.csv", columns={"sample": "slide"})


def test_classes_are_chosen(write: Any, tmp_path: Path) -> None:
    write("x,y,kind\n1,1,tumour\n2,2,stroma\n3,3,tumour\n4,4,immune\n", "a.csv")
    write("x,y,kind\n9,9,stroma\n", "b.csv")
    write("x,y,kind\n5,5,immune\n", "c.csv")
    columns = {"class_name": "kind"}
    every = load(tmp_path, "*.csv", columns=columns)
    assert every["a"].facts["classes"] == ["immune", "stroma", "tumour"]
    assert every["a"].arrays["classes"].tolist() == [2, 1, 2, 0]
    with pytest.warns(MisoGenWarning, match=r"1 sets have no points of tumour, stroma, and are left out: c\."):
        some = load(tmp_path, "*.csv", columns=columns, classes=["tumour", "stroma"])
    assert {name: places(content) for name, content in some.items()} == {"a": [(1, 1), (2, 2), (3, 3)], "b": [(9, 9)]}
    with pytest.raises(InputError, match=r"immune, stroma, tumour, got 'tumor'\. Did you mean 'tumour'\?"):
        load(tmp_path, "*.csv", columns=columns, classes=["tumor"])


# --- giveaways ---------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_auroc(low: list[int], high: list[int]) -> None:
    wanted = sum((b > a) + 0.5 * (b == a) for a, b in product(low, high)) / (len(low) * len(high))
    assert auroc(np.array(low, float), np.array(high, float)) == pytest.approx(wanted, abs=1e-12)


def slides(folder: Path, shift: dict[str, tuple[float, float, float, float]], count: int = 3) -> None:
    """Write ``count`` sets of each class; of each class its offset (x, y) and its scale (x, y)."""
    draws = np.random.default_rng(1)
    for kind, (x, y, wide, high) in shift.items():
        for number in range(count):
            points = draws.random((40, 2)) * (1000 * wide, 1000 * high) + (x, y) + draws.random(2) * 30
            text = "".join(f"{a},{b},{kind}\n" for a, b in points)
            (folder / f"{kind}-{number}.csv").write_text("x,y,diagnosis\n" + text)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ((500, 0, 1, 1), ["offset of 'x'"]),
        ((0, -400, 1, 1), ["offset of 'y'"]),
        ((0, 0, 2, 1), ["scale of 'x'", "number of points per area"]),
        ((0, 0, 1, 0.3), ["scale of 'y'", "number of points per area"]),
    ],
)
def test_offset_or_scale_that_separates_the_classes_is_told(tmp_path: Path, other: Any, words: list[str]) -> None:
    slides(tmp_path, {"benign": (0, 0, 1, 1), "tumour": other}, count=5)
    pair = r"separates the classes 'benign' and 'tumour' of column 'diagnosis', between 5 and 5 sets: a network could tell them"
    for _ in range(2):  # also where the content is known already
        with pytest.warns(MisoGenWarning, match=pair) as said:
            load(tmp_path, "*.csv", columns={"class_name": "diagnosis"})
        (message,) = [str(warning.message) for warning in said]
        assert all(f"the {name} (AUROC 1.00)" in message for name in words)


def test_numbers_that_do_not_separate_are_not_told(tmp_path: Path) -> None:
    slides(tmp_path, {"benign": (0, 0, 1, 1), "tumour": (0, 0, 1, 1)}, count=12)
    load(tmp_path, "*.csv", columns={"class_name": "diagnosis"})


def test_sets_that_chance_could_separate_are_not_told(tmp_path: Path) -> None:
    slides(tmp_path, {"benign": (0, 0, 1, 1), "tumour": (900, 900, 3, 3)}, count=2)
    load(tmp_path, "*.csv", columns={"class_name": "diagnosis"})


def test_classes_of_points_that_x_separates_are_told(write: Any) -> None:
    draws = np.random.default_rng(1)
    rows = [(draws.uniform(0, 100) + 90 * (kind == "b"), draws.uniform(0, 100), kind) for kind in "ab" for _ in range(20)]
    folder = write("cx,cy,kind\n" + "".join(f"{x},{y},{kind}\n" for x, y, kind in rows))
    columns = {"x": "cx", "y": "cy", "class_name": "kind"}
    said = r"the offset of 'cx' \(AUROC (1.00|0.9\d)\): this alone separates the classes 'a' and 'b' .* within set 'cells'"
    with pytest.warns(MisoGenWarning, match=said):
        one(folder, columns=columns)
    folder = write("cx,cy,kind\n" + "".join(f"{x},{y},{kind}\n" for x, y, kind in rows[1:]))  # 19 of a
    one(folder, columns=columns)
    folder = write("cx,cy,kind\n" + "".join(f"{y},{y},{kind}\n" for _, y, kind in rows))
    one(folder, columns=columns)


# --- in a recipe -------------------------------------------------------------------------------------------------------


def recipe(points: dict[str, Any]) -> dict[str, Any]:
    entry = {"type": "evsp", "radius_px": 4, "points": {"type": "csv", **points}}
    return {
        "schema": 1,
        "name": "t",
        "version": "1.0.0",
        "seed": 1,
        "splits": ["test"],
        "canvas": {"shape": [128, 128]},
        "scenarios": [entry],
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"unit": "um"}, "pixel_size_um for unit: um"),
        ({"pixel_size_um": 0.5}, "without it for px"),
        ({"classes": ["a"]}, "class_name"),
        ({"columns": {"left": "x"}}, "all of left, top, right and bottom"),
        ({"extent": [0, 0, 0, 5]}, "the lower numbers first"),
        ({"extent": [0, 0, 5]}, "extent"),
        ({"columns": {"x": "absent"}}, r"cells\.csv must have the column 'absent', got x, y"),
        ({"columns": {"z": "x"}}, "one of the keys"),
        ({"fit": "stretch"}, "fit"),
        ({"missing": "keep"}, "missing"),
        ({"path": "absent.csv"}, "path must name files, got none for 'absent.csv'"),
    ],
)
def test_recipes_are_refused_in_words(write: Any, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], words: str) -> None:
    monkeypatch.chdir(write("x,y\n1,2\n3,4\n"))
    with pytest.raises(RecipeError, match=words):
        load_recipe(recipe({"path": "cells.csv", **fields}))


def test_fit_is_part_of_the_recipe_and_files_are_not(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write("x,y\n1,2\n3,4\n")
    monkeypatch.chdir(folder)
    loaded = load_recipe(recipe({"path": "cells.csv"}))
    points = loaded.to_dict()["scenarios"][0]["points"]
    assert set(points) == {"type", "sets", "fit"}
    assert [set(entry) for entry in points["sets"]] == [{"name", "content"}]
    assert load_recipe(recipe({"path": "cells.csv", "fit": "crop"})).digest != loaded.digest
    (folder / "cells.csv").unlink()
    assert load_recipe(loaded.to_dict()).digest == loaded.digest
