"""What a check says of stores made for it: balance, equal images, shared noise, probes; and how the command prints it."""

from __future__ import annotations

import json

import building
import numpy as np
import pytest
from building import cli

from miso_gen.build import build
from miso_gen.check import Findings, balance, balance_warnings, check
from miso_gen.errors import IncompleteStoreError, StoreError
from miso_gen.probes import stored_size
from miso_gen.recipe import SCENARIOS, load_recipe
from miso_gen.rng import NoiseField
from miso_gen.scene.interfaces import PairedScenario
from miso_gen.store import open_dataset
from miso_gen.store.root import root_text

EVP, GSP = SCENARIOS.get("evp"), SCENARIOS.get("gsp")
TWO = {"type": "builtin", "only": ["cactus", "teapot"]}  # they leave corners free


def made(folder, *scenarios, side=192, splits=("train", "test"), **canvas):
    """Build a store of some scenarios in this process."""
    recipe = {
        "schema": 1,
        "name": "made",
        "seed": 3,
        "canvas": {"shape": [side, side], **canvas},
        "splits": list(splits),
        "scenarios": list(scenarios),
    }
    build(load_recipe(recipe), folder, workers=1)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """All silhouettes under EVP and GSP, one split."""
    gsp = {"type": "gsp", "radius_px": {"uniform": [7, 12]}, "window_px": 4}
    return made(tmp_path_factory.mktemp("made") / "store", {"type": "evp"}, gsp, splits=["test"])


@pytest.fixture(scope="module")
def findings(store):
    return check(store)


@pytest.fixture
def dataset(store):
    return open_dataset(store)


# --- balance ----------------------------------------------------------------------------------------------------------


def test_the_balance_is_that_of_the_pixels(findings, dataset):
    assert findings.images == len(dataset) == 96
    groups: dict = {}
    for image_id in dataset:
        miso, truth = dataset[image_id].attributes, dataset[image_id].truth[...]
        key = (miso["scenario"], miso["split"], miso["label"], miso["class_name"])
        groups.setdefault(key, []).append(((truth >= 1).mean(), (truth == 2).mean()))
    assert len(groups) == len(findings.balance) == 4
    for row in findings.balance:
        shares = groups[row.scenario, row.split, row.label, row.class_name]
        assert (row.images, row.truth_2_known) == (len(shares), len(shares))
        assert [row.truth_1_share, row.truth_2_share] == pytest.approx(np.mean(shares, axis=0).tolist())


def test_the_balance_comes_in_the_order_of_the_recipe(tmp_path):
    gsp = {"type": "gsp", "radius_px": 8, "window_px": 4, "morphologies": TWO}
    folder = made(tmp_path / "store", gsp, {"type": "evp", "morphologies": TWO})
    places = [(row.scenario, row.split, row.label) for row in check(folder).balance]
    assert places == [(scenario, split, label) for scenario in ("gsp", "evp") for split in ("train", "test") for label in (0, 1)]


def test_unknown_evidence_is_never_averaged(dataset):
    table = dataset.table
    hot = (table["scenario"] == "evp") & (table["label"] == 1)
    some = table.index.isin(table.index[hot][:5])
    cold = (table["scenario"] == "evp") & (table["label"] == 0)
    dataset.table = table.assign(truth_2_known=~(some | cold), truth_2_share=table["truth_2_share"].mask(some | cold, 0.0))
    rows = {(row.scenario, row.label): row for row in balance(dataset)}
    assert rows["evp", 1].truth_2_known == 19
    assert rows["evp", 1].truth_2_share == pytest.approx(table["truth_2_share"][hot][5:].mean())
    assert (rows["evp", 0].truth_2_known, rows["evp", 0].truth_2_share) == (0, None)
    assert rows["gsp", 1].truth_2_known == 24
    missing = table.assign(truth_2_known=None)  # a column without values: all known
    dataset.table = missing
    assert [row.truth_2_known for row in balance(dataset)] == [24, 24, 24, 24]


def test_missing_classes(dataset):
    table = dataset.table
    assert balance_warnings(dataset, balance(dataset)) == ()
    dataset.table = table[~((table["scenario"] == "evp") & (table["label"] == 0))]
    said = balance_warnings(dataset, balance(dataset))
    assert said == ("evp/test must have two classes or more, got 'hot' only. Ask for more images.",)


