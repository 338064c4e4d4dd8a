"""Patches of a store for Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning import LightningDataModule

from miso_gen.data.datasets import PatchDataset
from miso_gen.data.loader import PatchLoader
from miso_gen.data.sampling import class_balanced
from miso_gen.data.splitting import split_ids
from miso_gen.errors import InputError, listing
from miso_gen.store import Dataset, open_dataset

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping


class MisoDataModule(LightningDataModule):
    """Patches of one scenario of a store, split for training, validation and test.

    Validation patches come from whole images, and images that belong together (a pair, the masks of a patient) stay together.
    Training patches are shuffled, the others are not. Loaders follow the ranks of ``torch.distributed``, and can be stopped and
    resumed within an epoch.

    ::

        module = MisoDataModule("datasets/miso1/1.0.0", scenario="evp", batch=36)
        Trainer(max_epochs=10).fit(model, module)

    Args:
        store: What :func:`~miso_gen.store.open_dataset` takes, or a data set.
        scenario: Name of the scenario; None: the only one there is.
        train: Split to train on.
        test: Split to test on.
        validation: Split to validate on; None: images of the training split, a share of them.
        validation_share: That share.
        group: Column of the index whose images stay together there.
        batch: Patches of a batch.
        seed: Decides order and validation images.
        workers: Processes that load; 0: none but this one.
        balanced: Whether training shows both classes equally often.
        transform: Of training patches.
        patches: Further arguments of :class:`PatchDataset`: ``size``, ``shift``, ``background``, ``labels``, ``truth`` ...

    Raises:
        InputError: The scenario or a split is not in the store.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Dataset,
        *,
        scenario: str | None = None,
        train: str = "train",
        test: str = "test",
        validation: str | None = None,
        validation_share: float = 0.1,
        group: str = "pair",
        batch: int = 36,
        seed: int = 0,
        workers: int = 0,
        balanced: bool = False,
        transform: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        **patches: Any,
    ) -> None:
        super().__init__()
        self.dataset = store if isinstance(store, Dataset) else open_dataset(store)
        self.scenario = _scenario(self.dataset, scenario)
        self.batch, self.seed, self.workers, self.balanced = batch, seed, workers, balanced
        self.transform, self.patches = transform, patches
        self.ids = self._ids(train, test, validation, validation_share, group)
        self._datasets: dict[str, PatchDataset] = {}

    def _ids(self, train: str, test: str, validation: str | None, share: float, group: str) -> Mapping[str, tuple[str, ...]]:
        table = self.dataset.table
        mine = table[table["scenario"] == self.scenario]
        splits = tuple(dict.fromkeys(mine["split"]))
        for name in (train, test, validation):
            if name is not None and name not in splits:
                raise InputError(f"splits of {self.scenario} must be of {listing(splits)}, got {name!r}.")

        def of(split: str) -> tuple[str, ...]:
            return tuple(mine[mine["split"] == split]["image_id"])

        if validation is not None:
            return {"train": of(train), "validation": of(validation), "test": of(test)}
        parts = split_ids(
            self.dataset, by=group, ids=of(train), shares={"train": 1.0 - share, "validation": share}, seed=self.seed
        )
        return {**parts, "test": of(test)}

    def part(self, name: str) -> PatchDataset:
        """Return the patches for ``train``, ``validation`` or ``test``."""
        if name not in self._datasets:
            transform = self.transform if name == "train" else None
            self._datasets[name] = PatchDataset(self.dataset, ids=self.ids[name], transform=transform, **self.patches)
        return self._datasets[name]

    def train_dataloader(self) -> PatchLoader:
        """Return the loader of the training patches."""
        patches = self.part("train")
        weights = class_balanced(patches.table) if self.balanced else None
        return PatchLoader(patches, batch=self.batch, seed=self.seed, workers=self.workers, weights=weights)

    def val_dataloader(self) -> PatchLoader:
        """Return the loader of the validation patches."""
        return self._still("validation")

    def test_dataloader(self) -> PatchLoader:
        """Return the loader of the test patches."""
        return self._still("test")

    def predict_dataloader(self) -> PatchLoader:
        """Return the loader of the test patches."""
        return self._still("test")

    def _still(self, name: str) -> PatchLoader:
        return PatchLoader(self.part(name), batch=self.batch, workers=self.workers, shuffle=False)


def _scenario(dataset: Dataset, name: str | None) -> str:
    there = tuple(dict.fromkeys(dataset.table["scenario"]))
    if name is None and len(there) == 1:
        return str(there[0])
    if name is None or name not in there:
        raise InputError(f"scenario must be one of {listing(there)}, got {name!r}.")
    return name
