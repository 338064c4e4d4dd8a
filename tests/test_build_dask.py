"""The build engine over processes: local clusters, running schedulers, and whatever may be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections import deque
from importlib import import_module
from types import SimpleNamespace

import building
import psutil
import pytest
from building import assert_equal_trees, images, leftovers, looks_whole, marks, small, wait_for

from miso_gen import work
from miso_gen.build import build
from miso_gen.errors import BuildError, ClusterError
from miso_gen.recipe import load_recipe, plan_images
from miso_gen.store import open_dataset, open_target

BUILD = import_module("miso_gen.build")
ENGINE = import_module("miso_gen.engines")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The recipes whose builds are stopped below, built in one go: folder and root digest by name."""
    folder = tmp_path_factory.mktemp("whole")
    found = {}
    for data, shard in ((building.SLOW, None), (building.SHARDED, 256)):
        place = folder / data["name"]
        found[data["name"]] = place, build(load_recipe(data), place, workers=1, shard=shard).root_digest
    return found


# --- a cluster of our own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tile", "chunk", "shard"), [(250, 256, None), (64, 64, 256)])
def test_two_workers_write_the_same_files(tmp_path, golden, tile, chunk, shard):
    result = build(small(), tmp_path / "two", workers=2, tile=tile, chunk=chunk, shard=shard)
    golden("build", {"small": result.root_digest})
    build(small(), tmp_path / "one", workers=1, chunk=chunk, shard=shard)
    assert_equal_trees(tmp_path / "two", tmp_path / "one")
    assert leftovers(tmp_path / "two") == []


def test_two_builds_do_not_meet(tmp_path):
    """Dask's usual port is taken, as by another build; a warning would fail the test."""
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # somebody else has it: as good
            taken.bind(("", 8787))
            taken.listen()
        assert build(small(scenarios=["evp"]), tmp_path, workers=2).failures == ()


def test_workers_of_other_versions_are_refused(tmp_path, monkeypatch):
    fingerprint = BUILD.fingerprint()
    monkeypatch.setattr(BUILD, "fingerprint", lambda: {**fingerprint, "miso-gen": "99.0"})
    children = set(psutil.Process().children(recursive=True))
    with pytest.raises(ClusterError, match=r"workers must run the same versions as the build, got miso-gen .* instead of 99\.0"):
        build(small(), tmp_path / "out", workers=2)
    assert not (tmp_path / "out" / "images.zarr").exists()
    wait_for(lambda: not alive(set(psutil.Process().children(recursive=True)) - children), "the end of the workers")


def alive(processes):
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


TROUBLE = """
import os
import miso_gen.scene

make_scene = miso_gen.scene.make_scene

class LocalError(Exception):
    def __init__(self, what, other):  # can't be unpickled
        super().__init__(what)

def troubled(plan):
    if plan.id == "gsp/test/0003":
        raise LocalError("can't travel", 1)
    if plan.id == "evp/train/0006":
        os._exit(7)
    return make_scene(plan)

miso_gen.scene.make_scene = troubled
"""


