"""The store as a whole: completion, index, refusals, sweeping."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from miso_gen.errors import CorruptStoreError, IncompleteStoreError, OutputError, StoreError
from miso_gen.store import (
    StoreRoot,
    collect_records,
    create_root,
    finish_root,
    list_images,
    open_dataset,
    open_target,
    read_root,
    root_digest,
    sweep,
    validate_store,
)
from miso_gen.store.index import INDEX_COLUMNS, index_table, to_parquet

IDS = ["gsp/test/0000", "gsp/test/0001", "md/train/0000"]


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_finished_store(store):
    root = read_root(open_target(store))
    assert (root.name, root.version, root.state, root.images, root.layout) == ("toy", "1.0.0", "complete", 3, 1)
    assert validate_store(store) == []
    assert list_images(open_target(store)) == IDS
    for group in ("gsp", "gsp/test", "md", "md/train"):
        assert json.loads((store / "images.zarr" / group / "zarr.json").read_text())["node_type"] == "group"


def test_index(store):
    table = pd.read_parquet(store / "index.parquet")
    assert list(table.columns) == [*INDEX_COLUMNS, "params.counts", "params.radius_px", "params.share"]
    assert list(table["image_id"]) == IDS
    assert list(table["path"]) == [f"images.zarr/{image_id}" for image_id in IDS]
    assert table["params.counts"][0] == "[1, 2]"
    assert pd.isna(table["params.counts"][2])
    assert list(table["params.radius_px"]) == [12.5, 12.5, 3.0]
    assert pd.isna(table["pair"][2])
    assert table["histogram"][0].sum() == 100 * 130
    digest = root_digest(table.astype(object).where(table.notna(), None).to_dict("records"))
    assert digest == read_root(open_target(store)).root_digest


def test_instances(store):
    table = pd.read_parquet(store / "instances.parquet")
    assert list(table.columns) == ["image_id", "id", "kind", "top", "left", "bottom", "right", "radius_px"]
    assert list(table["image_id"]) == [IDS[0]] * 3 + [IDS[1]] * 3
    assert list(table["kind"][:3]) == ["disc", "tile", "disc"]
    assert table["id"].dtype == "int64"


def test_tables_do_not_depend_on_the_order_of_images(store, tmp_path):
    records = collect_records(open_target(store), IDS)
    rows = [{"path": record.path, **record.row()} for record in records]
    assert to_parquet(index_table(rows)) == to_parquet(index_table(rows[::-1])) == (store / "index.parquet").read_bytes()


def test_parameter_types():
    values = {
        "flag": [True, False],
        "whole": [1, None],
        "mixed": [1, 2.5],
        "text": ["a", None],
        "both": ["a", 1],
        "dict": [{"a": 1}, None],
    }
    base = dict.fromkeys(INDEX_COLUMNS)
    rows = [{**base, "image_id": str(n), **{f"params.{k}": v[n] for k, v in values.items()}} for n in range(2)]
    table = pq.read_table(io.BytesIO(to_parquet(index_table(rows))))
    got = {name.removeprefix("params."): table[name].to_pylist() for name in table.column_names if name.startswith("params.")}
    assert got == {**values, "both": ['"a"', "1"], "dict": ['{"a": 1}', None]}


def test_an_empty_store_can_be_complete(tmp_path):
    target = open_target(tmp_path)
    root = create_root(target, StoreRoot("none", "1.0.0", {}, "", {}), [])
    assert finish_root(target, root, []).images == 0
    dataset = open_dataset(tmp_path)
    assert (len(dataset), len(dataset.objects)) == (0, 0)
    assert validate_store(tmp_path) == []


def test_collecting_names_what_is_missing(store):
    with pytest.raises(IncompleteStoreError, match="got none for gsp/test/0009"):
        collect_records(open_target(store), [*IDS, "gsp/test/0009"])


def test_creating_again_keeps_images_and_is_not_complete(store):
    target = open_target(store)
    create_root(target, read_root(target), IDS)
    assert list_images(target) == IDS
    with pytest.raises(IncompleteStoreError, match="must be complete, got a build that has not finished"):
        open_dataset(store)
    partial = open_dataset(store, incomplete=True)
    assert partial.ids == IDS
    assert len(partial.objects) == 6
    assert partial.root_digest is None


def test_finishing_again_gives_the_same_files(store, kit):
    before = kit.contents(store)
    target = open_target(store)
    root = create_root(target, read_root(target), IDS)
    finish_root(target, root, collect_records(target, IDS[::-1]))
    assert kit.contents(store) == before


@pytest.mark.parametrize("foreign", ["zarr", "folder"])
def test_creating_over_something_else_is_refused(tmp_path, foreign):
    (tmp_path / "images.zarr").mkdir()
    name, text = (
        ("zarr.json", '{"zarr_format": 3, "node_type": "group", "attributes": {}}') if foreign == "zarr" else ("a.txt", "")
    )
    (tmp_path / "images.zarr" / name).write_text(text)
    with pytest.raises(OutputError, match="must be new or a miso-gen store"):
        create_root(open_target(tmp_path), StoreRoot("x", "1.0.0", {}, "", {}), IDS)


def test_sweep(store):
    place = store / "images.zarr/gsp/test"
    for name in (".tmp-0000-1", ".old-0000-1", ".work-0009"):
        (place / name).mkdir()
        (place / name / "file").write_text("")
    sweep(open_target(store))
    assert sorted(p.name for p in place.iterdir()) == [".work-0009", "0000", "0001", "zarr.json"]
    sweep(open_target(store), keep_work=False)
    assert validate_store(store) == []
    assert not (place / ".work-0009").exists()


def newer(store):
    edit(store / "images.zarr/zarr.json", lambda d: d["attributes"]["miso"].update(layout=2))


def foreign(store):
    edit(store / "images.zarr/zarr.json", lambda d: d["attributes"].pop("miso"))


def no_root(store):
    (store / "images.zarr/zarr.json").unlink()


def cut(name):
    def damage(store):
        data = (store / name).read_bytes()
        (store / name).write_bytes(data[: len(data) // 2])

    return damage


def gone(name):
    return lambda store: (store / name).unlink()


def fewer_rows(store):
    table = pq.read_table(store / "index.parquet")
    (store / "index.parquet").write_bytes(to_parquet(table.slice(0, 2)))


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (newer, StoreError, "layout of .* must be at most 1, got 2. Upgrade"),
        (foreign, StoreError, "got a Zarr group of something else"),
        (no_root, StoreError, "got images.zarr without a zarr.json"),
        (cut("images.zarr/zarr.json"), CorruptStoreError, "zarr.json must be JSON"),
        (cut("index.parquet"), CorruptStoreError, "index.parquet must be a Parquet file"),
        (gone("index.parquet"), CorruptStoreError, "index.parquet must exist in a complete store"),
        (fewer_rows, CorruptStoreError, "must have 3 rows, got 2"),
    ],
)
def test_damaged_stores_are_refused(store, damage, error, message):
    damage(store)
    with pytest.raises(error, match=message):
        open_dataset(store)


def test_other_places_are_refused(tmp_path):
    with pytest.raises(StoreError, match="got no such path"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(StoreError, match=r"got a folder without images.zarr"):
        open_dataset(tmp_path)
    (tmp_path / "zarr.json").write_text("{}")
    with pytest.raises(StoreError, match="got a Zarr group or array of something else"):
        open_dataset(tmp_path)
    with pytest.raises(StoreError, match="must be a miso-gen store, got a file"):
        open_dataset(tmp_path / "zarr.json")


def test_a_flipped_label_breaks_the_root_digest(store):
    table = pq.read_table(store / "index.parquet").to_pandas()
    table.loc[0, "label"] = 0
    table.to_parquet(store / "index.parquet")
    rules = {problem.rule for problem in validate_store(store)}
    assert rules == {"root_digest_equals_index", "index_equals_attributes"}


def test_replaced_root(store):
    root = read_root(open_target(store))
    assert replace(root, state="building").complete is False
