"""The build engine in one process: one digest whatever the way, resuming, failures, object stores."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import warnings
from importlib import import_module
from pathlib import Path

import building
import numpy as np
import pytest
import zarr
from building import assert_equal_trees, images, leftovers, looks_whole, marks, small

from miso_gen import work
from miso_gen.build import BuildResult, Failure, build, default_output
from miso_gen.errors import ClusterError, InputError, OutputError, RecipeError, SpaceError
from miso_gen.recipe import load_recipe, plan_images
from miso_gen.render import render
from miso_gen.store import BuildLock, array_digest, open_dataset, open_target, validate_store

ENGINE = import_module("miso_gen.build")  # `miso_gen.build` is the function


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The small recipe, built in this process in one go."""
    folder = tmp_path_factory.mktemp("reference") / "store"
    return folder, build(small(), folder, workers=1)


class Recorder:
    """A watcher that notes what it hears, and may stop the build."""

    def __init__(self, stop_after=None):
        self.stop_after, self.finished, self.failures, self.pixels = stop_after, [], {}, 0

    def start(self, plans, kept):
        self.plans, self.kept = plans, set(kept)

    def progress(self, plan, pixels, *, finished):
        self.pixels += pixels
        if finished:
            self.finished.append(plan.id)
        if self.stop_after is not None and len(self.finished) >= self.stop_after:
            raise KeyboardInterrupt

    def failed(self, plan, reason):
        self.failures[plan.id] = reason


# --- one digest -------------------------------------------------------------------------------------------------------


def test_golden_root_digest(reference, golden):
    golden("build", {"small": reference[1].root_digest})


@pytest.mark.parametrize(("channels", "dtype", "codec"), [(3, "uint16", "zstd"), (1, "float32", "lz4")])
def test_golden_of_other_canvases(tmp_path, golden, channels, dtype, codec):
    canvas = {"shape": [300, 280], "channels": channels, "dtype": dtype}
    result = build(small(canvas=canvas, codec=codec, splits=["test"]), tmp_path / "out", workers=1, tile=100)
    golden("build", {f"small-{channels}-{dtype}": result.root_digest})
    assert validate_store(tmp_path / "out") == []


def test_result(reference):
    folder, result = reference
    assert (result.path, result.images, result.built, result.kept) == (str(folder), building.IMAGES, building.IMAGES, 0)
    assert result.pixels == building.IMAGES * 300 * 280
    assert result.failures == ()
    assert result.seconds > 0
    assert leftovers(folder) == []


def test_pixels_are_those_of_render_and_digests_their_definition(reference):
    """By another route: the whole image rendered at once, and the digests computed from what is read back."""
    recipe, dataset = small(), open_dataset(reference[0])
    table = dataset.table
    for _, row in table.groupby(["scenario", "label"]).head(1).iterrows():
        image, truth = render(recipe, row.image_id)
        view = dataset[row.image_id]
        assert np.array_equal(view.image[...], image)
        assert np.array_equal(view.truth[...], truth)
        assert (array_digest(image), array_digest(truth)) == (row.image_digest, row.truth_digest)
        assert row.truth_1_share == (truth >= 1).mean()
        assert row.truth_2_share == (truth == 2).mean()
    rows = table.to_dict("records")
    assert building.literal_root_digest(rows) == reference[1].root_digest == dataset.root_digest
    rows[0]["label"] = 1 - rows[0]["label"]
    assert building.literal_root_digest(rows) != reference[1].root_digest


def test_index_says_what_the_plan_says(reference):
    table = open_dataset(reference[0]).table.set_index("image_id")
    plans = {plan.id: plan for plan in plan_images(small())}
    assert set(table.index) == set(plans)
    assert len(plans) == building.IMAGES
    for image_id, plan in plans.items():
        row = table.loc[image_id]
        assert (row.scenario, row.split, row.label, row.class_name) == (plan.scenario, plan.split, plan.label, plan.class_name)
        assert (None if row.pair != row.pair else row.pair) == plan.pair  # pandas has nan for None
        assert row.morphology == plan.morphology
        assert row["params.fuzz"] == plan.params["fuzz"]


