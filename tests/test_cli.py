"""The command line at work: what each command prints, writes and exits with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter

import building
import jsonschema
import pytest
import yaml
from building import cli
from click.testing import CliRunner

from miso_gen import __version__
from miso_gen.build import build
from miso_gen.catalogue import SCORES, catalogue
from miso_gen.cli import main
from miso_gen.console import count, duration, size
from miso_gen.describe import describe
from miso_gen.errors import MissingExtraError
from miso_gen.recipe import load_recipe, plan_images, recipe_files, recipe_json_schema
from miso_gen.store import open_dataset
from miso_gen.store.root import root_text

COMMANDS = (
    "build",
    "check",
    "diff",
    "doctor",
    "evaluate",
    "explain",
    "export",
    "fetch",
    "info",
    "list",
    "new",
    "plan",
    "predict",
    "preview",
    "publish",
    "release",
    "report",
    "sanity",
    "schema",
    "score",
    "train",
    "verify",
    "view",
)
PARTS = {"scenarios": ["evp", "gsp"], "splits": ["test"]}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A part of the small recipe as a file."""
    data = {**building.SMALL, "splits": ["test"]}
    data["scenarios"] = [entry for entry in data["scenarios"] if entry["type"] in PARTS["scenarios"]]
    return building.recipe_file(tmp_path_factory.mktemp("recipe") / "small.yaml", data)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "store"
    build(building.small(**PARTS), folder, workers=1)
    return folder


@pytest.fixture
def building_store(store, tmp_path):
    """A store whose build was stopped after 13 of 16 images."""
    folder = tmp_path / "stopped"
    shutil.copytree(store, folder)
    for number in (2, 3, 5):
        shutil.rmtree(folder / f"images.zarr/gsp/test/000{number}")
    for name in ("index.parquet", "instances.parquet"):
        (folder / name).unlink()
    path = folder / "images.zarr/zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["miso"] |= {"state": "building", "root_digest": None, "images": None}
    path.write_bytes(root_text(document["attributes"]["miso"]))
    return folder


def done(result):
    assert result.exit_code == 0, result.output
    return result


