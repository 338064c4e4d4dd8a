"""Who carries out the pieces of a build: this process, or the workers of a Dask cluster. The only file that talks to Dask."""

from __future__ import annotations

import json
import logging
import signal
import threading
from collections import deque
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from miso_gen.errors import BuildError, ClusterError
from miso_gen.work import Piece, Site, UnforeseenError, carry_out_all, require_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from miso_gen.recipe import ImagePlan

_CONNECT_S = 20
_SMALL_PIXELS = 500_000_000  # what one process renders in the time that a cluster takes to start

Outcomes = list[tuple[Piece, BaseException | None]]


class Engine(Protocol):
    """Whoever carries out pieces."""

    window: int  #: how many batches it wants at a time

    def submit(self, batch: list[Piece]) -> None:
        """Take a batch of pieces."""

    def result(self) -> Outcomes:
        """Wait for the next batch; return what each of its pieces raised, None where it is done."""


class Here:
    """Carries out pieces in this process."""

    window = 1

    def __init__(self, site: Site) -> None:
        self._site = site
        self._queue: deque[list[Piece]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, batch: list[Piece]) -> None:
        """See :class:`Engine`."""
        self._queue.append(batch)

    def result(self) -> Outcomes:
        """See :class:`Engine`."""
        batch = self._queue.popleft()
        return list(zip(batch, carry_out_all(batch, self._site), strict=True))


class DaskCluster:
    """Carries out pieces on a Dask cluster: a new local one, or a running one."""

    def __init__(self, site: Site, *, workers: int | None = None, scheduler: str | None = None) -> None:
        self._site, self._workers, self._scheduler = site, workers, scheduler
        self._batches: dict[str, list[Piece]] = {}
        self._count = 0
        self._open = ExitStack()
        self.window = 2

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def _start(self) -> None:
        import dask
        from distributed import Client, LocalCluster, as_completed

        self._open.enter_context(_quiet("distributed", "distributed.client"))
        # One batch at a time on a worker: Dask blames whatever waits on a worker that dies, too.
        saturation = {"distributed.scheduler.worker-saturation": 1.0}
        with dask.config.set({"distributed.comm.timeouts.connect": f"{_CONNECT_S}s", **saturation}):
            if self._scheduler is None:
                with _ignored_interrupts():
                    cluster = LocalCluster(
                        n_workers=self._workers,
                        threads_per_worker=1,
                        processes=True,
                        dashboard_address="127.0.0.1:0",  # None takes port 8787, which a second build would find in use
                        silence_logs=50,
                    )
                self._open.callback(cluster.close)
                self._client = Client(cluster)
            else:
                self._client = self._connect()
            self._open.callback(self._client.close)
        workers = self._require_same_versions()
        self.window = 2 * max(workers, 1)
        self._futures = as_completed()

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _connect(self) -> Any:
        from distributed import Client

        address = str(self._scheduler)
        try:
            # Dask itself would wait for a file that is not there.
            found = json.loads(Path(address).read_text("utf-8"))["address"] if address.endswith(".json") else address
            return Client(str(found), timeout=_CONNECT_S)
        except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:  # the last: Dask's own loop is 10 s late
            raise ClusterError(
                f"scheduler must be the address of a running Dask scheduler, got {address!r} ({type(error).__name__}). "
                "Start one with `dask scheduler`, or leave --scheduler out."
            ) from error

    def _require_same_versions(self) -> int:
        """Return the number of worker threads, after the versions of all workers were compared with ours."""
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT_S)
            self._client.run(require_fingerprint, self._site.fingerprint)
        except TimeoutError as error:
            raise ClusterError(
                f"scheduler {self._scheduler} must have workers, got none in {_CONNECT_S} s. Start some with `dask worker`."
            ) from error
        except ModuleNotFoundError as error:
            raise ClusterError(f"workers must have miso-gen installed, got: {error}. Install the same environment.") from error
        return sum(self._client.nthreads().values())

    def submit(self, batch: list[Piece]) -> None:
        """See :class:`Engine`."""
        key = f"miso-gen-{id(self)}-{self._count}-{batch[0].key}"
        self._count += 1
        self._batches[key] = batch
        # The site goes with every batch: scattered, it would be lost with the workers that were there first.
        self._futures.add(self._client.submit(carry_out_all, batch, self._site, key=key, pure=False))

    def result(self) -> Outcomes:
        """See :class:`Engine`."""
        from distributed import CancelledError, KilledWorker

        future = next(self._futures)
        batch = self._batches.pop(future.key)
        try:
            return list(zip(batch, future.result(), strict=True))
        except CancelledError as error:
            raise BuildError(
                "the Dask scheduler dropped the build. What is finished stays: run the same command to go on."
            ) from error
        except KilledWorker:
            # One piece of a batch is to blame; tried again alone, it will be known.
            kind = UnforeseenError if len(batch) > 1 else BuildError
            died = kind("its worker died again and again, perhaps for lack of memory. Try fewer workers.")
            return [(piece, died) for piece in batch]
        except Exception as error:
            return [(piece, error) for piece in batch]


def choose_engine(workers: int | None, scheduler: str | None, site: Site, plans: Sequence[ImagePlan]) -> Here | DaskCluster:
    """Return who carries out a build.

    Args:
        workers: Processes on this machine; 1 is this process; None: one per core, but this process for a small build.
        scheduler: Address of a running scheduler or its file, ``sync`` for this process, or None.
        site: What the build is.
        plans: The images that are to be built.
    """
    pixels = sum(plan.canvas.height * plan.canvas.width for plan in plans)
    small = not plans or (workers is None and pixels < _SMALL_PIXELS)
    if scheduler == "sync" or (scheduler is None and (workers == 1 or small)):
        return Here(site)
    return DaskCluster(site, workers=workers, scheduler=scheduler)


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Keep Dask from printing what is said in our own words."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Let processes that are started here ignore Ctrl-C, which a terminal sends to all: this process stops them in good order."""
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
