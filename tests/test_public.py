"""The public door: what a notebook uses."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types
from pathlib import Path

import building
import numpy as np
import pytest

import miso_gen
from miso_gen.recipe import recipe_files


def test_all_names():
    assert miso_gen.__all__ == sorted(miso_gen.__all__)
    assert len(set(miso_gen.__all__)) == len(miso_gen.__all__)
    for name in miso_gen.__all__:
        value = getattr(miso_gen, name)
        assert not isinstance(value, types.ModuleType), name
    assert set(miso_gen.__all__) <= set(dir(miso_gen))
    assert {"build", "load_recipe", "open_dataset", "plan_images", "preview", "render", "validate_store"} <= set(miso_gen.__all__)


def test_star_import():
    found: dict[str, object] = {}
    exec("from miso_gen import *", found)
    assert {name: found[name] for name in miso_gen.__all__} == {name: getattr(miso_gen, name) for name in miso_gen.__all__}


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'miso_gen' has no attribute 'bild'"):
        _ = miso_gen.bild
    with pytest.raises(ImportError, match="cannot import name 'bild'"):
        exec("from miso_gen import bild")


ORDERS = [
    "import miso_gen.build, miso_gen.render, miso_gen.preview",
    "from miso_gen.build import default_output; from miso_gen.render import render_box; import miso_gen.preview",
    "from miso_gen import build, render, preview; import miso_gen.build, miso_gen.render, miso_gen.preview",
    "import importlib; [importlib.import_module(f'miso_gen.{n}') for n in ('preview', 'render', 'build')]",
    "import miso_gen; miso_gen.build; import miso_gen.build",
    "import miso_gen.cli, miso_gen.work, miso_gen.store.validate",
]


@pytest.mark.parametrize("first", ORDERS)
def test_functions_keep_their_names(first):
    """Some modules bear the name of a public function; whatever is imported first, users get the function."""
    check = (
        f"{first}\n"
        "import miso_gen, types\n"
        "from miso_gen import build, render, preview\n"
        "for name in ('build', 'render', 'preview'):\n"
        "    for value in (locals()[name], getattr(miso_gen, name)):\n"
        "        assert isinstance(value, types.FunctionType), (name, value)\n"
        "        assert value.__name__ == name and value.__module__.startswith('miso_gen.' + name)\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_importing_is_light():
    code = (
        "import sys, miso_gen\n"
        "dir(miso_gen), miso_gen.__version__, miso_gen.__all__\n"
        "print([name for name in ('numpy', 'zarr', 'dask', 'pandas', 'pydantic', 'torch') if name in sys.modules])\n"
        "miso_gen.load_recipe, miso_gen.plan_images\n"
        "print([name for name in ('zarr', 'dask', 'pandas', 'torch') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["[]", "[]"]


def test_a_build_needs_no_torch(tmp_path):
    recipe = building.recipe_file(tmp_path / "r.yaml", building.SMALL)
    code = (
        "import sys\n"
        # None stands for a module that can't be imported
        "sys.modules |= dict.fromkeys(('torch', 'torchvision', 'lightning', 'skimage', 'scipy', 'moto', 's3fs'))\n"
        "from miso_gen import build, open_dataset\n"
        f"build({recipe!r}, {str(tmp_path / 'out')!r}, workers=1)\n"
        f"print(len(open_dataset({str(tmp_path / 'out')!r})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == f"{building.IMAGES}\n"


def test_a_notebook(tmp_path, monkeypatch):
    """The lines of DESIGN section 12."""
    from miso_gen import BuildResult, Dataset, ImagePlan, Recipe, build, load_recipe, open_dataset, plan_images, render

    monkeypatch.chdir(tmp_path)
    building.recipe_file(Path("small.yaml"), building.SMALL)
    recipe = load_recipe("small.yaml", overrides={"seed": 7})
    assert isinstance(recipe, Recipe)
    assert recipe.seed == 7
    plan = plan_images(recipe)
    assert isinstance(plan, tuple)
    assert all(isinstance(image, ImagePlan) for image in plan)
    image, truth = render(recipe, "gsp/test/0007", box=None)
    assert (image.shape, image.dtype, truth.shape, truth.dtype) == ((1, 300, 280), np.uint8, (300, 280), np.uint8)
    part, part_truth = render(recipe, "gsp/test/0007", box=(10, 20, 200, 77))
    assert np.array_equal(part, image[:, 10:200, 20:77])
    assert np.array_equal(part_truth, truth[10:200, 20:77])
    result = build(recipe, "out", workers=1)
    assert isinstance(result, BuildResult)
    assert (len(result.root_digest), result.images, result.failures) == (64, len(plan), ())
    ds = open_dataset("out")
    assert isinstance(ds, Dataset)
    assert set(ds.table["image_id"]) == {image.id for image in plan}
    assert np.array_equal(ds["gsp/test/0007"].image[...], image)
    assert np.array_equal(ds["gsp/test/0007"].truth[...], truth)
    assert np.array_equal(ds["gsp/test/0007"].instances[...] > 0, truth > 0)
    assert miso_gen.validate_store("out") == []
    assert build(load_recipe("small.yaml"), "other", workers=1).root_digest != result.root_digest


def test_the_docstring_of_the_package_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    text = recipe_files()["miso1-mini"].read_text()
    only = "{type: builtin, only: [canary, key, pear, teapot]}"  # enough for the image that is named
    (tmp_path / "recipes/miso1.yaml").write_text(text.replace("{type: builtin}", only))
    source = miso_gen.__doc__.partition("::")[2].replace("workers=2", "workers=1")
    exec(textwrap.dedent(source), found := {})
    assert found["truth"].shape == found["image"].shape[1:]
    assert len(found["dataset"]) == len(found["plan_images"](found["recipe"]))
