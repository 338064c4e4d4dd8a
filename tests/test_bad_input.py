"""What the command line answers to bad input: one clear message, the right exit code, and nothing that looks whole."""

from __future__ import annotations

import json
import os
import shutil

import building
import pytest
from building import assert_equal_trees, cli, looks_whole

from miso_gen import work
from miso_gen.build import build
from miso_gen.errors import SpaceError
from miso_gen.store import BuildLock, open_target


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The small recipe as a file."""
    return building.recipe_file(tmp_path_factory.mktemp("recipe") / "small.yaml", building.SMALL)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A store of a part of the small recipe; not to be changed."""
    folder = tmp_path_factory.mktemp("built") / "store"
    build(building.small(scenarios=["evp", "gsp"], splits=["test"]), folder, workers=1)
    return folder


@pytest.fixture
def store(built, tmp_path):
    """A copy of it, to be changed."""
    shutil.copytree(built, tmp_path / "store")
    return tmp_path / "store"


def refused(result, message, code=2):
    """Check that a command said one thing on stderr, nothing on stdout, and exited with a code."""
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert [line.startswith("error: ") for line in result.stderr.splitlines()].count(True) == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


# --- recipes ----------------------------------------------------------------------------------------------------------

SETTINGS = [
    # unknown names
    (
        "scenarios.evp.type=evpp",
        "scenarios[0].type must be a scenario, one of cell, cell-field, dsp, evp, evsp, fm, gsp, md, tissue, got 'evpp'. "
        "Did you mean 'evp'?",
    ),
    ("scenarios.evp.fuz=0.1", "scenarios[0].fuz must be one of the keys type, name, labels"),
    ("sed=1", "sed must be one of the keys schema, name, version"),
    ("sed=1", "Did you mean 'seed'?"),
    ("scenarios.gsp.morphologies.only=[teapod]", "got 'teapod'. Did you mean 'teapot'?"),
    (
        "scenarios.gsp.background=salt",
        "scenarios[4].background.type must be a background, one of black, color-field, constant, rings, salt-and-pepper, "
        "got 'salt'",
    ),
    ("canvas.dtype=int8", "canvas.dtype must be 'uint8', 'uint16' or 'float32', got 'int8'. Did you mean 'uint8'?"),
    ("scenarios.gps.fuzz=0.1", "Did you mean 'gsp'?"),
    # numbers out of range
    ("scenarios.evp.background={type: salt-and-pepper, probability: 1.5}", "probability must be at most 1.0, got 1.5"),
    ("scenarios.evp.fuzz=-0.1", "fuzz must be at least 0.0, got -0.1"),
    ("scenarios.evp.fuzz=a lot", "fuzz must be a number, got 'a lot'"),
    ("scenarios.gsp.radius_px=500", "radius_px must give a disc smaller than the object ("),
    ("scenarios.gsp.radius_px={uniform: [30, 10]}", "radius_px"),
    ("scenarios.fm.shrink=500", "fm: shrink must leave tiles of at least 2 x 2 px on a 300 x 280 canvas, got 500"),
    ("seed=-1", "seed must be at least 0, got -1"),
    ("canvas.channels=2", "canvas.channels must be 1 or 3, got 2"),
    ("codec=gzip", "codec must be 'lz4' or 'zstd', got 'gzip'"),
    ("splits=[]", "splits must be a list of at least 1"),
    # canvases
    ("canvas.shape=[32, 32]", "canvas.shape[0] must be at least 64, got 32"),
    ("canvas.shape=[3000]", "canvas.shape"),
    ("canvas.shape=[64, 64]", "must show on the canvas, nothing of it does. Fit deformations[1] to the canvas (64 x 64)"),
    # the option itself
    ("seed", "--set must be key.path=value, got 'seed'. For example: --set seed=7."),
    ("=7", "--set must be key.path=value, got '=7'"),
    ("seed=[1", "--set seed=[1"),
]