@pytest.mark.parametrize(
    ("tile", "chunk", "shard"),
    [(64, 64, None), (250, 128, 512), (1024, 512, None), (1000, 100, 300), (250, 256, 256), (64, 64, 256), (77, 128, 256)],
)
def test_one_digest_for_any_tile_chunk_and_shard(reference, tmp_path, tile, chunk, shard):
    result = build(small(), tmp_path, workers=1, tile=tile, chunk=chunk, shard=shard)
    assert result.root_digest == reference[1].root_digest
    several = shard == 256
    for path in images(tmp_path).values():
        assert len(list(path.glob("0/c/0/*/*"))) == len(list(path.glob("labels/truth/0/c/*/*"))) == (4 if several else 1)
    assert leftovers(tmp_path) == []
    if several:
        assert validate_store(tmp_path) == []


@pytest.mark.parametrize(("tile", "other", "chunk", "shard"), [(64, 250, 256, None), (1024, 100, 64, 256)])
def test_equal_stores_are_equal_files(tmp_path, tile, other, chunk, shard):
    recipe = small(splits=["test"])
    for name, side in (("one", tile), ("other", other)):
        build(recipe, tmp_path / name, workers=1, tile=side, chunk=chunk, shard=shard)
    assert_equal_trees(tmp_path / "one", tmp_path / "other")


def test_levels_of_a_long_canvas(tmp_path):
    recipe = small(canvas={"shape": [4200, 300]}, splits=["test"], scenarios=["evp", "gsp"])
    digests = set()
    for name, options in {"default": {}, "shards": {"shard": 512, "chunk": 128}, "one": {"shard": 8192, "tile": 250}}.items():
        digests.add(build(recipe, tmp_path / name, workers=1, **options).root_digest)
        assert validate_store(tmp_path / name) == []
        group = zarr.open_group(tmp_path / name / "images.zarr/gsp/test/0002", mode="r")
        full, half = group["0"][0].astype(np.int64), group["1"][0]
        blocks = full.reshape(2100, 2, 150, 2)
        assert np.array_equal(half, (2 * blocks.sum(axis=(1, 3)) + 4) // 8)  # the mean of four, halves up
        assert np.array_equal(group["labels/truth/1"][...], group["labels/truth/0"][::2, ::2])
        assert "2" not in group
    assert len(digests) == 1


def test_a_scenario_more_changes_no_other_image(reference, tmp_path):
    build(small(scenarios=["gsp", "dsp"]), tmp_path, workers=1)
    all_of_them = open_dataset(reference[0]).table.set_index("image_id")
    few = open_dataset(tmp_path).table.set_index("image_id")
    assert set(few["scenario"]) == {"gsp", "dsp"}
    for column in ("image_digest", "truth_digest", "instances_digest", "params.radius_px"):
        assert few[column].equals(all_of_them.loc[few.index, column])


def test_recipe_in_the_store_is_the_recipe(reference):
    dataset = open_dataset(reference[0])
    assert load_recipe(dataset.recipe) == small()
    assert load_recipe(dataset.recipe).digest == dataset.recipe_digest == small().digest
    assert dataset.root.generator == work.fingerprint()


def test_default_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = small(scenarios=["evp"], splits=["test"])
    result = build(recipe)
    assert Path(result.path) == default_output(recipe) == Path("datasets/small/1.0.0")
    assert open_dataset(tmp_path / "datasets/small/1.0.0").root_digest == result.root_digest


def test_recipe_by_file(reference, tmp_path):
    path = building.recipe_file(tmp_path / "small.yaml", building.SMALL)
    assert build(path, tmp_path / "out").root_digest == reference[1].root_digest


def test_a_watcher_hears_of_every_image_once(tmp_path):
    recipe, recorder = small(splits=["test"]), Recorder()
    result = build(recipe, tmp_path, workers=1, shard=256, watcher=recorder)
    ids = [plan.id for plan in plan_images(recipe)]
    assert sorted(recorder.finished) == sorted(ids)
    assert [plan.id for plan in recorder.plans] == ids
    assert recorder.kept == set()
    assert recorder.pixels == result.pixels == len(ids) * 300 * 280


def test_the_name_of_a_piece_is_its_own():
    recipe = small(canvas={"shape": [4200, 300]}, scenarios=["gsp"])
    site = work.Site(open_target("nowhere"), "", {}, shard=512)
    pieces = [piece for plan in plan_images(recipe) for stage in work.stages(plan, site) for piece in stage]
    assert len({piece.key for piece in pieces}) == len(pieces) == 16 * (9 + 5 + 1)
    assert sum(piece.pixels for piece in pieces) == 16 * 4200 * 300


# --- other readers ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """The test images of the small recipe, several shards each."""
    folder = tmp_path_factory.mktemp("sharded") / "store"
    build(small(splits=["test"]), folder, workers=1, shard=256)
    return folder


@pytest.mark.parametrize("kind", ["reference", "sharded"])
@pytest.mark.parametrize("scenario", building.SCENARIOS)
def test_other_readers_see_the_same_pixels(request, kind, scenario):
    tensorstore = pytest.importorskip("tensorstore")
    pytest.importorskip("zarrs")
    found = request.getfixturevalue(kind)
    folder = found if kind == "sharded" else found[0]
    dataset = open_dataset(folder)
    for label in (0, 1):
        wanted = dataset.table.query(f"scenario == {scenario!r} and split == 'test' and label == {label}")
        image_id = wanted["image_id"].iloc[0]
        image, truth = render(small(), image_id)
        place = folder / "images.zarr" / image_id
        arrays = {"0": image, "labels/truth/0": truth}
        if (place / "labels/instances").exists():
            arrays["labels/instances/0"] = dataset[image_id].instances[...]
        for name, pixels in arrays.items():
            assert np.array_equal(zarr.open_array(place / name, mode="r")[...], pixels)
            with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
                assert np.array_equal(zarr.open_array(place / name, mode="r")[...], pixels)
            spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(place / name)}}
            assert np.array_equal(tensorstore.open(spec).result().read().result(), pixels)
        seen = ome_zarr_pixels(place)
        assert seen.keys() == {Path(name).parent.name or place.name for name in arrays}
        for name, pixels in seen.items():
            assert np.array_equal(pixels, arrays["0" if name == place.name else f"labels/{name}/0"])


