"""The commands explain and sanity."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from staging import MODEL, plan_text, runs, store, tiny  # noqa: F401  # fixtures

from miso_gen.cli import main
from miso_gen.store.maps import MapStore


@pytest.fixture
def file(store, tmp_path):  # noqa: F811
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan_text(store, "saliency", {"type": "random"}, {"type": "gradcam"})))
    return str(path)


def run(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)


def test_explain_makes_maps_and_says_so(file, runs, tmp_path):  # noqa: F811
    found = run("explain", file, "-o", runs, "--maps", tmp_path / "m.zarr", "--limit", "2", "-q")
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["network", "explainer", "kind", "at", "images", "made", "blank", "constant", "time"]
    assert [line.split()[:8] for line in lines[1:-1]] == [
        [MODEL, name, "ssm", "grid", "2", "2", "0", "0"] for name in ("saliency", "random", "gradcam")
    ]
    assert lines[-1] == str(tmp_path / "m.zarr")
    again = run("explain", file, "-o", runs, "--maps", tmp_path / "m.zarr", "--limit", "2", "--json")
    told = json.loads(again.stdout)
    assert told["maps"] == str(tmp_path / "m.zarr")
    assert [(one["group"]["explainer"], one["images"], one["made"]) for one in told["groups"]] == [
        ("saliency", 2, 0), ("random", 2, 0), ("gradcam", 2, 0),
    ]  # fmt: skip
    assert len(MapStore.open(tmp_path / "m.zarr").ids(MODEL, "gradcam")) == 2


def test_explain_takes_overrides_and_a_smoke_test(file, tmp_path):
    found = run("explain", file, "-o", tmp_path / "runs", "--set", "explain=[center]", "--smoke")
    assert found.exit_code == 0, found.output
    maps = MapStore.open(tmp_path / "runs" / "maps.zarr")
    assert (maps.explainers(MODEL), len(maps.ids(MODEL, "center"))) == (("center",), 2)


def test_mistakes_are_one_message(file, store, tmp_path):  # noqa: F811
    text = plan_text(store, "saliency", {"type": "saliency", "at": "cell"})
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump({"explain": text.pop("explain"), **text}, sort_keys=False))
    found = run("explain", wrong, "-o", tmp_path / "runs")
    assert found.exit_code == 2
    assert found.stderr == (f"error: {wrong}:4: explain[1].at must be one of auto, grid, pixel, both, got 'cell'.\n")
    found = run("sanity", file, "--study", "axioms", "--explainer", "saliency", "--runs", tmp_path / "runs")
    assert found.exit_code == 2
    assert found.stderr.startswith("error: explain must name explainers that weigh channels")
    assert run("sanity", file, "--study", "dropout", "-o", tmp_path / "no" / "t.csv").exit_code == 2
    assert not (tmp_path / "runs").exists()


def test_sanity_prints_a_table_and_writes_it(file, runs, tmp_path):  # noqa: F811
    csv = tmp_path / "t.csv"
    options = ("--study", "randomization", "--explainer", "saliency", "--runs", runs, "--items", "3", "-q")
    found = run("sanity", file, *options, "-o", csv)
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["network", "explainer", "order", "stage", "layer", "similarity", "n"]
    assert lines[-1] == str(csv)
    table = pd.read_csv(csv)
    assert len(table) == len(lines) - 2 == 6
    told = pd.DataFrame(json.loads(run("sanity", file, *options, "--json").stdout))
    pd.testing.assert_frame_equal(told, table, check_dtype=False)
