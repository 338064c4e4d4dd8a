"""Stores by name: where they are looked for, which version is taken, and what is no name."""

from __future__ import annotations

import os
import re
from functools import cmp_to_key
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.errors import IncompleteStoreError, StoreError
from miso_gen.store import StoreRoot, create_root, finish_root, open_dataset, open_target
from miso_gen.store.named import known_stores, locate, places, precedence


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """An empty current folder, two folders of data sets, and a cache."""
    for name in ("here", "one", "two", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MISO_GEN_DATASETS", os.pathsep.join([str(tmp_path / "one"), "", str(tmp_path / "two")]))
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "cache"))


def make(folder, complete=True):
    """An empty store, which says where it is by the folder's name."""
    target = open_target(folder)
    root = create_root(target, StoreRoot(Path(folder).parent.name, Path(folder).name, {}, "", {}), [])
    if complete:
        finish_root(target, root, [])


def opened(location):
    return str(Path(open_dataset(location).target.describe("")).resolve())


@pytest.mark.parametrize("below", ["here/datasets", "one", "one/datasets", "two", "two/datasets", "cache/datasets"])
def test_places(tmp_path, below):
    place = tmp_path / below / "toy/1.0.0"
    make(place)
    for name in ("toy@1.0.0", "toy"):
        assert opened(name) == str(place)
    assert open_dataset("toy").version == "1.0.0"


def test_the_first_place_wins(tmp_path):
    order = ["here/datasets", "one", "one/datasets", "two", "two/datasets", "cache/datasets"]
    for below in reversed(order):
        make(tmp_path / below / "toy/1.0.0")
        for name in ("toy@1.0.0", "toy"):
            assert opened(name) == str(tmp_path / below / "toy/1.0.0")
    assert [path.resolve() for path in places()] == [tmp_path / below for below in order]


def test_the_greatest_version_of_all_places(tmp_path):
    for below, version in [("here/datasets", "1.9.0"), ("two", "1.10.0"), ("cache/datasets", "1.10.0-rc.1"), ("one", "0.99.0")]:
        make(tmp_path / below / "toy" / version)
    assert opened("toy") == str(tmp_path / "two/toy/1.10.0")
    assert opened("toy@1.10.0-rc.1") == str(tmp_path / "cache/datasets/toy/1.10.0-rc.1")
    assert [version for _, version in known_stores()] == ["0.99.0", "1.9.0", "1.10.0-rc.1", "1.10.0"]


def test_what_is_no_store_is_not_found(tmp_path):
    make(tmp_path / "one/toy/1.0.0")
    for stray in ("one/toy/9.9.9", "one/toy/latest/images.zarr", "one/Toy/1.0.0/images.zarr", "one/.toy/1.0.0/images.zarr"):
        (tmp_path / stray).mkdir(parents=True)
    assert list(known_stores()) == [("toy", "1.0.0")]
    assert opened("toy") == str(tmp_path / "one/toy/1.0.0")
    with pytest.raises(StoreError, match=r"one of the data sets toy@1\.0\.0, got 'toy@9\.9\.9'"):
        open_dataset("toy@9.9.9")


def test_unknown_names_list_what_there_is(tmp_path):
    make(tmp_path / "one/toy-set/1.0.0")
    make(tmp_path / "two/toy-set/2.0.0")
    make(tmp_path / "here/datasets/zebra/0.1.0")
    listed = r"store must be .* one of the data sets toy-set@1\.0\.0, toy-set@2\.0\.0, zebra@0\.1\.0, got "
    for name, near in [("toi-set", "toy-set"), ("toy-set@2.0.1", "toy-set@2.0.0"), ("toy-set@2", "toy-set@2.0.0")]:
        with pytest.raises(StoreError, match=listed + f"'{name}'.*Did you mean '{re.escape(near)}'") as caught:
            open_dataset(name)
        assert str(tmp_path / "one") in str(caught.value)
        assert "MISO_GEN_DATASETS" in str(caught.value)


def test_no_data_sets_at_all(monkeypatch):
    monkeypatch.delenv("MISO_GEN_DATASETS")
    for name in ("toy", "toy@1.0.0", "toy@", "toy@latest"):
        with pytest.raises(StoreError, match=rf"one of the data sets \(none\), got '{name}', which is none of them\. Data sets"):
            open_dataset(name)


