"""Whatever happens to a store or a release by chance is found by verify, and named."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest
from building import cli
from releasing import Files, Scene

from miso_gen.errors import StoreError
from miso_gen.release.verify import verify
from miso_gen.store import open_target, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from miso_gen.release.verify import Verification

IMAGES = "images.zarr/"
MANIFEST = "manifest.json"


# --- faults: functions from a folder to the same folder with something wrong ------------------------------------------


def flip(files: Files, rng: random.Random) -> Files:
    """Flip one bit."""
    path = _some_file(files, rng)
    data = bytearray(files[path])
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return files | {path: bytes(data)}


def cut(files: Files, rng: random.Random) -> Files:
    """Cut a file off; often a little, sometimes to nothing."""
    path = _some_file(files, rng)
    size = len(files[path])
    return files | {path: files[path][: rng.choice((0, size - 1, rng.randrange(size)))]}


def append(files: Files, rng: random.Random) -> Files:
    """Append bytes."""
    path = _some_file(files, rng)
    return files | {path: files[path] + rng.choice((b"\n", b"\0", rng.randbytes(rng.randrange(1, 40))))}


def delete(files: Files, rng: random.Random) -> Files:
    """Delete a file."""
    path = _some_file(files, rng)
    return {other: data for other, data in files.items() if other != path}


def delete_folder(files: Files, rng: random.Random) -> Files:
    """Delete a folder with all below."""
    folder = rng.choice(_folders(files))
    return {path: data for path, data in files.items() if not path.startswith(f"{folder}/")}


def rename(files: Files, rng: random.Random) -> Files:
    """Give a file another name, or put it into another folder."""
    path = _some_file(files, rng)
    folder, _, name = path.rpartition("/")
    new = rng.choice([f"{path}x", f"{path}.bak", f"{rng.choice(_folders(files))}/{name}0", f"{folder}/z{name}".lstrip("/")])
    return {new if other == path else other: data for other, data in files.items()}


def rename_folder(files: Files, rng: random.Random) -> Files:
    """Give a folder another name."""
    folder = rng.choice(_folders(files))
    new = rng.choice([f"{folder}x", f"{folder[:-1]}9"])
    return _moved(files, {folder: new})


def swap(files: Files, rng: random.Random) -> Files:
    """Swap two files."""
    one = _some_file(files, rng)
    other = rng.choice([path for path in files if files[path] != files[one]])
    return files | {one: files[other], other: files[one]}


def swap_alike(files: Files, rng: random.Random) -> Files:
    """Swap two files of one name, or of one kind."""
    kinds = [sorted(path for path in files if path.endswith(end)) for end in ("c/0/0", "c/0/0/0", "zarr.json", ".ozx", ".npz")]
    same = rng.choice([kind for kind in kinds if len({files[path] for path in kind}) > 1])
    one = rng.choice(same)
    other = rng.choice([path for path in same if files[path] != files[one]])
    return files | {one: files[other], other: files[one]}


def swap_folders(files: Files, rng: random.Random) -> Files:
    """Swap two folders: images, scenarios, arrays."""
    folders = _folders(files)
    while True:
        one, other = rng.sample(folders, 2)
        if f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/") or one.count("/") != other.count("/"):
            continue
        turned = _moved(files, {one: other, other: one})
        if turned != files:
            return turned


def strange(files: Files, rng: random.Random) -> Files:
    """Put a file where none belongs."""
    folder = rng.choice([*_folders(files), *({path.rpartition("/")[0] for path in files} - {""})])
    return files | {f"{folder}/{rng.choice(['notes.txt', '9', 'more/deep.bin', 'c/9/9', 'x.ozx'])}": rng.choice((b"", b"hello"))}


def folder_for_file(files: Files, rng: random.Random) -> Files:
    """Put a folder in the place of a file."""
    path = _some_file(files, rng)
    return {other: data for other, data in files.items() if other != path} | {f"{path}/zarr.json": b"{}"}


FAULTS = (flip, cut, append, delete, rename, swap, swap_alike, strange, folder_for_file)
OF_FOLDERS = (delete_folder, rename_folder, swap_folders)


def _some_file(files: Files, rng: random.Random) -> str:
    """Draw a file: first its kind, so that the few tables and texts are hit as often as the many chunks."""
    kinds: dict[str, list[str]] = {}
    for path, data in sorted(files.items()):
        if data:
            name = path.rpartition("/")[2]
            kinds.setdefault(name if "." in name else "chunk", []).append(path)
    return rng.choice(kinds[rng.choice([*kinds, "chunk"] if "chunk" in kinds else list(kinds))])


def _folders(files: Files) -> list[str]:
    found = {path.rsplit("/", depth)[0] for path in files for depth in range(1, path.count("/") + 1)}
    return sorted(found)


def _moved(files: Files, places: dict[str, str]) -> Files:
    moved = {}
    for path, data in files.items():
        old = next((place for place in places if path.startswith(f"{place}/")), None)
        moved[path if old is None else places[old] + path[len(old) :]] = data
    return moved


# --- what must be said of them ----------------------------------------------------------------------------------------


def changed(old: Files, new: Files) -> list[str]:
    """Return the paths whose bytes are others, that are gone, or new."""
    return sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))


def names(found: Verification, path: str) -> bool:
    """Whether a problem names a file: by its path, a folder above it, or the image it belongs to."""
    inner = path.removeprefix(IMAGES)
    owner = "/".join(inner.split("/")[:3]) if inner != path and inner.count("/") > 2 else None
    return any(
        problem.where == path
        or path.startswith(f"{problem.where}/")
        or (owner == problem.where and (inner[len(owner) + 1 :] in problem.message or "zarr.json" in problem.message
            or problem.rule in ("missing", "unexpected", "misplaced")))
        for problem in found.problems
    )  # fmt: skip


def assert_found(scene: Scene, files: Files, what: str) -> None:
    """Verify a folder with something wrong: every path that changed must be named."""
    with scene.showing(files) as folder:
        wrong = changed(scene.files, files)
        assert wrong, what
        try:
            found = verify(folder, pixels=False)
        except StoreError as error:
            assert not any(path.startswith(IMAGES) or path == MANIFEST for path in files), f"{what} {wrong}: {error}"
            return
        assert not found.ok, f"{what}: {wrong} not found"
        if MANIFEST in wrong:
            wrong = [MANIFEST]  # what should be in a release is then not known
        if found.kind == "store":  # what lies beside a store is no part of it
            wrong = [path for path in wrong if path in scene.files or path.startswith((IMAGES, "imports/"))]
        if found.kind == "release":  # without its store it is whole
            wrong = [path for path in wrong if not path.startswith(IMAGES)]
        unnamed = [path for path in wrong if not names(found, path)]
        assert not unnamed, f"{what}: {unnamed} not named by {[str(problem) for problem in found.problems]}"


@pytest.fixture(scope="module")
def store(colour_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(colour_store, tmp_path_factory.mktemp("faults") / "store")


@pytest.fixture(scope="module")
def release(colour_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(colour_release, tmp_path_factory.mktemp("faults") / "release")


@pytest.fixture(scope="module")
def both(colour_store: Path, colour_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A store with its release in the same folder."""
    folder = tmp_path_factory.mktemp("faults") / "both"
    shutil.copytree(colour_store, folder)
    shutil.copytree(colour_release, folder, dirs_exist_ok=True)
    return Scene(folder, folder.with_name("scene"))


def run(scene: Scene, faults: tuple[Callable[[Files, random.Random], Files], ...], times: int, seed: int) -> None:
    for number in range(times):
        rng = random.Random(f"{seed} {number}")
        fault = faults[number % len(faults)]
        assert_found(scene, fault(scene.files, rng), f"{fault.__name__} {seed} {number}")


@pytest.mark.parametrize("seed", range(4))
def test_faults_of_a_store(store: Scene, seed: int) -> None:
    run(store, (*FAULTS, *OF_FOLDERS), 30, seed)


@pytest.mark.parametrize("seed", range(4))
def test_faults_of_a_release(release: Scene, seed: int) -> None:
    run(release, FAULTS, 30, seed)


def test_faults_where_both_are(both: Scene) -> None:
    run(both, FAULTS, 36, 0)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10, 20))
@pytest.mark.parametrize("place", ["store", "release", "both"])
def test_a_thousand_faults(place: str, seed: int, request: pytest.FixtureRequest) -> None:
    run(request.getfixturevalue(place), FAULTS if place == "release" else (*FAULTS, *OF_FOLDERS), 100, seed)
