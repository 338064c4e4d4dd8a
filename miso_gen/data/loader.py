"""Batches of an epoch, in an order that depends on nothing but seed and epoch."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from miso_gen.data.order import EpochOrder
from miso_gen.errors import InputError
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

Ticket = tuple[int, int, "list[NDArray[np.int64]]"]  #: epoch, number of the first batch, and the items of each

_SMALL = 4096  # bytes of tensors that travel with the message; others go through shared memory, at some 0.1 ms each


class Loadable(Protocol):
    """A data set of this room."""

    transform: Any

    @property
    def images(self) -> NDArray[np.int64]:
        """Number of each item's image."""
        ...

    @property
    def joins(self) -> int:
        """Items, about, that may be made in one and cut apart."""
        ...

    def load(self, indices: NDArray[np.int64], epoch: int, *, raw: bool = False) -> dict[str, Any]:
        """Return a batch of an epoch; ``raw``: not finished, where that is smaller."""
        ...

    def finish(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Finish a raw batch."""
        ...

    def keep(self, images: int) -> None:
        """Keep so many images in memory."""
        ...

    def __len__(self) -> int: ...


class PatchLoader:
    """Batches of a data set of patches, images or bags; each iteration is an epoch, and the next one starts the next epoch.

    Shuffled, at any time the patches of ``pool`` images are mixed, so that an epoch decodes each image once; see
    :class:`~miso_gen.data.order.EpochOrder`. The batches are the same for any number of workers, bit by bit, and also what
    transforms draw from torch's own generator on the CPU. With several ranks, each sees a part of the epoch of its own; their
    numbers of batches are equal with ``drop_last``, and differ by at most one without.

    ``state_dict`` counts the batches that were handed out, not those that workers made ahead. A loader that got such a state goes
    on with the batch that comes next. Where an iteration is broken off without that, the next one starts the epoch again.

    Args:
        dataset: ``PatchDataset``, ``RecipeDataset``, ``ImageDataset`` or ``BagDataset``.
        batch: Items of a batch.
        seed: Decides the order, with the epoch.
        pool: Images whose patches are mixed at a time.
        workers: Processes that load; 0: none but this one. Each decodes the images by itself.
        shuffle: False: the order of the table, in every epoch.
        weights: (n,) numbers >= 0, the chance of each item to be drawn, with replacement; None: every item once.
        drop_last: Whether to leave out a last batch that is not full.
        rank: Which of several processes that train this is; None: what ``torch.distributed`` says, 0 without.
        ranks: How many there are.
        pin: Whether batches go to page-locked memory, for a GPU; nothing happens where there is none.
        start: How workers start: ``fork``, ``spawn`` or ``forkserver``; None: as the system does it.
        prefetch: Messages that each worker makes ahead: a batch each, or several where they are small.
        timeout: Seconds to wait for a batch of a worker; 0: for ever.

    Raises:
        InputError: An argument is out of range.
    """

    def __init__(
        self,
        dataset: Loadable,
        batch: int = 36,
        *,
        seed: int = 0,
        pool: int = 8,
        workers: int = 0,
        shuffle: bool = True,
        weights: ArrayLike | None = None,
        drop_last: bool = False,
        rank: int | None = None,
        ranks: int | None = None,
        pin: bool = False,
        start: Literal["fork", "spawn", "forkserver"] | None = None,
        prefetch: int = 2,
        timeout: float = 0,
    ) -> None:
        for name, value, least in (("batch", batch, 1), ("workers", workers, 0), ("prefetch", prefetch, 1)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise InputError(f"{name} must be a whole number from {least}, got {value!r}.")
        if (rank is None) != (ranks is None):
            raise InputError(f"rank and ranks must be given together, got rank {rank} and ranks {ranks}. Leave both out for one.")
        self.dataset, self.batch, self.drop_last, self.epoch = dataset, int(batch), drop_last, 0
        self._order: dict[str, Any] = {"seed": seed, "pool": pool, "shuffle": shuffle, "weights": weights}
        self._ranks = None if rank is None or ranks is None else (rank, ranks)
        self._held: EpochOrder | None = None
        self._delivered = self._resumed = 0
        self._epoch_order()  # complains about what can't be
        dataset.keep(pool + 1)
        self._tickets = _Tickets()
        self._joined = max(1, dataset.joins // self.batch) if workers else 1
        pin = pin and torch.cuda.is_available()
        self._loader = DataLoader(
            _Batches(dataset, seed, raw=not pin),  # what is pinned must be finished
            batch_size=None,
            sampler=self._tickets,
            collate_fn=_as_it_is,
            num_workers=workers,
            pin_memory=pin,
            multiprocessing_context=start if workers else None,
            persistent_workers=workers > 0,
            prefetch_factor=prefetch if workers else None,
            timeout=timeout if workers else 0,
            generator=torch.Generator().manual_seed(0),  # or the loader would draw from the user's
        )

    @property
    def sampler(self) -> PatchLoader:
        """The loader itself: Lightning calls ``set_epoch`` of what it finds here."""
        return self

    def __len__(self) -> int:
        """Batches of an epoch, on this rank."""
        order = self._epoch_order()
        return len(self.dataset) // order.ranks // self.batch if self.drop_last else -(-len(order) // self.batch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        first, self._resumed = self._resumed, 0
        self._delivered, epoch = first, self.epoch
        order = self._epoch_order()
        rows = order.indices(epoch)
        batches = len(self)
        parts = [rows[number * self.batch : (number + 1) * self.batch] for number in range(batches)]
        self._tickets.set(
            [(epoch, number, parts[number : number + self._joined]) for number in range(first, batches, self._joined)]
        )
        for number, batch in enumerate(chain.from_iterable(map(self._cut, self._loader)), first + 1):
            # The epoch is over with its last batch: whoever knows the length does not ask for another one.
            self.epoch, self._delivered = (epoch + 1, 0) if number == batches else (epoch, number)
            yield batch

    def _cut(self, made: tuple[dict[str, Any], list[int]]) -> Iterator[dict[str, Any]]:
        """Yield the batches that were made in one."""
        joined, sizes = made
        joined = {name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in joined.items()}
        if len(sizes) == 1:
            yield self.dataset.finish(joined)
            return
        start = 0
        for size in sizes:
            yield self.dataset.finish({name: value[start : start + size] for name, value in joined.items()})
            start += size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration; a state that was loaded for the same epoch holds."""
        if epoch != self.epoch:
            self.epoch, self._delivered, self._resumed = int(epoch), 0, 0

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is, as plain numbers: epoch, batches handed out, and what the order depends on."""
        return {"epoch": self.epoch, "batches": self._delivered, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader was; the number of workers may differ.

        Args:
            state: What its ``state_dict`` said.

        Raises:
            InputError: That loader had other batches.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise InputError(
                    f"{name} of the loader must be that of the state, {state.get(name)!r}, got {value!r}. "
                    "Make the loader with the same data set and arguments."
                )
        self.epoch = int(state["epoch"])
        self._delivered = self._resumed = int(state["batches"])

    def _identity(self) -> dict[str, Any]:
        order = {name: self._order[name] for name in ("seed", "pool", "shuffle")}
        ranks = self._epoch_order().ranks
        return {**order, "items": len(self.dataset), "batch": self.batch, "drop_last": self.drop_last, "ranks": ranks}

    def _epoch_order(self) -> EpochOrder:
        """Return the order, made anew where the rank has changed: processes may join a group after the loader was made."""
        rank, ranks = self._ranks or _process_group()
        if self._held is None or (self._held.rank, self._held.ranks) != (rank, ranks):
            self._held = EpochOrder(self.dataset.images, rank=rank, ranks=ranks, **self._order)
        return self._held


class _Tickets(Sampler["Ticket"]):
    """The batches that an iteration asks for; set before each."""

    def __init__(self) -> None:
        self._tickets: list[Ticket] = []

    def set(self, tickets: list[Ticket]) -> None:
        self._tickets = tickets

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._tickets)

    def __len__(self) -> int:
        return len(self._tickets)


class _Batches(TorchDataset["tuple[dict[str, Any], list[int]]"]):
    """Batches by ticket, those of a ticket in one; what lives in the workers."""

    def __init__(self, dataset: Loadable, seed: int, *, raw: bool) -> None:
        self.dataset, self.seed, self.raw = dataset, seed, raw

    def __getitem__(self, ticket: Ticket) -> tuple[dict[str, Any], list[int]]:
        epoch, number, parts = ticket
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        here = get_worker_info() is None
        if self.dataset.transform is None:
            batch = self.dataset.load(rows, epoch, raw=self.raw and not here)
        else:
            # Torch's own generator decides what transforms draw: it starts anew for each batch, whoever makes it.
            generator = torch.default_generator
            before = generator.get_state()
            generator.manual_seed(Stream(self.seed, "transform", epoch, number).word() >> 1)
            try:
                batch = self.dataset.load(rows, epoch)
            finally:
                generator.set_state(before)
        sizes = [len(part) for part in parts]
        return (batch if here else {name: _small(value) for name, value in batch.items()}), sizes


def _small(value: Any) -> Any:
    """Return small tensors as arrays."""
    return value.numpy() if isinstance(value, torch.Tensor) and value.nbytes <= _SMALL else value


def _as_it_is(batch: Any) -> Any:
    return batch


def _process_group() -> tuple[int, int]:
    """Return rank and ranks of ``torch.distributed``, (0, 1) without."""
    group = torch.distributed
    if group.is_available() and group.is_initialized():
        return group.get_rank(), group.get_world_size()
    return 0, 1