def ome_zarr_pixels(place):
    """Return what the reader of ome-zarr finds in an image, by the name of the node."""
    io = pytest.importorskip("ome_zarr.io")
    reader = pytest.importorskip("ome_zarr.reader")
    nodes = reader.Reader(io.parse_url(str(place)))()
    return {
        Path(str(node.zarr).removesuffix(" [zgroup]")).name: node.data[0].compute(scheduler="sync") for node in nodes if node.data
    }


@pytest.mark.parametrize("kind", ["reference", "sharded"])
def test_validators_accept_every_image(request, kind):
    yaozarrs = pytest.importorskip("yaozarrs")
    models = pytest.importorskip("ome_zarr_models")
    found = request.getfixturevalue(kind)
    folder = found if kind == "sharded" else found[0]
    assert validate_store(folder) == []
    there = [place for image_id, place in images(folder).items() if image_id.startswith(tuple(building.SCENARIOS))]
    assert len(there) == len(open_dataset(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for place in there[:: 1 if kind == "sharded" else 4]:
            for inner, name in (("", "Image"), ("labels", "Labels"), ("labels/truth", "ImageLabel")):
                yaozarrs.validate_zarr_store(str(place / inner))
                assert type(models.open_ome_zarr(zarr.open_group(place / inner, mode="r"))).__name__ == name


def test_our_validator_sees_a_flipped_bit(reference, tmp_path):
    folder = tmp_path / "store"
    shutil.copytree(reference[0], folder)
    path = folder / "images.zarr/gsp/test/0002/0/c/0/0/0"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 16
    path.write_bytes(data)
    assert {problem.where for problem in validate_store(folder)} == {"gsp/test/0002"}


# --- resuming ---------------------------------------------------------------------------------------------------------


def test_building_again_changes_nothing(reference, tmp_path):
    folder = tmp_path / "store"
    shutil.copytree(reference[0], folder)
    before, recorder = marks(folder), Recorder()
    result = build(small(), folder, workers=2, watcher=recorder)  # with nothing to do no workers are started
    assert marks(folder) == before
    assert (result.root_digest, result.built, result.kept) == (reference[1].root_digest, 0, building.IMAGES)
    assert result.pixels == 0
    assert recorder.kept == set(images(folder))


@pytest.mark.parametrize("shard", [None, 256])
@pytest.mark.parametrize("after", [1, 40, 47])
def test_a_stopped_build_goes_on(tmp_path, after, shard):
    recipe, folder, whole = small(splits=["test"]), tmp_path / "stopped", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        build(recipe, folder, workers=1, shard=shard, watcher=Recorder(stop_after=after))
    assert not looks_whole(folder)
    assert not (folder / "build.lock").exists()
    there = images(folder)
    assert after <= len(there) < 48
    before = {image_id: marks(path) for image_id, path in there.items()}
    recorder = Recorder()
    result = build(recipe, folder, workers=1, shard=shard, watcher=recorder)
    assert {image_id: marks(path) for image_id, path in there.items()} == before
    assert (result.kept, result.built) == (len(there), 48 - len(there))
    assert set(recorder.finished) == set(images(folder)) - set(there)
    build(recipe, whole, workers=1, shard=shard)
    assert_equal_trees(folder, whole)


def test_what_killed_attempts_left_is_swept_and_holes_are_filled(reference, tmp_path):
    folder = tmp_path / "store"
    shutil.copytree(reference[0], folder)
    root = folder / "images.zarr"
    shutil.rmtree(root / "gsp/test/0003")
    shutil.rmtree(root / "fm")
    (root / "evp/train/0002").rename(root / "evp/train/.tmp-0002-1-abc")
    (root / "evp/test/.old-0001-1-abc").mkdir()
    (root / "evp/test/.old-0001-1-abc/stray").write_text("stray")
    (folder / "index.parquet").unlink()
    (folder / "build.lock").write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "x"}))
    old = (folder / "build.lock").stat().st_mtime - 100
    os.utime(folder / "build.lock", (old, old))
    result = build(small(), folder, workers=1)
    assert (result.built, result.kept) == (18, building.IMAGES - 18)
    assert_equal_trees(folder, reference[0])


