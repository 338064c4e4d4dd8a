"""The Lightning module: splits, loaders, a run that is stopped and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
lightning = pytest.importorskip("lightning")

from miso_gen.build import build  # noqa: E402
from miso_gen.data import MisoDataModule  # noqa: E402
from miso_gen.data.transforms import Dihedral  # noqa: E402
from miso_gen.errors import InputError  # noqa: E402
from miso_gen.recipe import load_recipe  # noqa: E402

RECIPE = {
    "schema": 1,
    "name": "mini",
    "canvas": {"shape": [128, 160]},
    "splits": ["train", "dev", "test"],
    "defaults": {"morphologies": {"type": "builtin", "only": ["canary", "teapot", "key", "hand", "moon"]}},
    "scenarios": [{"type": "evp", "fuzz": {"each": [0.0, 0.1]}}, {"type": "gsp", "radius_px": 8, "window_px": 4}],
}
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from miso_gen.scene.morphologies.builtin import library

    names = sorted(library()["shapes"])[:5]
    recipe = {**RECIPE, "defaults": {"morphologies": {"type": "builtin", "only": names}}}
    path = tmp_path_factory.mktemp("module") / "out"
    build(load_recipe(recipe), path, workers=1)
    return path


def ids(loader: Any) -> list[tuple[str, int, int]]:
    return [
        (name, int(row), int(col))
        for batch in loader
        for name, row, col in zip(batch["image_id"], batch["row"], batch["col"], strict=True)
    ]


def test_parts_do_not_meet_and_pairs_stay_together(store: Path) -> None:
    module = MisoDataModule(store, scenario="evp", size=32, validation_share=0.3)
    table = module.dataset.table.set_index("image_id")
    pairs = {name: set(table.loc[list(part), "pair"]) for name, part in module.ids.items()}
    assert all(part for part in module.ids.values())
    assert not pairs["train"] & pairs["validation"]
    assert set(module.ids["train"]) | set(module.ids["validation"]) == {i for i in table.index if i.startswith("evp/train/")}
    assert set(module.ids["test"]) == {i for i in table.index if i.startswith("evp/test/")}
    assert MisoDataModule(store, scenario="evp", size=32, validation_share=0.3).ids == module.ids
    assert MisoDataModule(store, scenario="evp", validation="dev").ids["validation"] == tuple(
        i for i in table.index if i.startswith("evp/dev/")
    )


def test_loaders_show_every_patch_of_their_part_once(store: Path) -> None:
    module = MisoDataModule(store, scenario="evp", size=32, batch=7, transform=Dihedral())
    for part, loader in (
        ("train", module.train_dataloader()),
        ("validation", module.val_dataloader()),
        ("test", module.test_dataloader()),
    ):
        seen = ids(loader)
        frame = module.part(part).table.frame()
        expected = list(zip(frame["image_id"], frame["row"], frame["col"], strict=True))
        assert sorted(seen) == sorted(expected)
        assert (seen == expected) == (part != "train")  # only training is shuffled


def test_balanced_training_shows_both_classes(store: Path) -> None:
    module = MisoDataModule(store, scenario="gsp", validation="dev", size=32, balanced=True, batch=16)
    labels = torch.cat([batch["label"] for _ in range(4) for batch in module.train_dataloader()])
    assert 0.35 < float(labels.float().mean()) < 0.65


def test_wrong_names_are_refused(store: Path) -> None:
    with pytest.raises(InputError, match="scenario must be one of evp, gsp, got None"):
        MisoDataModule(store)
    with pytest.raises(InputError, match="splits of evp must be of dev, test, train, got 'trial'"):
        MisoDataModule(store, scenario="evp", train="trial")


class Net(lightning.LightningModule):  # type: ignore[misc, name-defined]
    """One number a patch; notes which patches it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[str, int, int]] = []

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        self.seen += ids([batch])
        return ((batch["image"].mean((1, 2, 3)) * self.weight - batch["label"]) ** 2).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and logging
def test_a_run_that_is_resumed_within_an_epoch_sees_each_patch_once(store: Path, tmp_path: Path) -> None:
    def trainer(**more: Any) -> Any:
        return lightning.Trainer(**{**QUIET, "default_root_dir": tmp_path, "limit_val_batches": 0, **more})

    def module() -> MisoDataModule:
        return MisoDataModule(store, scenario="evp", size=32, batch=8, seed=5)

    whole, first, second = Net(), Net(), Net()
    trainer(max_epochs=2, enable_checkpointing=False).fit(whole, module())
    checkpoint = lightning.pytorch.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=3, save_top_k=-1)
    trainer(max_steps=5, callbacks=[checkpoint]).fit(first, module())
    trainer(max_epochs=2, enable_checkpointing=False).fit(second, module(), ckpt_path=tmp_path / "step=3.ckpt")
    count = len(module().part("train"))
    assert len(whole.seen) == 2 * count
    assert sorted(whole.seen[:count]) == sorted(whole.seen[count:])
    assert whole.seen[:count] != whole.seen[count:]
    assert first.seen[:24] + second.seen == whole.seen
