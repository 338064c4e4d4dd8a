"""One build at a time: ``build.lock`` beside ``images.zarr`` says who writes, and when it was last alive."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miso_gen.errors import OutputError
from miso_gen.store.local import LocalTarget
from miso_gen.store.target import attempt_id

if TYPE_CHECKING:
    from types import TracebackType

    from miso_gen.store.target import Target

LOCK = "build.lock"
STALE_S = 60.0  #: a holder silent for longer is gone


def process_start(pid: int) -> str | None:
    """Return when a process of this machine started, in the kernel's own unit; None where that can't be known.

    A number of a process is given to another one day; number and start together are not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]  # the name in brackets may hold anything, so count from behind it


def is_running(pid: int, start: str | None) -> bool:
    """Whether the process that had this number and start still runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # there, but somebody else's
        pass
    now = process_start(pid)
    return start is None or now is None or now == start


class BuildLock:
    """Holds a store for one build; a context manager.

    A lock is taken over when its process on this machine is gone or is another one now, or when it was not renewed
    for 60 s. On object stores, which can't create a file only if it is missing, two builds that start within the same
    moment are found out at the next ``beat``.

    Args:
        target: The store.

    Raises:
        OutputError: On entering: somebody else builds into the store. The message names who.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._holder: dict[str, Any] = {}

    def __enter__(self) -> BuildLock:
        pid = os.getpid()
        self._holder = {
            "host": socket.gethostname(),
            "pid": pid,
            "start": process_start(pid),
            "token": attempt_id(),
        }
        for _ in range(3):
            if self._create():
                return self
            text = self._read()
            if text is None:
                continue
            holder = _parse(text)
            if self._is_alive(holder):
                raise OutputError(
                    f"{self.target.describe('')} must be free to build into, got a build by process {holder.get('pid')} on "
                    f"{holder.get('host')}. Wait for it, stop it, or choose another output."
                )
            self._remove(text)
        raise OutputError(f"{self.target.describe(LOCK)} must be free, got taken by others again and again. Try once more.")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_ours():
            self.target.remove(LOCK)

    def beat(self) -> None:
        """Show that this build is alive; call it every few seconds.

        Raises:
            OutputError: The lock was taken over, because this build was silent for too long. It must stop.
        """
        if not self._is_ours():
            text = self._read()
            holder = _parse(text) if text else {}
            raise OutputError(
                f"{self.target.describe(LOCK)} must be held by this build, got process {holder.get('pid')} on "
                f"{holder.get('host')}. This build was silent for too long and stops; start it again later."
            )
        if isinstance(self.target, LocalTarget):
            os.utime(self.target.describe(LOCK))
        else:
            self.target.write(LOCK, self._text())

    def _text(self) -> bytes:
        # Object stores keep their own time, so the time of the beat is in the text as well.
        return json.dumps({**self._holder, "beat": time.time()}, sort_keys=True).encode()

    def _create(self) -> bool:
        if not isinstance(self.target, LocalTarget):
            if self._read() is not None:
                return False
            self.target.write(LOCK, self._text())
            return self._is_ours()
        # A link appears with its content or not at all, and only where there is none.
        name = f"{LOCK}.{self._holder['token']}"
        self.target.write(name, self._text(), atomic=False)
        try:
            os.link(self.target.describe(name), self.target.describe(LOCK))
        except FileExistsError:
            return False
        finally:
            self.target.remove(name)
        return True

    def _read(self) -> bytes | None:
        try:
            return self.target.read(LOCK)
        except FileNotFoundError:
            return None

    def _remove(self, judged: bytes) -> None:
        """Remove the lock that was judged to be stale, and no newer one."""
        if not isinstance(self.target, LocalTarget):
            self.target.remove(LOCK)
            return
        taken = f"{LOCK}.{self._holder['token']}"
        try:
            self.target.rename(LOCK, taken)
        except FileNotFoundError:
            return
        if self.target.read(taken) != judged:
            with suppress(FileExistsError):
                os.link(self.target.describe(taken), self.target.describe(LOCK))
        self.target.remove(taken)

    def _is_ours(self) -> bool:
        text = self._read()
        return text is not None and _parse(text).get("token") == self._holder.get("token")

    def _is_alive(self, holder: dict[str, Any]) -> bool:
        here = holder.get("host") == socket.gethostname() and isinstance(holder.get("pid"), int)
        if here and not is_running(holder["pid"], holder.get("start")):
            return False
        return self._silence(holder) <= STALE_S

    def _silence(self, holder: dict[str, Any]) -> float:
        if isinstance(self.target, LocalTarget):
            try:
                return time.time() - Path(self.target.describe(LOCK)).stat().st_mtime
            except FileNotFoundError:
                return float("inf")
        beat = holder.get("beat")
        return time.time() - beat if isinstance(beat, int | float) else float("inf")


def _parse(text: bytes) -> dict[str, Any]:
    try:
        holder = json.loads(text)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}