def test_a_class_that_a_split_lacks(dataset):
    table = dataset.table.copy()
    third = table["image_id"].isin(["evp/test/0001", "evp/test/0002"])
    table.loc[third, ["label", "class_name"]] = [2, "warm"]
    half = (table["image_id"].str[-4:].astype(int) - 1) // 2 % 2 == 0  # every other pair
    dataset.table = table.assign(split=np.where(half, "train", "test")).query("label != 2 or split == 'train'")
    dataset.recipe["splits"] = ["train", "test"]
    dataset.recipe["scenarios"][1]["labels"] = [0, 1, 4]
    said = [text for text in balance_warnings(dataset, balance(dataset)) if "every class" in text]
    advice = "Ask for more images, or leave out labels."
    assert f"evp/test must have every class, got none of 'warm'. {advice}" in said
    assert [text for text in said if text.startswith("gsp")] == [
        f"gsp/{split} must have every class, got none of 'label 4'. {advice}" for split in ("train", "test")
    ]


def test_uneven_classes_are_noted(store, monkeypatch):
    table = open_dataset(store).table
    few = table[(table["scenario"] != "evp") | (table["label"] == 0) | (table["image_id"] <= "evp/test/0021")]
    hot = int(((few["scenario"] == "evp") & (few["label"] == 1)).sum())
    assert 0 < hot < 12
    monkeypatch.setattr("miso_gen.store.read.Dataset._read_table", lambda _: few)
    found = check(store, noise=False)
    assert f"evp/test: 24 images of 'cold', {hot} of 'hot'; accuracy alone says little." in found.notes
    assert not any(text.startswith("evp/test") for text in found.warnings)


# --- equal images -----------------------------------------------------------------------------------------------------


def plain(**fields):
    """EVP without any noise: images of one silhouette and class are equal."""
    return {"type": "evp", "background": {"type": "constant"}, "morphologies": TWO, **fields}


def test_equal_images_across_splits(tmp_path):
    found = check(made(tmp_path / "store", plain()))
    assert [group.where for group in found.duplicates] == ["across splits"] * 4
    assert {group.ids for group in found.duplicates} == {(f"evp/test/000{n}", f"evp/train/000{n}") for n in (1, 2, 3, 4)}
    assert {group.splits for group in found.duplicates} == {("test", "train")}
    assert "evp/test/0001, evp/train/0001 are equal, across splits. " in "\n".join(found.warnings)
    assert found.noise == ()  # outlines and flat colours are no noise


def test_equal_images_within_a_split(tmp_path):
    scenarios = [plain(name=f"evp-{number}", hot=0.0) for number in range(3)]
    found = check(made(tmp_path / "store", *scenarios, splits=["test"]))
    assert [group.where for group in found.duplicates] == ["within a split"] * 2
    assert [(group.count, len(group.ids), group.labels) for group in found.duplicates] == [(6, 5, (0, 1))] * 2
    assert found.duplicates[0].scenarios == ("evp-0", "evp-1", "evp-2")
    said = [text for text in found.warnings if "are equal" in text]
    assert len(said) == 2
    assert "evp-2/test/0001, ... (6 in all) are equal, within a split, of different labels. " in said[0]


def test_many_groups_are_counted(tmp_path):
    found = check(made(tmp_path / "store", plain(morphologies="builtin"), side=96))
    assert len(found.duplicates) == 48
    said = [text for text in found.warnings if "are equal" in text]
    assert len(said) == 6
    assert said[-1].startswith("43 more groups of images are equal, across splits. ")


def test_nothing_is_equal(findings):
    assert (findings.duplicates, findings.noise) == ((), ())


# --- shared noise -----------------------------------------------------------------------------------------------------

NOISY = {"type": "evp", "morphologies": TWO}


def test_noise_shared_by_all(tmp_path, monkeypatch):
    monkeypatch.setattr(PairedScenario, "noise", lambda _, plan, thing: NoiseField(plan.seed, thing))
    folder = made(tmp_path / "store", NOISY, side=512)
    found = check(folder)
    assert found.noise is not None
    ids = {name for group in found.noise for name in group.ids}
    assert ids
    assert {group.where for group in found.noise} == {"across splits"}
    assert max(group.count for group in found.noise) == 8
    assert any("share their noise, across splits. " in text for text in found.warnings)
    assert check(folder, noise=False).noise is None
    assert not any("noise" in text for text in check(folder, noise=False).warnings)


