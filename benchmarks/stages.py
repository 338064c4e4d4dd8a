"""Where the time of an image goes: clocks around the functions of a build, in one process."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack, contextmanager
from functools import wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What is timed under which name; a name's time excludes that of the names called within it.
STAGES = {
    "scene": ("miso_gen.work.make_scene",),
    "render": ("miso_gen.work.send",),
    "summary": (
        "miso_gen.store.area.image_cells",
        "miso_gen.store.area.truth_cells",
        "miso_gen.store.area.image_planes_cells",
        "miso_gen.store.area.truth_planes_cells",
    ),
    "digest": (
        "miso_gen.store.area.block_digest",
        "miso_gen.store.memo.block_digest",
        "miso_gen.store.area.constant_digest",
    ),
    "encode": (
        "miso_gen.store.shards.encode_chunk",
        "miso_gen.store.memo.encode_chunk",
        "miso_gen.store.commit.encode_chunk",
        "miso_gen.store.area.ShardEncoder.finish",
    ),
    "cutting": ("miso_gen.store.write.ImageWriter.write",),
    "files": ("miso_gen.store.write.ImageWriter.finish",),
}
#: The stages that are one call of ``ImageWriter.write``.
WRITE = ("summary", "digest", "encode", "cutting")


class Clocks:
    """Time by stage, in seconds of the wall clock."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a clock around it."""

        @wraps(function)
        def clocked(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            begin = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent = perf_counter() - begin
                self.seconds[stage] += spent - self._inner.pop()
                self._inner[-1] += spent

        return clocked

    @contextmanager
    def running(self) -> Iterator[None]:
        """Put clocks around all stages."""
        with ExitStack() as stack:
            for stage, names in STAGES.items():
                for name in names:
                    stack.enter_context(patch(name, self.around(stage, _found(name))))
            yield


def _found(name: str) -> Callable[..., Any]:
    """Return what a dotted name stands for; AttributeError where the package has changed."""
    from importlib import import_module

    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            found = getattr(found, part)
        function: Callable[..., Any] = found
        return function
    raise AttributeError(name)