@pytest.mark.parametrize("name", ["index.parquet", "instances.parquet"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_table_is_written_again(reference, tmp_path, name, damage):
    folder = tmp_path / "store"
    shutil.copytree(reference[0], folder)
    path = folder / name
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:-20])
    before = {image_id: marks(place) for image_id, place in images(folder).items()}
    result = build(small(), folder, workers=1)
    assert (result.built, result.root_digest) == (0, reference[1].root_digest)
    assert {image_id: marks(place) for image_id, place in images(folder).items()} == before
    assert_equal_trees(folder, reference[0])


def test_finished_shards_of_an_unfinished_image_are_kept(tmp_path, monkeypatch):
    recipe = load_recipe(building.SHARDED | {"canvas": {"shape": [1100, 1000]}})
    folder = tmp_path / "store"
    original, done = work.carry_out, []

    def stop_in_the_middle(piece, site):
        if len(done) == 7:
            raise SpaceError("full")
        original(piece, site)
        done.append(piece)

    monkeypatch.setattr(work, "carry_out", stop_in_the_middle)
    with pytest.raises(SpaceError):
        build(recipe, folder, workers=1, shard=256)
    (unfinished,) = folder.glob("images.zarr/gsp/test/.work-*")
    before = marks(unfinished / "image")
    assert len([path for path in before if path.startswith("0/c/")]) == 7
    monkeypatch.undo()
    build(recipe, folder, workers=1, shard=256)
    after = marks(folder / "images.zarr/gsp/test" / unfinished.name.removeprefix(".work-"))
    assert before.items() <= after.items()  # the same files, moved
    build(recipe, tmp_path / "whole", workers=1, shard=256)
    assert_equal_trees(folder, tmp_path / "whole")


