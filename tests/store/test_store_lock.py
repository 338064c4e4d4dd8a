"""The build lock: one holder, taken over when it is gone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from miso_gen.errors import OutputError
from miso_gen.store import BuildLock, open_target
from miso_gen.store.lock import LOCK, STALE_S, is_running, process_start


def holder(tmp_path, **changes):
    text = {"host": socket.gethostname(), "pid": os.getpid(), "start": process_start(os.getpid()), "token": "other", **changes}
    (tmp_path / LOCK).write_text(json.dumps(text))


def test_held_and_released(tmp_path):
    with BuildLock(open_target(tmp_path)) as lock:
        lock.beat()
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
        with pytest.raises(OutputError, match=f"got a build by process {os.getpid()} on {socket.gethostname()}"):
            BuildLock(open_target(tmp_path)).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_beat_renews_the_lock(tmp_path):
    with BuildLock(open_target(tmp_path)) as lock:
        os.utime(tmp_path / LOCK, (0, 0))
        lock.beat()
        assert time.time() - (tmp_path / LOCK).stat().st_mtime < STALE_S


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.parametrize("gone", ["dead", "another process", "silent", "silent elsewhere", "no lock at all"])
def test_taken_over(tmp_path, gone):
    match gone:
        case "dead":
            holder(tmp_path, pid=dead_pid())
        case "another process":
            if process_start(os.getpid()) is None:
                pytest.skip("this system does not say when a process started")
            holder(tmp_path, start="1")
        case "silent" | "silent elsewhere":
            holder(tmp_path, **({} if gone == "silent" else {"host": "elsewhere"}))
            os.utime(tmp_path / LOCK, (time.time() - STALE_S - 5,) * 2)
        case _:
            (tmp_path / LOCK).write_text("{")
            os.utime(tmp_path / LOCK, (0, 0))
    with BuildLock(open_target(tmp_path)) as lock:
        lock.beat()
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("host", [socket.gethostname(), "elsewhere"])
def test_not_taken_over_while_alive(tmp_path, host):
    holder(tmp_path, host=host, **({} if host == socket.gethostname() else {"pid": dead_pid()}))
    before = (tmp_path / LOCK).read_bytes()
    with pytest.raises(OutputError, match=f"on {host}. Wait for it"):
        BuildLock(open_target(tmp_path)).__enter__()
    assert (tmp_path / LOCK).read_bytes() == before


def test_a_lock_that_was_taken_stops_its_old_holder(tmp_path):
    with BuildLock(open_target(tmp_path)) as lock:
        holder(tmp_path, pid=1, host="elsewhere")
        with pytest.raises(OutputError, match="got process 1 on elsewhere"):
            lock.beat()
    assert (tmp_path / LOCK).exists()


def test_only_the_judged_lock_is_removed(tmp_path):
    holder(tmp_path)
    lock = BuildLock(open_target(tmp_path))
    lock._holder = {"token": "mine"}
    lock._remove(b"what it said before")
    assert json.loads((tmp_path / LOCK).read_text())["token"] == "other"
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_running():
    assert is_running(os.getpid(), process_start(os.getpid()))
    assert is_running(os.getpid(), None)
    assert not is_running(dead_pid(), None)
