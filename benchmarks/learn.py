"""Can a small network learn the classes of a built data set? Patches with the label of their image, a few minutes on a CPU.

Every image is cut into patches on a grid and on the same grid shifted by half a patch; patches that are nearly empty are left
out (MISO: |mean| < 0.05 for MISO-2). The network is a plain one of five convolutions. An image's score is the mean over its
patches. Chance is 0.5; the interval of the AUROC comes from resampling the test images (pairs together).

    pip install torch                        # any build; the CPU is enough
    miso-gen build miso2-mini -o m2
    python -m benchmarks.learn m2 --patch 224 --epochs 12
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from benchmarks.measure import Report, Table, machine, met, publish
from miso_gen.store import open_dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

BAR = 0.75  #: what "well above chance" means for the AUROC of test images
SHRINK = 2  #: patches are averaged over squares of this side: nuclei stay 8 px wide


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of a split.

    Attributes:
        pixels: (n, 1, s, s) uint8, shrunk.
        labels: (n,) int64, those of their images.
        images: (n,) int64, the place of their image in the split.
        pairs: (images,) the pair of each image.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    images: NDArray[np.int64]
    pairs: NDArray[np.str_]


def cut(store: str, split: str, side: int) -> Patches:
    """Return the patches of a split that are not nearly empty."""
    dataset = open_dataset(store)
    table = dataset.table[dataset.table["split"] == split]
    pixels, labels, images = [], [], []
    for number, (name, label) in enumerate(zip(table["image_id"], table["label"], strict=True)):
        image = np.asarray(dataset[name].image[:])[0]
        for offset in (0, side // 2):
            for top in range(offset, image.shape[0] - side + 1, side):
                for left in range(offset, image.shape[1] - side + 1, side):
                    patch = image[top : top + side, left : left + side]
                    if patch.mean() < 0.05 * 255:
                        continue
                    small = patch.reshape(side // SHRINK, SHRINK, side // SHRINK, SHRINK).mean((1, 3))
                    pixels.append(small.astype(np.uint8)[None])
                    labels.append(label)
                    images.append(number)
    pairs = table["pair"].fillna(table["image_id"]).to_numpy(str)
    return Patches(np.stack(pixels), np.array(labels), np.array(images), pairs)


def network() -> nn.Module:
    """Return the network: five convolutions with batch norm, mean over the patch, one logit."""
    layers: list[nn.Module] = []
    widths = (1, 16, 32, 48, 64, 64)
    for number, (before, after) in enumerate(pairwise(widths)):
        layers += [
            nn.Conv2d(before, after, 5 if number == 0 else 3, padding=2 if number == 0 else 1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
        if number < 4:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(widths[-1], 1))


def tensor(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Return patches as the network sees them."""
    return torch.from_numpy(pixels).float().div_(127.5).sub_(1.0)


def train(patches: Patches, epochs: int, seed: int) -> tuple[nn.Module, list[float]]:
    """Return the trained network and the mean loss of every epoch; quarter turns and flips at random."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-3)
    batches = -(-len(patches.labels) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * batches)
    losses = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        order = rng.permutation(len(patches.labels))
        for start in range(0, len(order), 32):
            mine = order[start : start + 32]
            batch = tensor(patches.pixels[mine]).rot90(int(rng.integers(4)), (2, 3))
            if rng.integers(2):
                batch = batch.flip(3)
            loss = nn.functional.binary_cross_entropy_with_logits(
                model(batch)[:, 0], torch.from_numpy(patches.labels[mine]).float()
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(mine)
        losses.append(total / len(order))
    return model, losses


def scores(model: nn.Module, patches: Patches) -> NDArray[np.float64]:
    """Return the logit of every patch."""
    model.eval()
    with torch.no_grad():
        parts = [model(tensor(patches.pixels[start : start + 64]))[:, 0].numpy() for start in range(0, len(patches.labels), 64)]
    return np.concatenate(parts).astype(np.float64)


def auroc(values: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """Return the share of (1, 0) pairs of which the 1 has the greater value, ties by half."""
    apart = values[labels == 1][:, None] - values[labels == 0][None, :]
    return float(((apart > 0) + 0.5 * (apart == 0)).mean())


def interval(values: NDArray[np.float64], labels: NDArray[Any], pairs: NDArray[np.str_]) -> tuple[float, float]:
    """Return the middle 95 % of the AUROC over 1,000 resamples of the pairs."""
    rng = np.random.default_rng(0)
    names = np.unique(pairs)
    members = [np.flatnonzero(pairs == name) for name in names]
    found = []
    for _ in range(1000):
        mine = np.concatenate([members[number] for number in rng.integers(len(names), size=len(names))])
        if 0 < labels[mine].sum() < len(mine):
            found.append(auroc(values[mine], labels[mine]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Train on the first split of a store, test on its last."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("store", help="a built store with two classes")
    options.add_argument("--patch", type=int, default=224, help="side of the patches in pixels")
    options.add_argument("--epochs", type=int, default=12, help="passes over the training patches")
    options.add_argument("--seeds", type=int, default=3, help="networks trained")
    options.add_argument("--json", type=Path, help="also write the results to this file")
    given = options.parse_args()
    splits = list(dict.fromkeys(open_dataset(given.store).table["split"]))
    first, last = ("train", "test") if {"train", "test"} <= set(splits) else (splits[0], splits[-1])
    training, testing = cut(given.store, first, given.patch), cut(given.store, last, given.patch)
    labels = np.array([testing.labels[testing.images == n][0] for n in np.unique(testing.images)])
    rows = []
    for seed in range(given.seeds):
        begin = time.monotonic()
        model, losses = train(training, given.epochs, seed)
        logits = scores(model, testing)
        images = np.array([logits[testing.images == n].mean() for n in np.unique(testing.images)])
        seconds = time.monotonic() - begin
        area = auroc(images, labels)
        low, high = interval(images, labels, testing.pairs[np.unique(testing.images)])
        rows.append(
            [
                str(seed),
                f"{seconds / 60:.1f}",
                f"{losses[-1]:.3f}",
                f"{auroc(logits, testing.labels):.3f}",
                f"{((logits > 0) == testing.labels).mean():.3f}",
                f"{area:.3f} ({low:.3f}-{high:.3f})",
                f"{((images > 0) == labels).mean():.3f}",
                met(area, BAR, least=True),
            ]
        )
        print(rows[-1], flush=True)
    dataset = open_dataset(given.store)
    note = (
        f"{dataset.name} {dataset.root.version}, root digest {dataset.root_digest[:16]}: {len(training.labels)} patches of "
        f"{given.patch} px of {len(training.pairs)} images to train, {len(testing.labels)} of {len(testing.pairs)} to test; "
        f"{given.epochs} epochs, {torch.get_num_threads()} threads, torch {torch.__version__}."
    )
    header = ["seed", "minutes", "loss", "patch AUROC", "patch accuracy", "image AUROC", "image accuracy", "bar"]
    publish(Report("learn", [Table("A small network on patches", header, rows, note)], machine()), given.json)


if __name__ == "__main__":
    main()