# --- failures ---------------------------------------------------------------------------------------------------------


class Trouble:
    """Stands for ``make_scene``: raises for some images, some times."""

    def __init__(self, error, ids, times=10**9):
        self.error, self.ids, self.times, self.tries = error, ids, times, []
        self.original = work.make_scene

    def __call__(self, plan):
        if plan.id in self.ids and len(self.tries) < self.times:
            self.tries.append(plan.id)
            raise self.error
        return self.original(plan)


@pytest.mark.parametrize("shard", [None, 256])
def test_an_image_that_fails_is_tried_again_then_left_out(tmp_path, monkeypatch, shard):
    recipe = small(splits=["test"])
    trouble = Trouble(ZeroDivisionError("no such thing"), {"gsp/test/0003"})
    monkeypatch.setattr(work, "make_scene", trouble)
    recorder = Recorder()
    result = build(recipe, tmp_path / "out", workers=1, retries=3, shard=shard, watcher=recorder)
    per_image = 1 if shard is None else 4  # shards
    assert len(trouble.tries) == 4 * per_image
    assert result.failures == (Failure("gsp/test/0003", "ZeroDivisionError: no such thing"),)
    assert recorder.failures == {"gsp/test/0003": "ZeroDivisionError: no such thing"}
    assert (result.root_digest, result.built, result.images) == (None, 47, 48)
    assert set(images(tmp_path / "out")) == {plan.id for plan in plan_images(recipe)} - {"gsp/test/0003"}
    assert not looks_whole(tmp_path / "out")
    assert len(open_dataset(tmp_path / "out", incomplete=True).table) == 47
    monkeypatch.undo()
    again = build(recipe, tmp_path / "out", workers=1, shard=shard)
    assert (again.built, again.kept, again.failures) == (1, 47, ())
    build(recipe, tmp_path / "whole", workers=1, shard=shard)
    assert_equal_trees(tmp_path / "out", tmp_path / "whole")


def test_a_passing_failure_leaves_no_trace(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "make_scene", Trouble(OSError("a hiccup"), {"md/test/0001", "fm/train/0002"}, times=2))
    result = build(small(), tmp_path, workers=1, retries=2)
    assert (result.failures, result.root_digest) == ((), reference[1].root_digest)
    assert_equal_trees(tmp_path, reference[0])


def test_what_can_never_work_is_not_tried_again(tmp_path, monkeypatch):
    trouble = Trouble(RecipeError("a disc that fits nowhere"), {"gsp/test/0002"})
    monkeypatch.setattr(work, "make_scene", trouble)
    result = build(small(splits=["test"], scenarios=["gsp"]), tmp_path, workers=1)
    assert trouble.tries == ["gsp/test/0002"]
    assert result.failures == (Failure("gsp/test/0002", "a disc that fits nowhere"),)


@pytest.mark.parametrize("error", [SpaceError("the disk is full"), OutputError("taken over"), ClusterError("other versions")])
def test_what_concerns_all_images_stops_at_once(tmp_path, monkeypatch, error):
    recipe = small(splits=["test"])
    trouble = Trouble(error, {"evsp/test/0004"})
    monkeypatch.setattr(work, "make_scene", trouble)
    with pytest.raises(type(error), match=str(error)):
        build(recipe, tmp_path, workers=1)
    assert trouble.tries == ["evsp/test/0004"]
    assert {"evp/test/0001", "md/test/0008"} <= set(images(tmp_path))
    assert "fm/test/0008" not in images(tmp_path)
    assert leftovers(tmp_path) == []
    assert not looks_whole(tmp_path)
    monkeypatch.undo()
    assert build(recipe, tmp_path, workers=1).kept >= 27