@pytest.mark.parametrize(("setting", "message"), SETTINGS)
@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_value_that_cannot_be(recipe, tmp_path, command, setting, message):
    out = ["-o", tmp_path / "out"] if command == "build" else []
    refused(cli(command, recipe, *out, "--set", setting), message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scenario", ["gsp", "md"])
def test_a_canvas_too_small_for_the_published_numbers(tmp_path, scenario):
    head = {key: building.SMALL[key] for key in ("schema", "name", "splits")}
    path = building.recipe_file(tmp_path / "r.yaml", {**head, "canvas": {"shape": [64, 64]}, "scenarios": [{"type": scenario}]})
    result = cli("build", path, "-o", tmp_path / "out")
    refused(result, f"error: {scenario}")
    assert "canvas" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["build", "plan", "preview"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("miso1-mni", "Did you mean 'miso1-mini'?"),
        ("mso1", "Did you mean 'miso1'?"),
        ("recipes/gigapixl.yaml", "Did you mean 'gigapixel'?"),
        (
            "nowhere/at/all.yaml",
            "the recipe must be an existing file or one of cell-field, cell-field-mini, cells10, gigapixel, miso1",
        ),
        ("", "the recipe must be a"),
        (".", "the recipe must be a file, got a folder"),
    ],
)
def test_a_recipe_that_is_not_there(tmp_path, monkeypatch, command, name, message):
    monkeypatch.chdir(tmp_path)
    refused(cli(command, name), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "r.yaml"),
        (b"schema: 1\nname: [", "r.yaml"),
        (b"\xff\xfe\x00", "r.yaml"),
        (b"schema: 9\nname: x\ncanvas: {shape: [64, 64]}\nsplits: [a]\nscenarios: [evp]\n", "schema must be 1, got 9"),
        (b"just words", "r.yaml"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, text, message):
    (tmp_path / "r.yaml").write_bytes(text)
    refused(cli("build", tmp_path / "r.yaml", "-o", tmp_path / "out"), message)
    assert not (tmp_path / "out").exists()


