"""Experiment files: what they say, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_network import NAME

from miso_gen.data import PixelMean
from miso_gen.errors import RecipeError
from miso_gen.recipe import experiment_files
from miso_gen.train import Experiment, load_experiment, smoke

TEXT = """schema: 1
dataset: datasets/miso1/1.0.0
scenarios: [evp, dsp]
patches: {size: 96, shift: half, background: {value: 0.5}, labels: inherit}
models: [{type: vgg19}, vgg-att]
train: {optimizer: adam, lr: 5.0e-4, batch: 36, epochs: 10, precision: auto, seeds: [0, 1]}
explain: [{type: saliency}, {type: attention, module: 2}]
score: all
"""


def test_a_file_says_what_it_says(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT, "utf-8")
    found = load_experiment(path)
    assert found == load_experiment(TEXT) == load_experiment(str(path))
    assert [model.type_name for model in found.models] == ["vgg19", "vgg-att"]
    assert found.scenarios == ("evp", "dsp")
    assert found.train.lr == 5e-4
    assert found.train.seeds == (0, 1)
    assert found.patches.table_options()["background"] == PixelMean(0.5, 0.05)
    assert found.to_spec()["explain"] == [{"type": "saliency"}, {"type": "attention", "module": 2}]


def test_defaults_are_those_of_the_paper():
    train = load_experiment({"schema": 1, "dataset": "x", "models": ["vgg19"]}).train
    assert (train.optimizer, train.lr, train.weight_decay, train.batch, train.epochs) == ("adam", 5e-4, 0.0, 36, 10)
    assert (train.schedule.type, train.stop, train.keep, train.precision) == ("none", None, "last", "auto")


def test_plain_data_round_trips():
    text = TEXT + "splits: {validation: test}\n"
    found = load_experiment(
        text, ["train.schedule=plateau", "train.stop={type: evaluation, items: 9}", "train.class_weights=[1, 2]"]
    )
    assert load_experiment(found.to_spec()) == found
    assert load_experiment(found) == found


def test_overrides_replace_and_add():
    found = load_experiment(TEXT, ["train.epochs=3", "models[0].form=standard", "models.1.type=resnet50", "splits.share=0"])
    assert found.train.epochs == 3
    assert found.models[0].to_spec()["form"] == "standard"
    assert found.models[1].type_name == "resnet50"
    assert found.splits.share == 0
    assert found == load_experiment(
        TEXT, {"train.epochs": 3, "models[0].form": "standard", "models[1]": "resnet50", "splits": {"share": 0}}
    )


def test_shipped_experiments_are_right():
    assert "miso1-mini-quick" in experiment_files()
    for name, path in experiment_files().items():
        assert isinstance(load_experiment(name), Experiment)
        assert load_experiment(name) == load_experiment(path)


WRONG = {
    "train: {bach: 3}": "experiment:9: train.bach must be one of the keys",
    "train: {bach: 4}": "Did you mean 'batch'?",
    "train: {lr: 5e-4}": "train.lr must be a number, got '5e-4'. YAML reads 5e-4 as text: write 5.0e-4.",
    "train: {lr: -1.0}": "train.lr must be greater than 0.0, got -1.0.",
    "train: {batch: true}": "train.batch must be a whole number, got true.",
    "train: {seeds: []}": "train.seeds must be a list of at least 1, got [].",
    "train: {optimizer: adamw}": "train.optimizer must be 'adam', 'adamax' or 'sgd', got 'adamw'. Did you mean 'adam'?",
    "train: {schedule: plato}": "train.schedule.type must be one of none, plateau, got 'plato'. Did you mean 'plateau'?",
    "train: {schedule: {factor: 0.5}}": "train.schedule.type must be one of none, plateau, got nothing.",
    "train: {schedule: 3}": "train.schedule must be a name, or {type: name, ...}, got 3.",
    "train: {schedule: {type: plateau, factr: 1}}": "train.schedule.factr must be one of the keys type, factor",
    "train: {stop: {type: patience, epochs: 0}}": "train.stop.epochs must be greater than 0, got 0.",
    "train: {two_phase: {still_norm: true}}": "train.two_phase.epochs must be given, got nothing.",
    "train: {momentum: 0.9}": "train must be without momentum unless optimizer is sgd",
    "train: {optimizer: sgd, betas: [0.5, 0.999]}": "train must be without betas if optimizer is sgd",
    "train: {betas: [0.5, 1.0]}": "train.betas must be two numbers, each from 0 to less than 1, got [0.5, 1.0].",
    "train: {betas: 0.5}": "train.betas must be two numbers, each from 0 to less than 1, got 0.5.",
    "train: {pixel_loss: -1}": "train.pixel_loss must be at least 0.0, got -1.",
    "train: {base: {seed: 1}}": "train.base.epochs must be given, got nothing.",
    "train: {base: {epochs: 1, epoch: 2}}": "train.base.epoch must be one of the keys epochs, seed",
    "train: {base: {epochs: 1}, two_phase: {epochs: 1}}": "train must be without two_phase if it has a base",
    "train: {class_weights: [1, 0]}": "train.class_weights must be none, balanced, or a list of positive numbers",
    "splits: {share: 1.0}": "splits.share must be less than 1.0, got 1.0.",
    "patches: {background: {valu: 1}}": "patches.background must be drop, keep, or {value: 0.5, margin: 0.05}, got {valu: 1}.",
    "patchs: {size: 3}": "experiment:9: patchs must be one of the keys schema, dataset, scenarios",
    "models: [vgg18]": "experiment:9: models[0]: model must be one of",
    "models: [{type: vgg19, frm: wide}]": "models[0]: frm must be one of the keys weights, form, got 'frm'.",
    "models: []": "models must be a list of at least 1, got [].",
    "schema: 2": "schema must be 1, got 2. Newer files need a newer miso-gen.",
    "dataset: 3": "dataset must be text, got 3.",
}


@pytest.mark.parametrize(("line", "said"), WRONG.items(), ids=list(WRONG))
def test_what_is_wrong_is_named_with_its_line(line, said):
    key = line.partition(":")[0]
    lines = [known for known in TEXT.splitlines() if not known.startswith(f"{key}:")]
    lines += ["#"] * (8 - len(lines))
    with pytest.raises(RecipeError) as caught:
        load_experiment("\n".join([*lines, line]) + "\n")
    assert said in str(caught.value)
    assert str(caught.value).startswith("experiment:9: ")


def test_a_smoke_test_has_a_small_base():
    found = smoke(load_experiment(TEXT, {"train.base": {"epochs": 9, "seed": 4}}))
    assert (found.train.base.epochs, found.train.base.seed) == (1, 4)
    assert load_experiment(found.to_spec()) == found


def test_a_smoke_test_is_the_same_experiment_but_small():
    found = load_experiment(TEXT, {"train.two_phase": {"epochs": 9, "still_norm": True}, "train.accumulate": 2})
    small = smoke(found)
    assert (small.train.epochs, small.train.seeds, small.train.two_phase.epochs) == (1, (0,), 1)
    assert small.train.two_phase.still_norm
    assert small.train.subset.patches == small.train.subset.images == 2 * 36 * 2
    assert small.models == found.models
    assert load_experiment(small.to_spec()) == small


def test_higher_rooms_add_their_problems():
    """They see the checked experiment and the lines of the file, and are asked only where the rest is right."""
    asked = []

    def known(experiment, item):
        asked.append(experiment)
        return [
            item.at(("explain", place)).at(("type",)).problem("saliency or attention", "See the list.")
            for place, one in enumerate(experiment.explain)
            if one["type"] not in ("saliency", "attention")
        ]

    def scored(experiment, item):
        return [] if experiment.score == "all" else [item.at(("score",)).problem("all")]

    right = load_experiment(TEXT, checks=(known, scored))
    assert right == load_experiment(TEXT)
    assert asked == [right]
    with pytest.raises(RecipeError) as caught:
        load_experiment(TEXT, ["explain[1].type=lime", "score=[mae]"], checks=(known, scored))
    assert str(caught.value).splitlines() == [
        "--set explain[1].type: explain[1].type must be saliency or attention, got 'lime'. See the list.",
        "--set score: score must be all, got ['mae'].",
    ]
    wrong = TEXT.replace("attention", "attentoin")
    with pytest.raises(RecipeError, match=r"^experiment:7: explain\[1\].type must be saliency or attention, got 'attentoin'"):
        load_experiment(wrong, checks=[known])
    asked.clear()
    with pytest.raises(RecipeError, match=r"train\.lr must be greater than 0"):
        load_experiment(TEXT, ["train.lr=0"], checks=(known,))
    assert asked == []


def test_all_problems_are_listed():
    with pytest.raises(RecipeError) as caught:
        load_experiment("models: [vgg18]\ntrain: {lr: 0}\nnoise: 3\n")
    said = str(caught.value).splitlines()
    assert len(said) == 5  # schema, the network, dataset, lr, noise
    assert any("train.lr must be greater than 0" in line for line in said)


@pytest.mark.parametrize(
    ("source", "overrides", "said"),
    [
        ("miso1-mini-quik", (), "Did you mean 'miso1-mini-quick'?"),
        ("no-such.yaml", (), "the experiment must be an existing file or one of"),
        ("a: [\n", (), "the experiment must be valid YAML"),
        ("- a\n- b\n", (), "the experiment must be a mapping"),
        (TEXT, ["train.lr"], "--set must be key.path=value, got 'train.lr'."),
        (TEXT, ["models[7].type=vgg19"], "the number in models must be less than 2, got 7."),
        (TEXT, ["models.vgg19.form=wide"], "the key after models must be one of 0, 1, got 'vgg19'."),
        (TEXT, ["train[0]=3"], "train must be a list, to have [0]"),
        (TEXT, ["train..lr=3"], "--set must name a key path"),
        (TEXT, ["train.lr=0"], "--set train.lr: train.lr must be greater than 0.0, got 0."),
    ],
)
def test_sources_and_overrides_that_are_wrong(source, overrides, said):
    with pytest.raises(RecipeError) as caught:
        load_experiment(source, overrides)
    assert said in str(caught.value)
    assert "recipe" not in str(caught.value)


def test_a_registered_network_can_be_named():
    assert load_experiment({"schema": 1, "dataset": "x", "models": [NAME]}).models[0].type_name == NAME
    assert Path(experiment_files()["miso1-mini-quick"]).is_file()
