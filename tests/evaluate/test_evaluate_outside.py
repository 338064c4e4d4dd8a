"""Anybody's maps: the right ones are scored, what is wrong with the others is said."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from miso_gen.cli import main
from miso_gen.errors import InputError, StoreError
from miso_gen.evaluate.evaluating import Evaluation
from miso_gen.evaluate.outside import score_outside
from miso_gen.metrics import score
from miso_gen.store import open_dataset

METRICS = {"metrics": ["dice", "auroc", "mae"]}


@pytest.fixture
def maps(store: Path, tmp_path: Path) -> Path:
    """A map of random numbers for each test image of evp, 8 of them."""
    folder, random = tmp_path / "my-maps", np.random.default_rng(3)
    for row in open_dataset(store).table.query("scenario == 'evp' and split == 'test'").itertuples():
        file = folder / f"{row.image_id}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, random.random((row.height, row.width)).astype(np.float32))
    return folder


def test_scores_are_those_of_the_function(store: Path, maps: Path, tmp_path: Path) -> None:
    found = score_outside(store, maps, tmp_path / "out", plan=METRICS)
    assert (found.images, found.wanted) == (8, 8)
    assert found.results.problems == ()
    data = open_dataset(store)
    table = found.results.scores.set_index(["image_id", "metric"])["value"]
    for image_id in data.table.query("scenario == 'evp' and split == 'test'")["image_id"]:
        map = np.load(maps / f"{image_id}.npy")
        direct = score(map, data[image_id].truth[...], ["dice", "auroc"], positive=2)
        assert table[image_id, "dice"] == pytest.approx(direct["dice"], nan_ok=True)
        assert table[image_id, "auroc"] == pytest.approx(direct["auroc"], nan_ok=True)
    assert set(found.results.scores["explainer"]) == {"my-maps"}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "has no map"),
        (lambda file: np.save(file, np.zeros((30, 28), np.float32)), "size|shape"),
        (lambda file: np.save(file, np.full((300, 280), np.nan, np.float32)), "finite"),
        (lambda file: file.write_bytes(b"not an array"), "read"),
        (lambda file: file.rename(file.with_name("9999.npy")), "9999"),
    ],
)
def test_what_is_wrong_is_said_and_the_rest_is_scored(spoil: Any, said: str, store: Path, maps: Path, tmp_path: Path) -> None:
    spoil(sorted(maps.rglob("*.npy"))[2])
    found = score_outside(store, maps, tmp_path / "out", plan=METRICS)
    assert (found.images, found.wanted) == (7, 8)
    assert any(said in line or any(part in line for part in said.split("|")) for line in found.results.problems)


def test_maps_of_cells_need_the_size_of_patches(store: Path, tmp_path: Path) -> None:
    from miso_gen.train.experiment import Patches

    folder = tmp_path / "cells"
    for image_id in open_dataset(store).table.query("scenario == 'evp' and split == 'test'")["image_id"]:
        (folder / image_id).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{image_id}.npy", np.random.default_rng(1).random((18, 17)).astype(np.float32))
    found = score_outside(store, folder, tmp_path / "out", plan=METRICS, patches=Patches.from_spec({"size": 32}))
    assert set(found.results.scores["at"]) == {"grid"}
    with pytest.raises(InputError, match="one image at least"):
        score_outside(store, folder, tmp_path / "out2", plan=METRICS)


def test_a_store_of_maps_is_scored_like_the_experiment(evaluation: Evaluation, store: Path, tmp_path: Path) -> None:
    from miso_gen.train.experiment import Patches

    plan = {"metrics": ["dice", "auroc", "mae", "specificity", "five-band-accuracy"], "binarize": ["two-mean", "mean-std"]}
    found = score_outside(
        store, evaluation.folder / "maps.zarr", tmp_path / "out", plan=plan, patches=Patches.from_spec({"size": 32})
    )
    keys = ["image_id", "explainer", "metric", "binarizer"]
    mine = found.results.scores.set_index(keys)["value"].sort_index()
    theirs = evaluation.results.scores.query("kind == 'ssm'").set_index(keys)["value"].sort_index()
    assert mine.index.equals(theirs.index)
    np.testing.assert_allclose(mine, theirs)


def test_nothing_to_score_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="one image at least"):
        score_outside(store, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(StoreError):
        score_outside(store, tmp_path / "none", tmp_path / "out")
    with pytest.raises(InputError, match="split must be"):
        score_outside(store, tmp_path / "empty", tmp_path / "out", split="val")


def test_the_command_prints_means_and_writes_a_report(store: Path, maps: Path, tmp_path: Path) -> None:
    next(maps.rglob("*.npy")).unlink()
    result = CliRunner().invoke(
        main, ["score", "--dataset", str(store), "--maps", str(maps), "-o", str(tmp_path / "out"), "--metric", "dice"]
    )
    assert result.exit_code == 0, result.output
    assert "7 of 8 images scored" in result.output
    assert "has no map" in result.output
    assert (tmp_path / "out" / "report" / "index.html").is_file()
    again = CliRunner().invoke(main, ["report", str(tmp_path / "out"), "-o", str(tmp_path / "report")])
    assert again.exit_code == 0, again.output
    assert (tmp_path / "report" / "index.html").is_file()
    nothing = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert nothing.exit_code == 2
    assert "Evaluate first" in nothing.output


def test_the_script_of_the_docs_makes_maps_that_are_scored(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captum in twenty lines: its maps are those of the network's gradient, and all are scored."""
    script = Path(__file__).parents[2] / "docs" / "own_maps.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(store), str(tmp_path / "captum"), "gsp"])
    made = runpy.run_path(str(script))
    data = open_dataset(store)
    image_id = data.table.query("scenario == 'gsp' and split == 'test'")["image_id"].iloc[0]
    image = torch.from_numpy(data[image_id].image[...] / 255).float()[None].requires_grad_()
    label = int(data.table.set_index("image_id").at[image_id, "label"])
    (gradient,) = torch.autograd.grad(made["model"](image)[0, label], image)
    np.testing.assert_allclose(np.load(tmp_path / "captum" / f"{image_id}.npy"), gradient.abs().sum(1)[0], rtol=1e-5)
    found = score_outside(store, tmp_path / "captum", tmp_path / "out", plan=METRICS)
    assert (found.images, found.wanted, found.results.problems) == (8, 8, ())