def test_a_full_disk(tmp_path, monkeypatch):
    """The system's own error, in the middle of an image."""
    original, written = os.write, []

    def write(descriptor, data):
        written.append(len(data))
        if sum(written) > 300_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(descriptor, data)

    recipe = small(splits=["test"])
    monkeypatch.setattr("miso_gen.store.local.os.write", write)
    with pytest.raises(SpaceError, match=r"must fit on its disk, got 'No space left on device'\. Free some space"):
        build(recipe, tmp_path / "out", workers=1)
    monkeypatch.undo()
    there = set(images(tmp_path / "out"))
    assert there
    assert not looks_whole(tmp_path / "out")
    assert build(recipe, tmp_path / "out", workers=1).kept == len(there)
    build(recipe, tmp_path / "whole", workers=1)
    assert_equal_trees(tmp_path / "out", tmp_path / "whole")


def test_workers_of_other_versions_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ENGINE, "fingerprint", lambda: {**work.fingerprint(), "numpy": "1.0"})
    with pytest.raises(ClusterError, match=rf"got numpy {np.__version__} instead of 1\.0\. Install the same environment"):
        build(small(), tmp_path, workers=1)
    assert images(tmp_path) == {}


def test_a_failure_travels_between_processes(tmp_path):
    """Some exceptions can't be pickled; one of them must not take other images with it."""

    class LocalError(Exception):
        pass

    plan, other = plan_images(small())[:2]
    site = work.Site(open_target(tmp_path), "", work.fingerprint())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "make_scene", Trouble(LocalError("can't travel"), {plan.id}))
        outcomes = work.carry_out_all([work.Piece(plan, "image"), work.Piece(other, "image")], site)
    error, fine = pickle.loads(pickle.dumps(outcomes))
    assert str(error) == "LocalError: can't travel"
    assert fine is None


def test_the_lock_keeps_a_second_build_out(tmp_path):
    target = open_target(tmp_path)
    with BuildLock(target), pytest.raises(OutputError, match="must be free to build into, got a build by process"):
        build(small(), tmp_path, workers=1)
    assert images(tmp_path) == {}