def test_noise_shared_between_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(PairedScenario, "noise", lambda _, plan, thing: NoiseField(plan.split, plan.label, thing))
    found = check(made(tmp_path / "store", NOISY, side=512))
    assert found.noise
    assert {group.where for group in found.noise} == {"within a split"}
    for group in found.noise:
        assert len(group.splits) == len(group.labels) == 1
        assert group.count == 2


@pytest.mark.parametrize("declared", ["independent", "shared", {"each": ["independent", "shared"]}])
def test_noise_shared_within_a_pair(tmp_path, monkeypatch, declared):
    monkeypatch.setattr(PairedScenario, "noise", lambda _, plan, thing: NoiseField(*plan.address(thing, shared=True)))
    folder = made(tmp_path / "store", {**NOISY, "pair_noise": declared}, side=512, splits=["test"])
    found = check(folder).noise
    table = open_dataset(folder).table
    own = table["pair"]
    if "params.pair_noise" in table:
        own = own[table["params.pair_noise"] == "independent"]
    expected = set() if declared == "shared" else {tuple(sorted(table["image_id"][table["pair"] == pair])) for pair in set(own)}
    assert expected or declared == "shared"
    assert {group.ids for group in found} == expected
    assert {group.where for group in found} <= {"within a pair"}


def test_noise_of_the_recipes_own_making_is_fine(tmp_path):
    for number, noise in enumerate(("independent", "shared")):
        folder = made(tmp_path / f"store-{number}", {**NOISY, "pair_noise": noise}, side=512)
        assert check(folder).noise == ()


def test_objects_of_a_pair_may_be_equal(tmp_path, monkeypatch):
    monkeypatch.setattr(PairedScenario, "noise", lambda _, plan, thing: NoiseField(*plan.address(thing, shared=True)))
    gsp = {"type": "gsp", "fuzz": 0.3, "radius_px": 8, "window_px": 4, "morphologies": {"type": "builtin", "only": ["window"]}}
    folder = made(tmp_path / "store", {**gsp, "background": "black"}, splits=["test"], side=192)
    dataset = open_dataset(folder)
    corners = [dataset[image_id].image[0, :64, :64] for image_id in dataset]
    assert np.array_equal(*corners)
    assert (corners[0][:, 1:] != corners[0][:, :-1]).mean() > 0.05
    assert check(folder).noise == ()


# --- probes -----------------------------------------------------------------------------------------------------------


def probed(findings):
    return {(found.scenario, found.probe): found for found in findings.probes}


def test_evp_gives_its_mean_away_and_says_so(findings):
    found = probed(findings)["evp", "mean intensity"]
    assert found.auroc > 0.99
    assert found.low > 0.95
    assert (found.images, found.declared, found.verdict) == (48, True, "declared")
    assert not any(text.startswith("evp") for text in findings.warnings)
    assert any(text.startswith("evp: the class can be told, as declared (AUROC): mean intensity 1.00") for text in findings.notes)


def test_what_is_equal_in_a_pair_tells_nothing(findings):
    found = probed(findings)
    assert found["evp", "object share"].auroc == 0.5
    assert found["gsp", "object share"].verdict == "not told"
    assert found["gsp", "object share"].auroc < 0.6


def test_an_undeclared_shortcut(store, monkeypatch):
    monkeypatch.setattr(EVP, "shortcuts", ())
    found = check(store, noise=False)
    row = probed(found)["evp", "mean intensity"]
    assert (row.declared, row.verdict) == (False, "undeclared")
    said = (
        "evp: the class can be told from mean intensity alone (AUROC 1.00, 1.00-1.00), and the scenario does not declare it. "
        "Make the classes alike, or name it in the scenario's shortcuts."
    )
    assert said in found.warnings
    assert any("evp: the class can be told from all features together" in text for text in found.warnings)


