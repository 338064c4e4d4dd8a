"""What a manifest from elsewhere may name: plain files, on every system."""

from __future__ import annotations

import ntpath
import unicodedata
from pathlib import PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from miso_gen.errors import CorruptStoreError
from miso_gen.store.manifest import FileEntry
from miso_gen.store.untrusted import check_files, path_fault

GOOD = FileEntry(1, "ab" * 32)


@pytest.mark.parametrize(
    "path",
    [
        "index.parquet",
        "train-001.ozx",
        "imports/" + "a" * 64 + ".npz",
        "images.zarr/gsp/train/0001/0/c/0/0/0",
        "LICENSE",
        "Bilder/größe 1.png",
        "con-1.txt",
        "a.part.b",
    ],
)
def test_plain_paths(path):
    assert path_fault(path) == ""
    check_files({path: GOOD}, "m")


BAD = [
    "/a",
    "//a",
    "a//b",
    "a/",
    "../a",
    "a/../b",
    "..",
    ".",
    "./a",
    "a/.",
    "a/./b",
    "a/..",
    "C:/a",
    "c:a",
    "C:\\a",
    "a\\b",
    "\\\\host\\a",
    "a/b:c",
    ".git/config",
    "a/.hidden",
    "con",
    "CON.txt",
    "a/nul",
    "aux.tar.gz",
    "lpt1",
    "COM9.x",
    "com¹",
    "conin$",
    "NUL.png",
    "prn/a",
    "a.",
    "a./b",
    "a*b",
    "a?b",
    'a"b',
    "<a",
    "a>",
    "a|b",
    "manifest.json",
    "MANIFEST.JSON",
    "publication.json",
    "build.lock",
    "a.part",
    "a.PART",
    "a.part-1",
    "a.part/b",
    "x.tmp-1",
]


@pytest.mark.parametrize(
    "path",
    [
        *BAD,
        "",
        " a",
        "a ",
        "a /b",
        "a/ b",
        "con .txt",
        "a\0b",
        "a\nb",
        "a\x7f",
        "a\u202eb",
        "a\u200bb",
        "a\ud800",
        "a" * 201,
        "é" * 101,
        "a/" * 600 + "a",
    ],
)
def test_malicious_paths(path):
    assert path_fault(path)
    with pytest.raises(CorruptStoreError, match="must be plain paths below its folder, got"):
        check_files({"fine": GOOD, path: GOOD}, "m")


NAMES = st.text("aAbBßſéE\u0301/.\\:~ 1cCoOnN\0-", min_size=0, max_size=9)


@given(st.lists(NAMES, max_size=6, unique=True))
@example(["a", "a/b"])
@example(["a/b", "a"])
@example(["A/x", "a/y"])
@example(["é", "e\u0301"])
@example(["ß", "ss"])
def test_what_is_accepted_is_plain_everywhere(paths):
    try:
        check_files(dict.fromkeys(paths, GOOD), "m")
    except CorruptStoreError:
        return
    places = set()
    for path in paths:
        parts = path.split("/")
        assert PureWindowsPath(path).parts == tuple(parts)
        assert not ntpath.isabs(path)
        assert not ntpath.splitdrive(path)[0]
        assert not ntpath.isreserved(path) if hasattr(ntpath, "isreserved") else not PureWindowsPath(path).is_reserved()
        assert not {"", ".", ".."} & set(parts)
        places |= {tuple(parts[:count]) for count in range(1, len(parts) + 1)}
    assert len({tuple(unicodedata.normalize("NFC", part).casefold() for part in place) for place in places}) == len(places)
    assert not {tuple(path.split("/")) for path in paths} & {place[:-1] for place in places}


@pytest.mark.parametrize("paths", [["a", "a/b"], ["a/b", "a"], ["A", "a"], ["A/x", "a/y"], ["é", "e\u0301"], ["ß", "ss"]])
def test_collisions(paths):
    with pytest.raises(CorruptStoreError, match=r"case does not count|a file and a folder"):
        check_files(dict.fromkeys(paths, GOOD), "m")


@pytest.mark.parametrize(
    "entry",
    [
        (-1, "ab" * 32),
        (True, "ab" * 32),
        (1.0, "ab" * 32),
        ("1", "ab" * 32),
        (None, None),
        (1 << 63, "ab" * 32),
        (1, "AB" * 32),
        (1, "ab" * 31),
        (1, 5),
    ],
)
def test_no_entries(entry):
    with pytest.raises(CorruptStoreError, match="without a size and a sha256"):
        check_files({"a": FileEntry(*entry)}, "m")