def test_a_lost_lock_stops_the_build(tmp_path, monkeypatch):
    """Somebody took the store over: the next beat finds out, and this build writes no more."""
    monkeypatch.setattr(ENGINE, "_BEAT_S", 0.001)

    class Thief(Recorder):
        def progress(self, plan, pixels, *, finished):
            super().progress(plan, pixels, finished=finished)
            if len(self.finished) == 2:
                theirs = tmp_path / "theirs"  # in one step: a beat between two would read half of it
                theirs.write_text('{"host": "elsewhere", "pid": 7, "token": "theirs"}')
                theirs.replace(tmp_path / "build.lock")

    with pytest.raises(OutputError, match="got process 7 on elsewhere"):
        build(load_recipe(building.SLOW), tmp_path, workers=1, watcher=Thief())
    assert len(images(tmp_path)) < building.SLOW_IMAGES
    assert json.loads((tmp_path / "build.lock").read_text())["token"] == "theirs"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"tile": 8}, "tile must be at least 16 px, got 8"),
        ({"retries": -1}, "retries must be at least 0, got -1"),
        ({"chunk": 0}, "chunk must be at least 1 px, got 0"),
        ({"chunk": 100, "shard": 250}, r"shard must be a multiple of the chunk \(100\), got 250"),
        ({"chunk": 50, "shard": 150}, "shard must be a multiple of 256 where an image has several"),
    ],
)
def test_numbers_that_do_not_fit(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        build(small(), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_result_is_plain_data(reference):
    assert pickle.loads(pickle.dumps(reference[1])) == reference[1]
    assert isinstance(reference[1], BuildResult)


# --- object stores ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3():
    """The URL of a bucket of a local S3, found through the environment as users would."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("builds")
        yield "s3://builds"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.parametrize(("shard", "scenarios"), [(None, building.SCENARIOS), (256, ["gsp", "fm"])])
def test_s3(s3, tmp_path, shard, scenarios):
    recipe = small(splits=["test"], scenarios=scenarios, defaults={"morphologies": {"type": "builtin", "only": ["canary"]}})
    url, local = f"{s3}/folder/{shard}", tmp_path / "local"
    with pytest.raises(KeyboardInterrupt):
        build(recipe, url, scheduler="sync", shard=shard, watcher=Recorder(stop_after=1))
    assert not looks_whole(url)
    result = build(recipe, url, scheduler="sync", shard=shard)
    assert result.kept >= 1
    expected = build(recipe, local, workers=1, shard=shard)
    assert result.root_digest == expected.root_digest
    remote, here = open_dataset(url), open_dataset(local)
    assert remote.table.equals(here.table)
    for image_id in ("gsp/test/0002", "fm/test/0002"):
        for name in ("image", "truth", "instances"):
            assert np.array_equal(getattr(remote[image_id], name)[...], getattr(here[image_id], name)[...])
    target = open_target(url)
    assert {path: target.read(path) for path in building.tree(local)} == building.tree(local)
    assert build(recipe, url, scheduler="sync", shard=shard).built == 0


def test_a_bucket_that_is_not_there(s3):
    with pytest.raises(OutputError, match="must be in a bucket that exists"):
        build(small(scenarios=["evp"]), "s3://nowhere-at-all/x", scheduler="sync")


# --- cells ------------------------------------------------------------------------------------------------------------

CELLS = {
    "schema": 1,
    "name": "cells",
    "seed": 3,
    "splits": ["train", "test"],
    "canvas": {"shape": [256, 320], "channels": 3},
    "scenarios": [
        {"type": "cell", "images": {"train": 30, "test": 10}, "scale": 0.5},
        *(
            {"type": "cell-field", "name": rule["type"], "images": 4, "reach_px": 25, "area_px": [200, 400], "rule": rule}
            | {"points": {"type": "matern", "candidates_per_mpx": 500}}
            for rule in ({"type": "present", "cells": [3, 7]}, {"type": "count", "cell": 0, "at_least": 3}, {"type": "majority"})
        ),
    ],
}


@pytest.mark.parametrize("options", [{}, {"tile": 64, "chunk": 64}, {"tile": 100, "chunk": 128, "shard": 256}], ids=str)
def test_golden_of_cells(tmp_path, golden, options):
    result = build(load_recipe(CELLS), tmp_path, workers=1, **options)
    assert (result.built, result.failures) == (64, ())
    golden("build", {"cells": result.root_digest})
    assert validate_store(tmp_path) == []


# --- at full size -----------------------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize(
    "options",
    [
        {"workers": 1},
        {"workers": 1, "tile": 64},
        {"workers": 2, "tile": 250, "chunk": 128, "shard": 1024},
        {"workers": 2, "tile": 1024, "chunk": 64, "shard": 256},
        {"workers": 1, "chunk": 512, "shard": 512},
    ],
    ids=str,
)
def test_miso1_mini(tmp_path, golden, options):
    result = build("miso1-mini", tmp_path, **options)
    assert result.images == result.built == 1184
    golden("build", {"miso1-mini": result.root_digest})


@pytest.mark.full
@pytest.mark.parametrize(("name", "count"), [("cells10", 9600), ("cell-field-mini", 96), ("miso2-mini", 184), ("miso2", 184)])
def test_cells_at_full_size(tmp_path, golden, name, count):
    result = build(name, tmp_path, workers=2)
    assert result.images == result.built == count
    golden("build", {name: result.root_digest})


@pytest.mark.full
@pytest.mark.parametrize("workers", [1, 2])
def test_miso1_mini_after_a_kill(tmp_path, golden, workers):
    process = building.start("build", "miso1-mini", "-o", tmp_path / "out", "--workers", str(workers))
    building.wait_for(lambda: len(images(tmp_path / "out")) > 300, "a quarter of the build")
    process.kill()
    process.communicate()
    there = images(tmp_path / "out")
    assert len(there) < 1184
    assert not looks_whole(tmp_path / "out")
    result = build("miso1-mini", tmp_path / "out", workers=workers)
    assert result.kept >= len(there)
    golden("build", {"miso1-mini": result.root_digest})
    assert leftovers(tmp_path / "out") == []