def rows(text, after):
    """Return the rows of a printed table, as words, from the line after the one that begins so."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(after)) + 1
    return [line.split() for line in lines[start:]]


# --- all commands -----------------------------------------------------------------------------------------------------


def test_commands():
    assert tuple(sorted(main.commands)) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_has_an_example(command, option):
    text = done(cli(command, option)).stdout
    assert "Example:" in text
    assert f"miso-gen {command} " in text.partition("Example:")[2] or f"miso-gen {command}\n" in text.partition("Example:")[2]
    assert text.startswith("Usage: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_have_the_right_form(command):
    """Every example parses: its options and arguments are those of the command."""
    text = main.commands[command].help
    (example,) = [line.split() for line in text.partition("Example:")[2].splitlines() if "miso-gen" in line]
    context = main.commands[command].make_context(command, example[2:], resilient_parsing=False)
    assert context.params


def test_version():
    assert done(cli("--version")).stdout == f"miso-gen, version {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["--version"]])
def test_help_is_light(arguments):
    code = (
        "import sys\n"
        "from miso_gen.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "heavy = ('numpy', 'zarr', 'dask', 'distributed', 'pandas', 'pyarrow', 'cv2', 'torch', 'pydantic', 'rich')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr == "[]\n"
    assert run.stdout


def test_the_command_is_installed():
    run = subprocess.run([building.COMMAND, "list", "points", "--json"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert list(json.loads(run.stdout)) == ["points"]


# --- build ------------------------------------------------------------------------------------------------------------


def test_build(recipe, store, tmp_path):
    result = done(cli("build", recipe, "-o", tmp_path / "out"))
    digest = open_dataset(store).root_digest
    first, *_, last = result.stdout.splitlines()
    assert first.startswith(f"{tmp_path}/out: 16 images built, 0 kept, ")
    assert last == f"root digest {digest}"
    said = result.stderr.splitlines()
    assert said[0] == "16 images, 0 of them there already"
    assert [line.partition(" done, ")[0] for line in said[1:]] == ["evp", "gsp"]
    assert said[-1].startswith("gsp done, 16/16 images, ")
    building.assert_equal_trees(tmp_path / "out", store)


def test_the_balance_is_that_of_the_pixels(recipe, store, tmp_path):
    text = done(cli("build", recipe, "-o", tmp_path / "out")).stdout
    found = {tuple(row[:4]): row[4:] for row in rows(text, "scenario")[:-1]}
    groups: dict = {}
    dataset = open_dataset(store)
    for _, row in dataset.table.iterrows():
        truth = dataset[row.image_id].truth[...]
        shares = ((truth >= 1).mean(), (truth == 2).mean())
        groups.setdefault((row.scenario, row.split, str(row.label), row.class_name), []).append(shares)
    expected = {
        key: [str(len(many)), *(f"{sum(shares) / len(many):.3f}" for shares in zip(*many, strict=True))]
        for key, many in groups.items()
    }
    assert found == expected
    assert len(found) == 4


def test_build_again(recipe, tmp_path):
    done(cli("build", recipe, "-o", tmp_path / "out"))
    result = done(cli("build", recipe, "-o", tmp_path / "out"))
    assert result.stdout.startswith(f"{tmp_path}/out: 0 images built, 16 kept, ")
    assert result.stderr == "16 images, 16 of them there already\n"


def test_build_as_json(recipe, store, tmp_path):
    result = done(cli("build", recipe, "-o", tmp_path / "out", "--json"))
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found.pop("seconds") > 0
    assert found == {
        "path": str(tmp_path / "out"),
        "root_digest": open_dataset(store).root_digest,
        "images": 16,
        "built": 16,
        "kept": 0,
        "failures": {},
        "pixels": 16 * 300 * 280,
    }


def test_build_quietly(recipe, tmp_path):
    result = done(cli("build", recipe, "-o", tmp_path / "out", "-q"))
    assert (result.stdout, result.stderr) == ("", "")


def test_build_verbosely(recipe, tmp_path):
    result = done(cli("build", recipe, "-o", tmp_path / "out", "-v"))
    said = [line.removesuffix(" done") for line in result.stderr.splitlines() if line.endswith(" done")]
    assert said == [plan.id for plan in plan_images(load_recipe(recipe))]


def test_build_with_settings(recipe, tmp_path):
    options = ["--set", "seed=9", "--set", "canvas.shape=[200, 210]", "--set", "scenarios.gsp.radius_px=12"]
    done(cli("build", recipe, "-o", tmp_path / "out", "-q", *options))
    table = open_dataset(tmp_path / "out").table
    assert set(table["height"]) == {200}
    assert set(table["width"]) == {210}
    overrides = {"seed": 9, "canvas.shape": [200, 210], "scenarios.gsp.radius_px": 12}
    expected = build(load_recipe(recipe, overrides), tmp_path / "other", workers=1)
    assert open_dataset(tmp_path / "out").root_digest == expected.root_digest


def test_build_to_the_default_place(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert done(cli("build", recipe)).stdout.startswith("datasets/small/1.0.0: 16 images built")
    assert len(open_dataset("datasets/small/1.0.0")) == 16


def test_build_on_a_terminal(recipe, tmp_path):
    """Bars on a terminal: a pseudo terminal of its own."""
    import os
    import pty

    leader, follower = pty.openpty()
    command = [building.COMMAND, "build", recipe, "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=follower, stdout=subprocess.PIPE, text=True, env={**os.environ, "TERM": "xterm"})
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    out, _ = process.communicate()
    os.close(leader)
    assert process.returncode == 0
    assert "16 images built" in out
    text = shown.decode()
    assert "16/16" in text
    assert "8/8" in text
    assert all(name in text for name in ("all", "evp", "gsp"))


# --- plan -------------------------------------------------------------------------------------------------------------


def test_plan(recipe):
    text = done(cli("plan", recipe)).stdout
    counts = Counter((p.scenario, p.split, str(p.label), p.class_name) for p in plan_images(load_recipe(recipe)))
    *table, last = rows(text, "scenario")
    assert {tuple(row[:4]): int(row[4]) for row in table} == counts
    digest = load_recipe(recipe).digest[:16]
    assert " ".join(last) == f"16 images of 300 x 280 px, 1 Mpx, 2.6 MiB with truth before compression; digest {digest}"


def test_plan_images(recipe):
    text = done(cli("plan", recipe, "--images")).stdout
    plans = plan_images(load_recipe(recipe))
    table = rows(text, "id")[: len(plans)]
    assert [row[:5] for row in table] == [[p.id, str(p.label), p.class_name, p.pair, p.morphology] for p in plans]
    for row, plan in zip(table, plans, strict=True):
        drawn = dict(item.rstrip(",").split("=") for item in row[5:])
        assert {key: float(value) for key, value in drawn.items()} == pytest.approx(dict(plan.params))


def test_plan_as_json(recipe, store):
    found = json.loads(done(cli("plan", recipe, "--json")).stdout)
    loaded = load_recipe(recipe)
    assert (found["name"], found["version"], found["digest"]) == ("small", "1.0.0", loaded.digest)
    table = open_dataset(store).table.set_index("image_id")
    assert {image["id"] for image in found["images"]} == set(table.index)
    for image in found["images"]:
        row = table.loc[image["id"]]
        assert (image["label"], image["class_name"], image["split"]) == (row.label, row.class_name, row.split)
        assert (image["pair"], image["morphology"]) == (row.pair, row.morphology)
        assert {key: row[f"params.{key}"] for key in image["params"]} == image["params"]


def test_plan_of_what_is_shipped():
    assert "1184 images of 3072 x 3072 px, 11,174 Mpx" in done(cli("plan", "miso1")).stdout


# --- info -------------------------------------------------------------------------------------------------------------


def test_info(store):
    text = done(cli("info", store)).stdout
    lines = text.splitlines()
    dataset = open_dataset(store)
    total = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    assert lines[0] == f"small 1.0.0: complete, 16 of 16 images, {size(total)}"
    assert lines[1].split() == ["recipe", "digest", dataset.recipe_digest]
    assert lines[2].split() == ["root", "digest", dataset.root_digest]
    assert lines[3].split(maxsplit=1) == ["canvas", "300 x 280 px, 1 channel, uint8"]
    assert f"miso-gen {__version__}" in lines[4]
    assert {tuple(row) for row in rows(text, "scenario")} == {
        ("evp", "test", "1", "hot", "4"),
        ("evp", "test", "0", "cold", "4"),
        ("gsp", "test", "0", "intact", "4"),
        ("gsp", "test", "1", "guilty", "4"),
    }


def test_info_as_json(store):
    found = json.loads(done(cli("info", store, "--json")).stdout)
    assert found == describe(str(store))
    assert found["bytes"] == sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    assert (found["state"], found["images"], found["planned"]) == ("complete", 16, 16)
    assert sum(row["images"] for row in found["classes"]) == 16


def test_info_while_building(building_store):
    text = done(cli("info", building_store)).stdout
    assert text.startswith("small 1.0.0: building, 13 of 16 images, ")
    assert "root digest    (not complete)" in text
    found = json.loads(done(cli("info", building_store, "--json")).stdout)
    assert (found["state"], found["images"], found["planned"], found["root_digest"]) == ("building", 13, 16, None)
    assert found["classes"] == []


def test_describe_under_a_url(store):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(store), "/described", recursive=True)
    try:
        assert describe("memory://described") == describe(str(store))
    finally:
        memory.rm("/described", recursive=True)


def test_describe_other_canvases(tmp_path):
    canvas = {"shape": [64, 100], "channels": 3, "dtype": "float32"}
    build(building.small(canvas=canvas, scenarios=["evp"], splits=["test"]), tmp_path, workers=1)
    assert describe(str(tmp_path))["canvas"] == "64 x 100 px, 3 channels, float32"


# --- list, new, schema ------------------------------------------------------------------------------------------------

KINDS = [
    "recipes",
    "scenarios",
    "backgrounds",
    "morphologies",
    "silhouettes",
    "points",
    "deformations",
    "cells",
    "rules",
    "tissues",
    "binarizers",
    "exports",
    "releases",
    "models",
    "explainers",
    "experiments",
    "metrics",
    "model-metrics",
    "map-binarizers",
    "decisions",
]


def test_list():
    text = done(cli("list")).stdout
    found = json.loads(done(cli("list", "--json")).stdout)
    assert list(found) == KINDS
    for kind, members in found.items():
        assert members
        assert f"\n{kind} " in f"\n{text}"
        for name, line in members.items():
            assert line, name
            assert "``" not in line
            assert name in text


@pytest.mark.parametrize("kind", KINDS)
def test_list_of_one_kind(kind):
    text = done(cli("list", kind)).stdout
    found = json.loads(done(cli("list", kind, "--json")).stdout)
    assert found == {kind: catalogue()[kind]}
    if kind in SCORES:  # what a paper's appendix needs, cut into lines
        assert text.split()[:2] == ["name", "what"]
        assert all(f"\n{name} " in text for name in found[kind])
        return
    assert [line.split()[0] for line in text.splitlines() if line.strip()] == [kind, *found[kind]]


def test_the_scores_as_an_appendix_has_them():
    csv = done(cli("list", "metrics", "--format", "csv")).stdout
    assert csv.startswith("family,name,what,better,range,chance,takes,truth,histogram,empty,source\nmetric,")
    assert "| `dice` |" in done(cli("list", "metrics", "--format", "markdown")).stdout
    assert "| Family " not in done(cli("list", "metrics", "--format", "markdown")).stdout  # one for all of them
    latex = done(cli("list", "decisions", "--format", "latex")).stdout
    assert "\\begin{longtable}" in latex
    assert "\nName & What & Range & Source \\\\\n" in latex
    assert "--format must go with one of metrics" in cli("list", "models", "--format", "csv").output
    assert "--format must stand alone, got csv and --json" in cli("list", "metrics", "--format", "csv", "--json").output


def test_a_list_without_its_extra(monkeypatch):
    def missing(*_):
        raise MissingExtraError("torch", "eval", "miso_gen.models.MODELS")

    monkeypatch.setattr("miso_gen.catalogue.catalogue", missing)
    monkeypatch.setattr("miso_gen.metrics.appendix.metric_table", missing)
    for arguments in (["models"], ["metrics"], ["metrics", "--json"]):
        result = cli("list", *arguments)
        assert result.exit_code == 2
        assert result.output.startswith(f"error: miso-gen list {arguments[0]} needs the package 'torch', which is not installed.")


def test_lists_are_complete():
    found = catalogue()
    assert set(found["scenarios"]) == {*building.SCENARIOS, "cell", "cell-field", "tissue"}
    assert len(found["silhouettes"]) == 24
    assert set(found["recipes"]) == set(recipe_files()) >= {"miso1", "miso1-mini", "gigapixel", "tutorial-01-first"}
    assert set(found["backgrounds"]) == {"black", "color-field", "constant", "rings", "salt-and-pepper"}
    assert set(found["rules"]) == {"count", "majority", "present"}
    assert len(found["cells"]) == 10


def test_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = done(cli("new", "my-shapes")).stdout
    assert text.splitlines()[0] == "my-shapes.yaml"
    for line in text.splitlines()[1:]:
        command = line.partition("miso-gen ")[2].split()
        assert done(cli(*command)).exit_code == 0  # what it advises works
    copied, original = load_recipe("my-shapes.yaml"), load_recipe("tutorial-01-first")
    assert copied.name == "my-shapes"
    assert copied.digest == original.digest


@pytest.mark.parametrize("source", sorted(recipe_files()))
def test_new_from_any_recipe(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    done(cli("new", "mine", "--from", source))
    copied = (tmp_path / "mine.yaml").read_text()
    assert yaml.safe_load(copied) == yaml.safe_load(recipe_files()[source].read_text()) | {"name": "mine"}
    assert copied.count("#") == recipe_files()[source].read_text().count("#")  # with its explanations
    done(cli("plan", "mine.yaml"))


def test_schema(tmp_path):
    text = done(cli("schema")).stdout
    assert json.loads(text) == recipe_json_schema()
    validator = jsonschema.validators.validator_for(recipe_json_schema())
    validator.check_schema(json.loads(text))
    assert done(cli("schema", "-o", tmp_path / "s.json")).stdout == f"{tmp_path}/s.json\n"
    assert (tmp_path / "s.json").read_text() == text


# --- what is printed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 1024, "1.5 MiB"), (2**31, "2.0 GiB"), (2**51, "2048.0 TiB")],
)
def test_size(number, text):
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_count():
    assert [count(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]


def test_an_unexpected_error_is_not_hidden(monkeypatch):
    """A traceback is for our mistakes, not for the user's."""
    monkeypatch.setattr("miso_gen.catalogue.catalogue", lambda kind: 1 / 0)
    assert isinstance(CliRunner().invoke(main, ["list"]).exception, ZeroDivisionError)


@pytest.mark.parametrize(
    "command",
    [
        "evaluate miso1-mini --smoke",
        "explain miso1-mini",
        "predict runs",
        "report runs",
        "sanity miso1-mini --study axioms",
        "score --dataset a --maps b",
        "train miso1-mini",
    ],
)
def test_commands_about_networks_name_the_extra_that_they_need(command, tmp_path):
    code = "import sys; sys.modules['torch'] = None; from miso_gen.cli import main; main()"
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "run.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "needs the package 'torch'" in done.stderr
    assert "pip install 'miso-gen[eval]'" in done.stderr
    assert "Traceback" not in done.stderr
