"""Scales over one map and over all; percentiles of what no memory holds; strips of patches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from staging import MODEL, Stopper, digests, plan, runs, store, tiny  # noqa: F401  # fixtures

from miso_gen.explain.spread import extent, greatest, percentile
from miso_gen.explain.stage import explain_experiment
from miso_gen.explain.strips import Strips
from miso_gen.store.maps import MapStore


@given(
    hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-(2.0**90), 2.0**90, width=32) | st.just(float("nan"))),
    st.integers(1, 5),
    st.floats(0, 1),
)
def test_percentiles_are_those_of_numpy(values, parts, share):
    known = np.abs(values[~np.isnan(values)].astype(np.float64))
    pieces = np.array_split(values, parts)
    found = percentile(lambda: iter(pieces), share)
    if not known.size:
        assert found == 0.0
        return
    expected = np.quantile(known, share)
    assert found == pytest.approx(expected if expected > 0 else known.max(), rel=1e-9, abs=0)
    assert greatest(lambda: iter(pieces)) == known.max()
    assert extent(lambda: iter(pieces)) == (np.nanmin(values), np.nanmax(values))


def test_nothing_has_no_size():
    empty = [np.full((2, 2), np.nan, np.float32)]
    assert (greatest(lambda: empty), extent(lambda: empty), percentile(list)) == (0.0, (0.0, 0.0), 0.0)


@given(st.integers(1, 40), st.integers(5, 12), st.integers(1, 5), st.data())
def test_strips_are_means_of_patches(height, width, size, data):
    size = min(size, height)
    count = data.draw(st.integers(0, 8))
    places = sorted((data.draw(st.integers(0, height - size)), data.draw(st.integers(0, width - size))) for _ in range(count))
    sums, counts, canvas = np.zeros((height, width)), np.zeros((height, width)), np.full((height, width), np.nan, np.float32)
    strips = Strips(height, width, size)

    def paste(tiles):
        for top, left, values in tiles:
            assert np.isnan(canvas[top : top + len(values)]).all()
            assert left == 0
            canvas[top : top + len(values)] = values

    for number, (row, col) in enumerate(places):
        sums[row : row + size, col : col + size] += number + 1
        counts[row : row + size, col : col + size] += 1
        paste(strips.add(row, col, np.full((size, size), number + 1.0)))
    paste(strips.finish())
    np.testing.assert_allclose(canvas, sums / np.maximum(counts, 1), rtol=1e-6)


def test_patches_come_from_top_to_bottom():
    strips = Strips(9, 9, 3)
    list(strips.add(4, 0, np.ones((3, 3))))
    with pytest.raises(ValueError, match="from top to bottom"):
        list(strips.add(3, 0, np.ones((3, 3))))


@pytest.fixture(scope="module")
def entries():
    saliency = {"type": "saliency", "absolute": False, "at": "both"}
    return [saliency, *({**saliency, "name": scale, "scale": scale} for scale in SCALES)]


SCALES = ("max", "p99", "min-max", "dataset-max", "dataset-p99")


def literal(maps, image, name, scale):
    """The scaled map of the one that is not, written out."""
    plain = {one: maps.read(MODEL, name, one).values.astype(np.float64) for one in maps.ids(MODEL, name)}
    here = plain[image]
    known = [values[~np.isnan(values)] for values in (plain.values() if scale.startswith("dataset-") else [here])]
    size = np.abs(np.concatenate(known))
    if scale == "min-max":
        return (here - np.nanmin(here)) / (np.nanmax(here) - np.nanmin(here))
    if scale.endswith("p99"):
        return np.clip(here / np.quantile(size, 0.99), -1, 1)
    return here / size.max()


def test_maps_in_the_store_are_scaled(store, runs, entries):  # noqa: F811
    found = explain_experiment(plan(store, *entries), runs, runs / "scales.zarr")
    maps = MapStore.open(found.maps)
    assert not [name for name in maps.explainers(MODEL) if name.endswith("-unscaled")]
    for scale in SCALES:
        for end in ("", "-pixel"):
            name = f"saliency{end}"
            for image in ("evp/test/0001", "evp/test/0004"):
                stored = maps.read(MODEL, scale + end, image)
                np.testing.assert_allclose(stored.values, literal(maps, image, name, scale), rtol=1e-4, atol=1e-6)
            facts = maps.group(MODEL, scale + end).facts
            assert ("scale_value" in facts) == scale.startswith("dataset-")
    every = np.concatenate([maps.read(MODEL, "saliency", one).values.ravel() for one in maps.ids(MODEL, "saliency")])
    assert maps.group(MODEL, "dataset-max").facts["scale_value"] == pytest.approx(np.nanmax(every))


def test_scaling_goes_on_where_it_was_stopped(store, runs, tmp_path, monkeypatch):  # noqa: F811
    from miso_gen.explain import rescaling

    experiment = plan(store, {"type": "saliency", "scale": "dataset-p99", "at": "both"})
    whole = explain_experiment(experiment, runs, tmp_path / "whole.zarr")
    real, calls = rescaling._write_scaled, []

    def failing(*given):
        calls.append(given)
        if len(calls) in (3, 12):
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(rescaling, "_write_scaled", failing)
    for after in (5, 100, 100):
        with pytest.raises(KeyboardInterrupt):
            explain_experiment(experiment, runs, tmp_path / "parts.zarr", watcher=Stopper(after))
    assert "saliency-unscaled" in MapStore.open(tmp_path / "parts.zarr").explainers(MODEL) or len(calls) == 12
    explain_experiment(experiment, runs, tmp_path / "parts.zarr")
    parts, expected = MapStore.open(tmp_path / "parts.zarr"), MapStore.open(whole.maps)
    assert digests(parts) == digests(expected)
    for name in ("saliency", "saliency-pixel"):
        assert parts.group(MODEL, name).facts["scale_value"] == expected.group(MODEL, name).facts["scale_value"]


def test_other_images_have_another_size_over_all(store, runs, tmp_path):  # noqa: F811
    experiment = plan(store, {"type": "saliency", "scale": "dataset-max"})
    few = explain_experiment(experiment, runs, tmp_path / "m.zarr", limit=2)
    values = [few.groups[0].group.facts["scale_value"]]
    more = explain_experiment(experiment, runs, tmp_path / "m.zarr")
    values.append(more.groups[0].group.facts["scale_value"])
    assert more.groups[0].made == 8
    assert values[0] < values[1]