def test_an_unfinished_store(tmp_path):
    make(tmp_path / "one/toy/1.0.0")
    make(tmp_path / "one/toy/2.0.0", complete=False)
    with pytest.raises(IncompleteStoreError, match=r"toy/2\.0\.0 must be complete"):
        open_dataset("toy")
    assert open_dataset("toy@1.0.0").version == "1.0.0"
    assert len(open_dataset("toy", incomplete=True)) == 0


@pytest.mark.parametrize("name", ["a@b", "toy@1.0.0", "toy"])
def test_a_folder_of_that_name_is_opened(tmp_path, name):
    make(tmp_path / "one/toy/1.0.0")
    make(tmp_path / "here" / name)
    assert opened(name) == str(tmp_path / "here" / name)


@pytest.mark.parametrize(
    "name", ["./toy", "toy/", "datasets/toy", "Toy@1.0.0", "toy_1", ".", "a/b@1.0.0", "s3://a@1.0.0", "a@b/c"]
)
def test_paths_are_no_names(name):
    assert locate(name) == name


@pytest.mark.parametrize("nothing", ["", None, 3])
def test_what_is_no_place_at_all(tmp_path, nothing):
    make(tmp_path / "one/toy/1.0.0")
    with pytest.raises(StoreError, match=rf"store must be a path, a URL, or .*, got {nothing!r}\. Names: toy@1\.0\.0"):
        open_dataset(nothing)


def test_a_fetch_that_has_not_finished(tmp_path):
    """A download is told from a store that is none, by its name and by its folder."""
    folder = tmp_path / "one/toy/1.0.0"
    folder.mkdir(parents=True)
    (folder / "manifest.json.part").write_bytes(b"")
    for place in ("toy", "toy@1.0.0", folder):
        with pytest.raises(IncompleteStoreError, match=r"1\.0\.0 must hold a whole release, got a download that has not"):
            open_dataset(place)


def test_only_texts_are_names(tmp_path):
    make(tmp_path / "one/toy/1.0.0")
    assert locate(Path("toy")) == Path("toy")
    with pytest.raises(StoreError, match="got no such path"):
        open_dataset(Path("toy"))


# --- the order of versions --------------------------------------------------------------------------------------------

PART = st.one_of(st.integers(0, 30).map(str), st.text("aB1-", min_size=1, max_size=3).filter(lambda text: not text.isdigit()))
VERSION = st.builds(
    lambda numbers, before, build: ".".join(map(str, numbers)) + ("-" + ".".join(before) if before else "") + build,
    st.tuples(*[st.integers(0, 12)] * 3),
    st.lists(PART, max_size=3),
    st.sampled_from(["", "+5", "+a.b"]),
)


def compare(one, other):
    """Rule 11 of SemVer 2.0.0, word for word."""
    one, other = one.partition("+")[0], other.partition("+")[0]
    (numbers_1, _, before_1), (numbers_2, _, before_2) = one.partition("-"), other.partition("-")
    for a, b in zip(numbers_1.split("."), numbers_2.split("."), strict=True):
        if int(a) != int(b):
            return -1 if int(a) < int(b) else 1
    if before_1 == before_2:
        return 0
    if not before_1 or not before_2:
        return -1 if before_1 else 1
    parts_1, parts_2 = before_1.split("."), before_2.split(".")
    for a, b in zip(parts_1, parts_2, strict=False):
        if a == b:
            continue
        if a.isdigit() and b.isdigit():
            return -1 if int(a) < int(b) else 1
        if a.isdigit() != b.isdigit():
            return -1 if a.isdigit() else 1
        return -1 if a < b else 1
    return -1 if len(parts_1) < len(parts_2) else 1


@given(st.lists(VERSION, max_size=8))
def test_the_order_of_versions(versions):
    assert sorted(versions, key=precedence) == sorted(versions, key=cmp_to_key(compare))


def test_the_example_of_semver():
    text = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 2.0.0 2.1.0 2.1.1"
    versions = text.split()
    assert sorted(reversed(versions), key=precedence) == versions


@pytest.mark.parametrize("version", ["1", "1.0", "01.0.0", "1.0.0-", "v1.0.0", "1.0.0.0", "latest", ""])
def test_no_version(version):
    with pytest.raises(ValueError, match="must be a semantic version"):
        precedence(version)