# --- numbers of the build ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tile", "7"], "tile must be at least 16 px, got 7"),
        (["--chunk", "0"], "chunk must be at least 1 px, got 0"),
        (["--chunk", "100", "--shard", "150"], "shard must be a multiple of the chunk (100), got 150. Nearest: 200."),
        (["--shard", "100"], "shard must be a multiple of the chunk (256), got 100. Nearest: 256."),
        (["--chunk", "50", "--shard", "150"], "shard must be a multiple of 256 where an image has several, got 150"),
    ],
)
def test_numbers_that_do_not_fit(recipe, tmp_path, options, message):
    refused(cli("build", recipe, "-o", tmp_path / "out", *options), message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--workers", "0"], ["--workers", "two"], ["--tile", "x"], ["--nonsense"], ["a", "b"]])
def test_options_that_click_refuses(recipe, tmp_path, options):
    result = cli("build", recipe, "-o", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert not (tmp_path / "out").exists()


# --- outputs ----------------------------------------------------------------------------------------------------------


def test_output_is_a_file(recipe, tmp_path):
    (tmp_path / "out").write_text("mine")
    refused(cli("build", recipe, "-o", tmp_path / "out"), f"output must be a folder, got the file {tmp_path}/out")
    assert (tmp_path / "out").read_text() == "mine"


def test_output_below_a_file(recipe, tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(
        cli("build", recipe, "-o", tmp_path / "file" / "out"), "must be writable, got 'Not a directory'. Choose another output"
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_output_where_nothing_can_be_made(recipe):
    refused(cli("build", recipe, "-o", "/proc/nowhere/out"), "error: /proc must be a place for folders")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_is_read_only(recipe, tmp_path):
    (tmp_path / "out").mkdir(mode=0o555)
    refused(cli("build", recipe, "-o", tmp_path / "out"), "must be writable, got 'Permission denied'")


def test_output_is_a_foreign_folder(recipe, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    refused(cli("build", recipe, "-o", tmp_path / "out"), "must be new or a store of this recipe, got something else")
    assert building.tree(tmp_path / "out") == {"thesis.tex": b"mine"}


def test_output_is_a_foreign_zarr_group(recipe, tmp_path):
    import zarr

    zarr.create_group(tmp_path / "out" / "images.zarr", attributes={"whose": "mine"})
    before = building.tree(tmp_path / "out")
    refused(cli("build", recipe, "-o", tmp_path / "out"), "must be new or a store of this recipe, got something else")
    assert building.tree(tmp_path / "out") == before


def test_output_holds_images_without_a_root(recipe, store):
    """Nobody can say whose they are."""
    (store / "images.zarr/zarr.json").unlink()
    (store / "index.parquet").unlink()
    before = building.tree(store)
    refused(cli("build", recipe, "-o", store), "must be new or a")
    assert building.tree(store) == before


@pytest.mark.parametrize("setting", ["seed=5", "version=2.0.0", "name=other", "scenarios.evp.fuzz=0.5"])
def test_output_is_another_recipes_store(recipe, store, built, setting):
    refused(cli("build", recipe, "-o", store, "--set", setting), "must be a store of")
    assert_equal_trees(store, built)


def test_output_is_a_store_of_another_layout(recipe, store):
    path = store / "images.zarr/zarr.json"
    path.write_text(path.read_text().replace('"layout": 1', '"layout": 99'))
    before = building.tree(store)
    refused(cli("build", recipe, "-o", store), "must be new or a store of this recipe")
    assert building.tree(store) == before


def test_output_is_a_damaged_store(recipe, store):
    path = store / "images.zarr/zarr.json"
    path.write_bytes(path.read_bytes()[:100])
    before = building.tree(store)
    refused(cli("build", recipe, "-o", store), "must be new or a store of this recipe, got a damaged store")
    assert building.tree(store) == before


def test_two_builds_at_one_place(recipe, tmp_path):
    with BuildLock(open_target(tmp_path / "out")):
        refused(cli("build", recipe, "-o", tmp_path / "out"), f"got a build by process {os.getpid()} on ")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["build.lock"]
    assert cli("build", recipe, "-o", tmp_path / "out", "-q").exit_code == 0


def test_two_commands_at_one_place(tmp_path):
    """Two processes, as users have them: the second is refused, the first is not disturbed."""
    recipe = building.recipe_file(tmp_path / "slow.yaml", building.SLOW)
    first = building.start("build", recipe, "-o", tmp_path / "out", "--workers", 1)
    building.wait_for(lambda: building.images(tmp_path / "out") or first.poll() is not None, "the first image")
    refused(cli("build", recipe, "-o", tmp_path / "out"), f"got a build by process {first.pid} on ")
    out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert f"{building.SLOW_IMAGES} images built, 0 kept" in out
    assert looks_whole(tmp_path / "out")


@pytest.mark.parametrize("command", ["build", "info"])
def test_a_url_that_nobody_knows(recipe, command):
    arguments = [recipe, "-o"] if command == "build" else []
    refused(cli(command, *arguments, "nonsense://x/y"), "must be a path or a URL that fsspec knows, got 'nonsense://x/y'")


def test_a_full_disk(recipe, tmp_path, monkeypatch):
    original = work.make_scene

    def full(plan):
        if plan.id == "dsp/test/0003":
            raise SpaceError("/disk must fit. Free some space and build again: what is complete is kept.")
        return original(plan)

    monkeypatch.setattr(work, "make_scene", full)
    result = cli("build", recipe, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.endswith("error: /disk must fit. Free some space and build again: what is complete is kept.\n")
    assert not looks_whole(tmp_path / "out")
    assert building.images(tmp_path / "out")


def test_images_that_fail(recipe, tmp_path, monkeypatch):
    original = work.make_scene

    def broken(plan):
        if plan.id in ("dsp/test/0003", "fm/train/0001"):
            raise ZeroDivisionError("no such thing")
        return original(plan)

    with monkeypatch.context() as patch:
        patch.setattr(work, "make_scene", broken)
        result = cli("build", recipe, "-o", tmp_path / "out")
        as_json = cli("build", recipe, "-o", tmp_path / "out", "--json")
        quiet = cli("build", recipe, "-o", tmp_path / "out", "-q")
    assert (result.exit_code, as_json.exit_code, quiet.exit_code) == (1, 1, 1)
    summary = (
        f"error: 2 of {building.IMAGES} images failed (dsp/test/0003, fm/train/0001): ZeroDivisionError: no such thing. "
        "The store is not complete; run the same command to try them again."
    )
    assert result.stderr.splitlines()[-1] == as_json.stderr.strip() == quiet.stderr.strip() == summary
    assert "failed: dsp/test/0003: ZeroDivisionError: no such thing" in result.stderr
    assert "root digest" not in result.stdout
    assert quiet.stdout == ""
    found = json.loads(as_json.stdout)
    assert found["failures"].keys() == {"dsp/test/0003", "fm/train/0001"}
    assert (found["root_digest"], found["built"], found["kept"]) == (None, 0, building.IMAGES - 2)
    assert not looks_whole(tmp_path / "out")
    assert cli("build", recipe, "-o", tmp_path / "out").exit_code == 0
    assert looks_whole(tmp_path / "out")


# --- stores -----------------------------------------------------------------------------------------------------------


def cut(path, keep=50):
    path.write_bytes(path.read_bytes()[:keep])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda store: cut(store / "images.zarr/zarr.json"), "images.zarr/zarr.json"),
        (lambda store: (store / "images.zarr/zarr.json").write_text("{}"), "must be a miso-gen store"),
        (lambda store: (store / "images.zarr/zarr.json").write_text("[]"), "images.zarr/zarr.json"),
        (lambda store: (store / "images.zarr/zarr.json").unlink(), "images.zarr without a zarr.json"),
        (lambda store: cut(store / "index.parquet", -100), "index.parquet must be a Parquet file"),
        (lambda store: (store / "index.parquet").unlink(), "index.parquet must exist in a complete store"),
        (lambda store: shutil.rmtree(store / "images.zarr"), "must be a miso-gen store, got a folder without images.zarr"),
    ],
)
@pytest.mark.parametrize("command", ["info", "view"])
def test_a_damaged_store(store, tmp_path, command, damage, message):
    damage(store)
    options = ["gsp/test/0002", "-o", tmp_path / "x.png"] if command == "view" else []
    refused(cli(command, store, *options), message)
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda image: cut(image / "0/c/0/0/0"),
        lambda image: cut(image / "labels/truth/0/c/0/0"),
        lambda image: cut(image / "0/zarr.json"),
        lambda image: cut(image / "zarr.json"),
        lambda image: (image / "0/c/0/0/0").unlink(),
        lambda image: shutil.rmtree(image),
    ],
)
def test_view_of_a_damaged_image(store, tmp_path, damage):
    damage(store / "images.zarr/gsp/test/0002")
    refused(cli("view", store, "gsp/test/0002", "-o", tmp_path / "x.png"), "images.zarr/gsp/test/0002")
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "must be a miso-gen store, got no such path. Build one with: miso-gen build"),
        (lambda path: path.write_text("x"), "must be a miso-gen store, got a file"),
        (lambda path: path.mkdir(), "must be a miso-gen store, got a folder without images.zarr"),
        (
            lambda path: (path / "images.zarr").mkdir(parents=True),
            "must be a miso-gen store, got images.zarr without a zarr.json",
        ),
    ],
)
@pytest.mark.parametrize("command", ["info", "view"])
def test_what_is_no_store(tmp_path, command, make, message):
    make(tmp_path / "store")
    refused(cli(command, tmp_path / "store", *(["evp/test/0001"] if command == "view" else [])), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gsp/test/2"], "image must be one of evp/test/0001, "),
        (["gsp/test/02"], "Did you mean 'gsp/test/0002'?"),
        (["gsp/test/0002", "--box", "0,0,301,10"], "box must lie on the 300 x 280 image and hold a pixel, got 0,0,301,10"),
        (["gsp/test/0002", "--box", "-1,0,20,10"], "box must"),
        (["gsp/test/0002", "--box", "5,5,5,9"], "hold a pixel"),
        (["gsp/test/0002", "--box", "9,9,5,5"], "box must"),
        (["gsp/test/0002", "--box", "1,2,3"], "--box must be TOP,LEFT,BOTTOM,RIGHT in whole pixels, got '1,2,3'"),
        (["gsp/test/0002", "--box", "a,b,c,d"], "--box must be TOP,LEFT,BOTTOM,RIGHT in whole pixels, got 'a,b,c,d'"),
        (["gsp/test/0002", "-o", "no/folder/x.png"], "folder of no/folder/x.png must exist, got none"),
    ],
)
def test_view_of_what_is_not_there(built, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    refused(cli("view", built, *arguments), message)
    assert list(tmp_path.iterdir()) == []


def test_view_into_a_place_that_cannot_be_written(built, tmp_path):
    refused(cli("view", built, "gsp/test/0002", "-o", "/proc/x.png"), "/proc/x.png must be writable, got 'No such file")
    refused(cli("schema", "-o", "/proc/x.json"), "/proc/x.json must be writable")


# --- other commands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "Bad_Name"], "name must be small letters, digits and single hyphens, such as my-shapes, got 'Bad_Name'"),
        (["new", "../escape"], "name must be small letters"),
        (["new", "a" * 65], "name must be small letters"),
        (["new", "mine", "--from", "tutorial-1"], "recipe must be one of cell-field, cell-field-mini, cells10, gigapixel, miso1"),
        (["list", "scenarioss"], "kind must be one of recipes, scenarios, backgrounds"),
        (["list", "scenarioss"], "Did you mean 'scenarios'?"),
        (["schema", "-o", "no/folder/x.json"], "folder of no/folder/x.json must exist, got none"),
        (["preview", "tutorial-01-first", "--scenario", "gsp"], "scenario must be one of evp, got 'gsp'"),
        (["preview", "tutorial-01-first", "-o", "no/folder/x.png"], "folder of no/folder/x.png must exist, got none"),
    ],
)
def test_other_commands(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    refused(cli(*arguments), message)
    assert list(tmp_path.iterdir()) == []


def test_new_leaves_a_file_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("mine")
    refused(cli("new", "mine"), "mine.yaml must be new, got a file that is there")
    assert (tmp_path / "mine.yaml").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["bild"], ["build"], ["view", "x"], ["--nonsense"]])
def test_commands_that_are_none(arguments):
    result = cli(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