def test_failures_in_workers(tmp_path, monkeypatch):
    """One image raises, one kills its worker: both are named, and all others are built."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(TROUBLE)
    path = os.pathsep.join([str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    recipe, folder = small(), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", path)  # only processes that are started from here on
        result = build(recipe, folder, workers=2)
    reasons = {failure.image_id: failure.reason for failure in result.failures}
    assert reasons.keys() == {"gsp/test/0003", "evp/train/0006"}
    assert reasons["gsp/test/0003"] == "LocalError: can't travel"
    assert reasons["evp/train/0006"].startswith("its worker died again and again")
    assert (result.root_digest, result.built, result.images) == (None, building.IMAGES - 2, building.IMAGES)
    assert not looks_whole(folder)
    assert build(recipe, folder, workers=1).kept == building.IMAGES - 2
    build(recipe, tmp_path / "whole", workers=1)
    assert_equal_trees(folder, tmp_path / "whole")


def test_an_image_that_kills_workers_takes_no_other_with_it():
    """With a long way still to go: an engine that loses a whole batch to one image of it, as Dask does."""

    class Fragile:
        window = 4

        def __init__(self):
            self.batches = []

        def submit(self, batch):
            self.batches.append(batch)

        def result(self):
            batch = self.batches.pop(0)
            error = None
            if any(piece.plan.id == "evp/test/0009" for piece in batch):
                error = work.UnforeseenError("died") if len(batch) > 1 else BuildError("died")
            return [(piece, error) for piece in batch]

    plans = plan_images(load_recipe(building.SLOW))
    site = work.Site(open_target("nowhere"), "", {})
    stages = {plan.id: deque(work.stages(plan, site)) for plan in plans}
    run = BUILD._Run(Fragile(), site, stages, 2, BUILD._Silent(), SimpleNamespace(check=lambda: None))
    run.work()
    assert [failure.image_id for failure in run.failures] == ["evp/test/0009"]
    assert run.pixels == (building.SLOW_IMAGES - 1) * 1024**2


@pytest.mark.parametrize(
    ("workers", "scheduler", "pixels", "expected"),
    [
        (None, None, 10**12, "Here"),  # small: a cluster would take longer to start than the work
        (None, None, 0, "DaskCluster"),
        (1, None, 0, "Here"),
        (2, None, 10**12, "DaskCluster"),
        (2, "sync", 0, "Here"),
        (None, "tcp://127.0.0.1:1", 10**12, "DaskCluster"),
        (1, "tcp://127.0.0.1:1", 10**12, "DaskCluster"),
    ],
)
def test_who_works(monkeypatch, workers, scheduler, pixels, expected):
    monkeypatch.setattr(ENGINE, "_SMALL_PIXELS", pixels)
    engine = ENGINE.choose_engine(workers, scheduler, None, plan_images(small(scenarios=["evp"])))
    assert type(engine).__name__ == expected


# --- killed, then run again -------------------------------------------------------------------------------------------


def in_the_middle(folder, sharded):
    """Whether some of the work is done: three images, or five shards of one."""
    if sharded:
        return len(list(folder.glob("images.zarr/gsp/test/.work-*/parts/*.json"))) >= 5
    return len(images(folder)) >= 3


def finished_shards(folder):
    """Return the marks of the files of all shards whose record is written, by the path that they end at."""
    found, now = {}, marks(folder)
    for record in folder.rglob(".work-*/parts/*.json"):
        work = record.parent.parent.relative_to(folder)
        final = work.with_name(work.name.removeprefix(".work-"))
        for file in json.loads(record.read_text())["files"]:
            found[str(final / file)] = now[str(work / "image" / file)]
    return found


@pytest.mark.parametrize("name", ["slow", "sharded"])
@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_and_a_second_run(tmp_path, whole, name, workers):
    data = building.SLOW if name == "slow" else building.SHARDED
    folder, recipe = tmp_path / "out", building.recipe_file(tmp_path / "recipe.yaml", data)
    options = ["--workers", str(workers), *(["--shard", "256"] if name == "sharded" else [])]
    process = building.start("build", recipe, "-o", folder, *options)
    try:
        wait_for(lambda: in_the_middle(folder, name == "sharded") or process.poll() is not None, "the middle of the build")
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL  # it was in the middle
        assert bool(children) == (workers == 2)
        wait_for(lambda: not alive(children), "the end of workers whose client is gone")
    finally:
        stop_group(process)
    there = images(folder)
    before = {image_id: marks(path) for image_id, path in there.items()}
    parts = finished_shards(folder)
    assert bool(parts) == (name == "sharded")
    assert not looks_whole(folder)
    facts = json.loads(building.cli("info", folder, "--json").stdout)
    assert (facts["state"], facts["images"], facts["root_digest"]) == ("building", len(there), None)
    assert facts["planned"] > len(there)

    again = building.cli("build", recipe, "-o", folder, *options, "--json")
    assert again.exit_code == 0
    result = json.loads(again.stdout)
    assert result["root_digest"] == whole[name][1]
    assert result["kept"] == len(there)
    assert {image_id: marks(path) for image_id, path in there.items()} == before
    now = marks(folder)
    assert {path: now[path] for path in parts} == parts
    assert_equal_trees(folder, whole[name][0])
    assert leftovers(folder) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_control_c(tmp_path, whole, workers):
    """As a terminal does it: the signal goes to all processes of the group."""
    folder, recipe = tmp_path / "out", building.recipe_file(tmp_path / "recipe.yaml", building.SLOW)
    process = building.start("build", recipe, "-o", folder, "--workers", str(workers))
    try:
        wait_for(lambda: in_the_middle(folder, False) or process.poll() is not None, "the middle of the build")
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
        wait_for(lambda: not alive(children), "the end of the workers")
    finally:
        stop_group(process)
    assert process.returncode == 1, err
    assert out == ""
    first, last = err.splitlines()  # and nothing else, from any process
    assert first == f"{building.SLOW_IMAGES} images, 0 of them there already"
    assert last == "stopped. What is finished stays: run the same command to go on."
    assert [path for path in leftovers(folder) if ".tmp-" not in path] == []  # a worker that is stopped may leave some
    assert not looks_whole(folder)
    build(load_recipe(building.SLOW), folder, workers=1)
    assert_equal_trees(folder, whole["slow"][0])


def stop_group(process):
    """End what a failed test would leave behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# --- a running scheduler ----------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path):
    """A ``dask scheduler`` and a function that starts a ``dask worker``: processes of their own on this machine."""
    processes = []
    file = tmp_path / "scheduler.json"

    def launch(*arguments):
        with (tmp_path / f"dask-{len(processes)}.log").open("w") as log:
            command = [sys.executable, "-m", "dask", *map(str, arguments)]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
        return processes[-1]

    def worker():
        options = ["--scheduler-file", file, "--nworkers", 1, "--nthreads", 1, "--no-dashboard", "--host", "127.0.0.1"]
        return launch("worker", *options, "--local-directory", tmp_path / "scratch")

    def connected(count):
        from distributed import Client

        with warnings.catch_warnings(), Client(address(), timeout=60) as client:
            client.wait_for_workers(count, timeout=60)

    def address():
        return json.loads(file.read_text())["address"]

    scheduler = launch("scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file, "--no-show")
    try:
        wait_for(lambda: (file.exists() and file.stat().st_size) or scheduler.poll() is not None, "the start of the scheduler")
        yield {"scheduler": scheduler, "worker": worker, "connected": connected, "address": address, "file": str(file)}
    finally:
        for process in reversed(processes):
            stop_group(process)


class AtImage:
    """A watcher that does something when so many images are finished."""

    def __init__(self, number, action):
        self.number, self.action, self.finished = number, action, 0

    def start(self, plans, kept): ...

    def failed(self, plan, reason):
        raise AssertionError(reason)

    def progress(self, plan, pixels, *, finished):
        self.finished += finished
        if self.finished == self.number and finished:
            self.action()


def test_a_worker_is_killed_in_the_middle(tmp_path, whole, cluster):
    victim, _ = cluster["worker"](), cluster["worker"]()
    cluster["connected"](2)
    killed = []

    def kill():
        os.killpg(victim.pid, signal.SIGKILL)  # the worker and its nanny, so that nobody starts it again
        killed.append(True)

    recipe, folder = load_recipe(building.SLOW), tmp_path / "out"
    result = build(recipe, folder, scheduler=cluster["address"](), watcher=AtImage(10, kill))
    assert killed
    assert (result.failures, result.built, result.root_digest) == ((), building.SLOW_IMAGES, whole["slow"][1])
    assert open_dataset(folder).root_digest == whole["slow"][1]
    assert [path for path in leftovers(folder) if ".tmp-" not in path] == []  # the killed worker had no time to clean up
    again = build(small(), tmp_path / "small", scheduler=cluster["file"])  # the cluster is still of use, by its file too
    assert again.built == building.IMAGES
    assert cluster["scheduler"].poll() is None


def test_all_workers_are_replaced(tmp_path, whole, cluster):
    """Nothing that a build needs may live on its first workers only."""
    first = cluster["worker"]()
    cluster["connected"](1)

    def replace():
        os.killpg(first.pid, signal.SIGKILL)
        cluster["worker"]()

    result = build(load_recipe(building.SLOW), tmp_path / "out", scheduler=cluster["file"], watcher=AtImage(10, replace))
    assert (result.failures, result.root_digest) == ((), whole["slow"][1])


def test_the_scheduler_is_killed_in_the_middle(tmp_path, whole, cluster, capfd):
    worker = cluster["worker"]()
    cluster["connected"](1)
    recipe, folder = load_recipe(building.SLOW), tmp_path / "out"
    with pytest.raises(BuildError, match=r"the Dask scheduler dropped the build\. What is finished stays"):
        build(recipe, folder, scheduler=cluster["address"](), watcher=AtImage(10, cluster["scheduler"].kill))
    assert "Traceback" not in capfd.readouterr().err
    assert not looks_whole(folder)
    wait_for(lambda: worker.poll() is not None, "the end of a worker without a scheduler")
    result = build(recipe, folder, workers=1)
    assert result.kept >= 10
    assert_equal_trees(folder, whole["slow"][0])


def test_a_scheduler_without_workers(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(ENGINE, "_CONNECT_S", 1)
    with pytest.raises(ClusterError, match=r"must have workers, got none in 1 s\. Start some with `dask worker`"):
        build(small(), tmp_path / "out", scheduler=cluster["address"]())


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "foo://127.0.0.1:80", "no-such-file.json"])
def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch, address):
    monkeypatch.setattr(ENGINE, "_CONNECT_S", 1)
    recipe = building.recipe_file(tmp_path / "r.yaml", building.SMALL)
    result = building.cli("build", recipe, "-o", tmp_path / "out", "--scheduler", address)
    assert result.exit_code == 1
    assert f"error: scheduler must be the address of a running Dask scheduler, got '{address}'" in result.stderr
    assert list((tmp_path / "out").iterdir()) == []  # no store that stands in another recipe's way


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"address": 5}', "not json"])
def test_a_scheduler_file_that_is_none(tmp_path, monkeypatch, text):
    monkeypatch.setattr(ENGINE, "_CONNECT_S", 1)
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(ClusterError, match="scheduler must be the address of a running Dask scheduler"):
        build(small(), tmp_path / "out", scheduler=str(tmp_path / "s.json"))
