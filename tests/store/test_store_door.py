"""The room's public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import miso_gen.store


def test_all_is_sorted_and_complete():
    names = miso_gen.store.__all__
    assert set(names) == {name for names in miso_gen.store._HOMES.values() for name in names}
    assert all(getattr(miso_gen.store, name) is not None for name in names)
    assert dir(miso_gen.store) == sorted(names)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, miso_gen.store as s; [getattr(s, n) for n in s.__all__];"
        "print([m for m in ('zarr', 'pandas', 'pyarrow', 'fsspec', 'torch', 'dask') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
