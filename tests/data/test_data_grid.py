"""Where patches lie: against loops, for any size of image and patch."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.data.grid import grid_patches
from miso_gen.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from miso_gen.data.grid import Patches

Place = tuple[int, int, int, int, int]
SIDES = st.integers(1, 90)


def literal(height: int, width: int, size: int, shift: str) -> list[Place]:
    """Walk over both grids, patch by patch; keep what lies in the image."""
    starts = {"half": [0, size // 2], "none": [0], "legacy": [0, 0]}[shift]
    found = []
    for grid, start in enumerate(starts):
        for i in range(height):
            for j in range(width):
                row, col = start + i * size, start + j * size
                if row + size <= height and col + size <= width:
                    found.append((grid, i, j, row, col))
    return found


def places(patches: Patches) -> list[Place]:
    columns = (patches.grid, patches.i, patches.j, patches.row, patches.col)
    assert {column.dtype.name for column in columns} == {"int64"}
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(SIDES, SIDES, st.integers(2, 100), st.sampled_from(["half", "none", "legacy"]))
def test_grids_are_the_definition(height: int, width: int, size: int, shift: Any) -> None:
    found = grid_patches(height, width, size, shift)
    assert places(found) == literal(height, width, size, shift)
    assert len(found) == len(found.row)


@pytest.mark.parametrize(
    ("height", "width", "size", "none", "half"),
    [
        (3072, 3072, 96, 32 * 32, 32 * 32 + 31 * 31),
        (3072, 3072, 224, 13 * 13, 13 * 13 + 13 * 13),  # 3072 = 13 x 224 + 160: the shifted grid fits as often
        (300, 280, 96, 3 * 2, 3 * 2 + 2 * 2),
    ],
)
def test_counts(height: int, width: int, size: int, none: int, half: int) -> None:
    assert len(grid_patches(height, width, size, "none")) == none
    assert len(grid_patches(height, width, size, "half")) == half
    assert len(grid_patches(height, width, size)) == half
    assert len(grid_patches(height, width, size, "legacy")) == 2 * none


def test_an_image_smaller_than_a_patch_has_none() -> None:
    for shift in ("half", "none", "legacy"):
        found = grid_patches(95, 300, 96, shift)
        assert places(found) == []


def test_patches_of_one_pixel() -> None:
    assert places(grid_patches(1, 2, 1, "none")) == [(0, 0, 0, 0, 0), (0, 0, 1, 0, 1)]
    with pytest.raises(InputError, match=r"size of patches must be a whole number of pixels from 2, got 1\."):
        grid_patches(10, 10, 1, "half")


@pytest.mark.parametrize("size", [0, -3, 1.5, True, "96"])
def test_sizes_that_cannot_be(size: Any) -> None:
    with pytest.raises(InputError, match="size of patches must be a whole number of pixels from 1, got"):
        grid_patches(100, 100, size, "none")


def test_unknown_shifts() -> None:
    with pytest.raises(InputError, match="shift must be one of half, none, legacy, got 'full'"):
        grid_patches(100, 100, 10, "full")  # type: ignore[arg-type]


def test_the_door() -> None:
    """Every name is where the door says, whatever was imported before, and needs no torch but where it must."""
    import miso_gen.data as door

    assert dir(door) == sorted(door.__all__, key=lambda name: (name[0].islower(), name))
    assert {name for names in door._HOMES.values() for name in names} == set(door.__all__)
    assert not set(door._HOMES) & set(door.__all__)  # a module would hide a name of its own
    without = {"grid", "order", "patches", "sampling", "splitting", "stitching"}
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'torchvision', 'lightning'])); import miso_gen.data as door; "
        f"[getattr(door, name) for home, names in door._HOMES.items() if home in {without!r} for name in names]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'patchtable'"):
        _ = door.patchtable


def test_without_torch_the_door_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import miso_gen.data as door

    for package, module, name in (("torch", "transforms", "Dihedral"), ("lightning", "module", "MisoDataModule")):
        monkeypatch.delitem(vars(door), name, raising=False)
        monkeypatch.delitem(sys.modules, f"miso_gen.data.{module}", raising=False)
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(
            MissingExtraError, match=rf"miso_gen.data.{name} needs the package '{package}', which is not installed"
        ):
            getattr(door, name)