def test_an_instance_may_declare(store, monkeypatch):
    monkeypatch.setattr(EVP, "known_shortcuts", property(lambda self: ("mean intensity",) if self.hot == 1.0 else ()))
    assert probed(check(store, noise=False))["evp", "mean intensity"].verdict == "declared"


def test_stored_size_is_that_of_the_files(tmp_path):
    recipe = building.small(scenarios=["dsp"], splits=["test"])
    build(recipe, tmp_path / "store", workers=1, chunk=128, shard=256)
    dataset = open_dataset(tmp_path / "store")
    for image_id in dataset:
        files = [path for path in (tmp_path / "store/images.zarr" / image_id / "0/c").rglob("*") if path.is_file()]
        assert len(files) == 4
        assert stored_size(dataset, image_id) == sum(path.stat().st_size for path in files) / (300 * 280)


def test_too_few_images(tmp_path):
    found = check(made(tmp_path / "store", NOISY))
    assert {row.verdict for row in found.probes} == {"too few"}
    assert {(row.auroc, row.low, row.high) for row in found.probes} == {(None, None, None)}
    assert found.notes == ("evp: too few images for probes; every label needs 10 images, of 5 pairs.",)
    assert found.warnings == ()


def test_one_label_is_not_probed(tmp_path):
    found = check(made(tmp_path / "store", {**NOISY, "labels": [1]}))
    assert found.probes == ()
    assert [text.partition(" must")[0] for text in found.warnings] == ["evp/train", "evp/test"]


# --- as a whole -------------------------------------------------------------------------------------------------------


def test_findings_are_data(findings):
    data = json.loads(json.dumps(findings.to_dict(), allow_nan=False))
    assert list(data) == list(Findings.__dataclass_fields__)
    assert data["balance"][0] == vars(findings.balance[0])
    assert data["probes"][3] == vars(findings.probes[3])


def test_a_check_is_the_same_every_time(store, findings):
    assert check(store) == findings


def test_no_store(tmp_path, store):
    with pytest.raises(StoreError):
        check(tmp_path / "nothing")
    path = store / "images.zarr/zarr.json"
    text = path.read_text()
    document = json.loads(text)
    document["attributes"]["miso"] |= {"state": "building", "root_digest": None, "images": None}
    try:
        path.write_bytes(root_text(document["attributes"]["miso"]))
        with pytest.raises(IncompleteStoreError, match="must be complete"):
            check(store)
    finally:
        path.write_text(text)


def test_the_command(store, findings):
    result = cli("check", store)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["scenario", "split", "label", "class", "images", "truth", ">=", "1", "truth", "=", "2"]
    row = next(line.split() for line in lines if line.startswith("evp       mean intensity"))
    assert row[3:] == ["1.00", "1.00", "1.00", "48", "yes", "declared"]
    assert "equal images: none" in lines
    assert "shared noise: none" in lines
    for text in findings.notes:
        assert f"note: {text}" in lines
    for text in findings.warnings:
        assert f"warning: {text}" in lines
    assert lines[-1].endswith("warning" if len(findings.warnings) == 1 else "warnings")
    assert "shared noise: not looked at" in cli("check", store, "--no-noise").stdout


def test_the_command_as_json(store, findings):
    assert json.loads(cli("check", store, "--json").stdout) == json.loads(json.dumps(findings.to_dict()))


def test_strict(tmp_path):
    bad, good = made(tmp_path / "bad", plain()), made(tmp_path / "good", NOISY)
    assert [cli("check", folder).exit_code for folder in (bad, good)] == [0, 0]
    assert [cli("check", folder, "--strict").exit_code for folder in (bad, good)] == [1, 0]
    assert cli("check", bad, "--strict", "--json").exit_code == 1
    assert cli("check", good).stdout.splitlines()[-1] == "no warnings"
    assert cli("check", tmp_path / "nothing").exit_code == 2


def test_a_build_warns_of_missing_classes(tmp_path):
    data = {**building.SMALL, "splits": ["test"], "scenarios": [{"type": "evp", "labels": [0]}]}
    data["defaults"] = {"morphologies": TWO}
    result = cli("build", building.recipe_file(tmp_path / "one.yaml", data), "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "warning: evp/test must have two classes or more, got 'cold' only. Ask for more images." in result.stdout.splitlines()
