"""Making releases: what is written, what is refused, what is said; and the commands, as a user meets them."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest
from building import cli
from PIL import Image

from miso_gen.build import build
from miso_gen.errors import InputError, OutputError, StoreError
from miso_gen.recipe import load_recipe
from miso_gen.release.diff import diff, draw_difference
from miso_gen.release.making import make_release
from miso_gen.release.verify import verify
from miso_gen.store import open_dataset, open_target, read_manifest

TOY = {
    "schema": 1,
    "name": "toy",
    "version": "1.0.0",
    "title": "A toy",
    "license": "CC-BY-4.0",
    "authors": [{"name": "Doe, Jane"}],
    "seed": 5,
    "canvas": {"shape": [96, 80]},
    "splits": ["train", "test"],
    "scenarios": [{"type": "evp", "morphologies": {"type": "builtin", "only": ["pear", "key"]}, "fuzz": {"each": [0.0]}}],
}
DAY = "2026-11-21"


def build_toy(folder, **changes):
    build(load_recipe({**TOY, **changes}), folder, workers=1)
    return folder


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    place = tmp_path_factory.mktemp("stores")
    more = [*TOY["scenarios"], {**TOY["scenarios"][0], "type": "dsp"}]
    return {
        "toy": build_toy(place / "toy"),
        "more": build_toy(place / "more", scenarios=more),
        "other": build_toy(place / "other", seed=6),
        "words": build_toy(place / "words", title="Another title", license=""),
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MISO_GEN_DATASETS", raising=False)
    return tmp_path


def run_command(*arguments, exit_code=0):
    result = cli(*arguments)
    assert result.exit_code == exit_code, result.output
    return result


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_written(stores, here):
    result = make_release(stores["toy"], "out", date=DAY)
    manifest = result.manifest
    assert (manifest.name, manifest.version, manifest.date, manifest.previous) == ("toy", "1.0.0", DAY, None)
    assert result.warnings == ()
    assert set(files_of(here / "out")) == {*manifest.files, "manifest.json"}
    assert read_manifest(open_target("out")) == manifest
    store = open_dataset(stores["toy"])
    assert manifest.root_digest == store.root_digest
    assert list(manifest.images) == store.ids
    assert {entry.pack for entry in manifest.images.values()} == {"train-001.ozx", "test-001.ozx"}
    lock = json.loads((here / "out/lock.json").read_text())
    assert lock["recipe_digest"] == store.recipe_digest
    assert "miso-gen code" not in lock["built_with"]
    with Image.open("out/preview.png") as sheet:
        assert sheet.width > 100
    table = pq.read_table("out/test.parquet")
    assert table["image_id"].to_pylist() == [image_id for image_id in store.ids if "/test/" in image_id]
    assert set(table["pack"].to_pylist()) == {"test-001.ozx"}
    assert all(row["bytes"].startswith(b"\x89PNG") for row in table["preview"].to_pylist())
    assert "histogram" not in table.column_names
    assert verify("out").ok


def test_no_clock_host_or_path_in_any_file(stores, here, monkeypatch):
    import getpass
    import platform
    import time

    make_release(stores["toy"], "one", date=DAY)
    shutil.copytree(stores["toy"], here / "copy")
    (here / "deeper").mkdir()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    make_release(here / "copy", here / "deeper/two", date=DAY)
    assert files_of(here / "one") == files_of(here / "deeper/two")
    secrets = [str(here), str(stores["toy"]), platform.node(), getpass.getuser()]
    for path, data in files_of(here / "one").items():
        for secret in secrets:
            if len(secret) > 4:  # "root" is a word of ours
                assert secret.encode() not in data, (path, secret)


def test_the_date_is_given(stores, here):
    for wrong in (None, "", "today", "2026-1-2", "2026-02-30", "20261121"):
        with pytest.raises(InputError, match="day of the release must be YYYY-MM-DD, got"):
            make_release(stores["toy"], "out", date=wrong)
    assert not (here / "out").exists()
    dated = build_toy(here / "dated", date="2026-05-04")
    assert make_release(dated, "one").manifest.date == "2026-05-04"
    assert make_release(dated, "two", date=DAY, previous="one", version="1.0.1").manifest.date == DAY


def test_nothing_is_released_twice(stores, here):
    make_release(stores["toy"], date=DAY)
    for day in (DAY, "2026-12-01"):
        with pytest.raises(InputError, match=r"must have changed since its release 1\.0\.0, got the same images and texts"):
            make_release(stores["toy"], date=day)
    assert [path.name for path in (here / "datasets/toy").iterdir()] == ["1.0.0"]
    again = make_release(stores["toy"], "again", date=DAY, previous="none")
    assert again.manifest.version == "1.0.0"
    assert files_of(here / "again") == files_of(here / "datasets/toy/1.0.0")
    assert make_release(stores["toy"], date=DAY, version="1.0.1").decision.step == "patch"


def test_not_inside_the_store(stores, here):
    """A folder in a store is damage to it; the store itself may become a release."""
    shutil.copytree(stores["toy"], here / "toy")
    for inner in ("toy/images.zarr/out", "toy/out", "toy/../toy/imports"):
        with pytest.raises(OutputError, match=f"output must be the store .*toy itself, or outside of it, got {inner}"):
            make_release(here / "toy", inner, date=DAY)
    assert files_of(here / "toy") == files_of(stores["toy"])
    assert run_command("release", "toy", "-o", "toy", "--date", DAY)
    assert verify("toy").ok


def test_a_name_must_be_that_of_what_it_names(stores, here):
    make_release(stores["toy"], date=DAY)
    shutil.copytree(here / "datasets/toy/1.0.0", here / "datasets/toy/9.9.9")
    with pytest.raises(StoreError, match=r"must hold toy 9\.9\.9, as it is called, got toy 1\.0\.0"):
        open_dataset("toy@9.9.9")
    found = verify("toy@9.9.9")
    assert [(problem.where, problem.rule) for problem in found.problems] == [("toy@9.9.9", "misplaced")]
    shutil.copytree(stores["toy"], here / "datasets/toy/8.0.0")
    with pytest.raises(StoreError, match=r"must hold toy 8\.0\.0"):
        open_dataset("toy@8.0.0")


def test_a_store_is_known_by_its_images(stores, here):
    """The machine may have given a release another version than its store has."""
    make_release(stores["toy"], date=DAY)
    assert make_release(stores["other"], date=DAY).decision.version == "2.0.0"
    assert verify(stores["other"], pixels=False).compared_with == "release 2.0.0"
    assert verify(stores["toy"], pixels=False).compared_with == "release 1.0.0"
    assert verify("toy@1.0.0").compared_with is None  # nothing vouches for itself
    assert verify("toy@1.0.0", against=stores["toy"]).compared_with == str(stores["toy"])


def test_versions_follow_one_another(stores, here):
    first = make_release(stores["toy"], date=DAY)
    assert first.path == "datasets/toy/1.0.0"
    words = make_release(stores["words"], date=DAY)
    assert (words.path, words.manifest.previous, words.decision.step) == ("datasets/toy/1.0.1", "1.0.0", "patch")
    assert words.warnings[0].startswith("no licence is given")
    more = make_release(stores["more"], date=DAY)
    assert (more.path, more.manifest.previous, more.decision.step) == ("datasets/toy/1.1.0", "1.0.1", "minor")
    other = make_release(stores["other"], date=DAY)
    assert (other.path, other.manifest.previous, other.decision.step) == ("datasets/toy/2.0.0", "1.1.0", "major")
    text = (here / "datasets/toy/2.0.0/CHANGELOG.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [f"## {version} - {DAY}" for version in ("2.0.0", "1.1.0", "1.0.1", "1.0.0")]
    for version in ("1.0.0", "1.0.1", "1.1.0", "2.0.0"):
        found = verify(f"toy@{version}")
        assert found.ok, found.problems
        assert open_dataset(f"toy@{version}").version == version
        assert open_dataset(f"toy@{version}").recipe["version"] == version
        assert load_recipe(f"datasets/toy/{version}/recipe.yaml").version == version
    with pytest.raises(InputError, match=r"version asked for must be 2\.0\.1"):
        make_release(stores["other"], version="3.0.0", date=DAY)
    assert make_release(stores["more"], "elsewhere", previous="toy@1.0.0", date=DAY).manifest.version == "1.1.0"


def test_a_released_version_stays(stores, here):
    make_release(stores["toy"], "out", date=DAY)
    before = files_of(here / "out")
    with pytest.raises(OutputError, match=r"got release 1\.0\.0 of toy, which stays as it is"):
        make_release(stores["toy"], "out", date=DAY)
    (here / "strange").mkdir()
    (here / "strange/notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"got a folder with notes\.txt in it"):
        make_release(stores["toy"], "strange", date=DAY)
    assert files_of(here / "out") == before
    assert list(files_of(here / "strange")) == ["notes.txt"]


def test_a_release_that_was_stopped_is_none_and_is_finished_by_the_next(stores, here, monkeypatch):
    from miso_gen.release import making

    whole = make_release(stores["toy"], "whole", date=DAY)
    calls = []

    def stop(*args, **kwargs):
        calls.append(args)
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "write_pack", stop)
    with pytest.raises(KeyboardInterrupt):
        make_release(stores["toy"], "out", date=DAY)
    assert calls
    assert not list((here / "out").glob("*.part"))
    with pytest.raises(StoreError):
        open_dataset("out")
    monkeypatch.undo()
    monkeypatch.chdir(here)
    again = make_release(stores["toy"], "out", date=DAY)
    assert again.manifest == whole.manifest
    assert files_of(here / "out") == files_of(here / "whole")


def test_beside_its_store(here):
    store = build_toy(here / "datasets/toy/1.0.0")
    before = files_of(store)
    result = make_release("toy@1.0.0", date=DAY)
    assert result.path == "datasets/toy/1.0.0"
    after = files_of(store)
    assert {path: after[path] for path in before} == before
    found = verify("toy@1.0.0")
    assert (found.ok, found.kind, found.compared_with) == (True, "store and release", "release 1.0.0")
    (store / "manifest.json").unlink()
    with pytest.raises(OutputError, match=r"must be a place of version 1\.0\.1"):
        make_release(store, store, version="1.0.1", date=DAY)


def test_a_damaged_store_is_not_released(stores, here):
    shutil.copytree(stores["toy"], here / "bad")
    shard = here / "bad/images.zarr/evp/test/0001/0/c/0/0/0"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreError, match=r"evp/test/0001"):
        make_release("bad", "out", date=DAY)
    assert not (here / "out/manifest.json").exists()


def test_splits_that_are_called_as_tables(here):
    store = build_toy(here / "store", splits=["train", "index"])
    with pytest.raises(InputError, match="splits of a release must not be called index"):
        make_release(store, "out", date=DAY)


def test_a_build_in_the_place_of_a_release(stores, here):
    make_release(stores["toy"], date=DAY)
    folder = here / "datasets/toy/1.0.0"
    for path in [*folder.glob("*.ozx"), *folder.glob("*.parquet")]:
        path.unlink()  # what git does not keep
    texts = files_of(folder)
    for changes in ({"seed": 7}, {"title": "Other words"}, {"version": "1.0.1"}):
        with pytest.raises(OutputError, match=r"as it holds release 1\.0\.0 of toy"):
            build_toy(folder, **changes)
    assert files_of(folder) == texts
    with pytest.raises(StoreError, match=r"miso-gen build datasets/toy/1\.0\.0/recipe\.yaml"):
        open_dataset("toy@1.0.0")
    done = run_command("build", "datasets/toy/1.0.0/recipe.yaml")
    assert done.output.rstrip().endswith("bit-identical to release 1.0.0")
    assert {path: data for path, data in files_of(folder).items() if path in texts} == texts
    assert run_command("verify", "toy@1.0.0", "-q").output.rstrip().endswith("bit-identical to release 1.0.0")


def test_other_texts_in_the_same_store(here):
    """A build with other words renders nothing, and the release after it is a patch."""
    store = build_toy(here / "store")
    make_release(store, date=DAY)
    before = open_dataset(store)
    result = build(load_recipe({**TOY, "title": "Other words"}), store, workers=1)
    assert (result.built, result.kept, result.root_digest) == (0, 8, before.root_digest)
    assert load_recipe(store / "recipe.yaml").title == "Other words"
    assert verify(store, against="toy@1.0.0").ok
    assert make_release(store, date=DAY).decision.version == "1.0.1"


def test_the_difference_and_its_picture(stores, here):
    found = diff(stores["toy"], stores["other"])
    assert sorted(found.changed) == ["pixels"]
    picture = draw_difference(found, stores["toy"], stores["other"], examples=2)
    assert picture.startswith(b"\x89PNG")
    assert draw_difference(diff(stores["toy"], stores["more"]), stores["toy"], stores["more"]) is None
    make_release(stores["toy"], "out", date=DAY)
    (here / "out/train-001.ozx").unlink()
    (here / "out/test-001.ozx").unlink()
    assert diff("out", stores["toy"]).same_images  # digests need no images
    with pytest.raises(StoreError, match="must have images to draw"):
        draw_difference(found, "out", stores["other"])


def test_the_commands(stores, here):
    toy, more = str(stores["toy"]), str(stores["more"])
    assert run_command("release", toy, exit_code=2).output.startswith("error: day of the release must be")
    done = run_command("release", toy, "--date", DAY)
    assert "datasets/toy/1.0.0: toy 1.0.0 (first: the first release), 8 images" in done.output
    facts = json.loads(run_command("release", more, "--date", DAY, "--json").output)
    assert (facts["version"], facts["step"], facts["previous"]) == ("1.1.0", "minor", "1.0.0")
    assert "8  dsp/test/0001" in run_command("diff", "toy@1.0.0", "toy@1.1.0").output
    assert run_command("diff", "toy@1.0.0", toy).output.startswith("the same 8 images")
    assert json.loads(run_command("diff", "toy@1.0.0", toy, "--json").output)["same_images"]
    assert "nothing to draw" in run_command("diff", toy, more, "-o", "d.png").output
    run_command("diff", toy, str(stores["other"]), "-o", "d.png", "--examples", "1")
    assert "must be the name of a picture" in run_command("diff", toy, more, "-o", "d.yaml", exit_code=2).output
    assert (here / "d.png").read_bytes().startswith(b"\x89PNG")
    found = run_command("verify", "toy@1.1.0", "--sample", "3", "--rebuild").output
    assert "16 images, 3 of them rendered again, all as they should be" in found
    assert json.loads(run_command("verify", "toy@1.1.0", "--json").output)["ok"] is True
    assert "toy@1.1.0" in run_command("list", "releases").output
    (here / "datasets/toy/1.1.0/README.md").write_text("mine")
    bad = run_command("verify", "toy@1.1.0", exit_code=1)
    assert "README.md: damaged" in bad.output
    assert "1 problem" in bad.output
    assert run_command("verify", "nowhere", exit_code=2).output.startswith("error:")
    assert "no manifest in it" in run_command("publish", toy, "--to", "zenodo", exit_code=2).output
    calls = json.loads(run_command("publish", "toy@1.0.0", "--to", "zenodo", "--dry-run", "--json").output)["calls"]
    assert calls[-1]["url"].endswith("actions/publish")
    fetched = run_command("fetch", "toy@1.0.0", "--from", "datasets/toy/1.0.0", "-o", "fetched")
    assert "0 kept" in fetched.output
    assert "kept" in run_command("fetch", "toy@1.0.0", "--from", "datasets/toy/1.0.0", "-o", "fetched").output
    exported = run_command("export", "fetched", "--to", "png", "-o", "png", "--split", "test")
    assert "4 images" in exported.output
    assert "note: " in exported.output
