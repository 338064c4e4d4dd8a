"""The version of a release follows from what changed: the table of edits, decided on real builds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.build import build
from miso_gen.errors import InputError
from miso_gen.recipe import load_recipe
from miso_gen.release.changelog import changelog, section
from miso_gen.release.contents import manifest_of
from miso_gen.release.differences import compare
from miso_gen.release.versions import decide_version
from miso_gen.store import ImageEntry, Manifest, open_dataset, precedence, root_digest

HEAD = {"schema": 1, "name": "toy", "version": "1.2.3", "seed": 5, "canvas": {"shape": [96, 80]}, "splits": ["train", "test"]}
EVP = {"type": "evp", "morphologies": {"type": "builtin", "only": ["pear", "key"]}, "fuzz": {"each": [0.0]}}


def recipe(*scenarios, **head):
    return load_recipe({**HEAD, "scenarios": list(scenarios) or [EVP], **head})


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Build a recipe and return what it holds."""
    built = {}

    def of(*scenarios, **head):
        made = recipe(*scenarios, **head)
        key = (made.digest, repr(made.to_dict()))
        if key not in built:
            folder = tmp_path_factory.mktemp("store")
            build(made, folder, workers=1)
            built[key] = manifest_of(open_dataset(folder))
        return built[key]

    return of


def edited(manifest, image_id, **fields):
    images = {**manifest.images, image_id: manifest.images[image_id]._replace(**fields)}
    return rooted(manifest, images)


def rooted(manifest, images):
    digest = root_digest([entry._asdict() for entry in images.values()])
    return replace(manifest, images=images, root_digest=digest)


def decide(old, new, asked=None):
    return decide_version(compare(old, new), new.version, asked)


def test_the_first_release_gets_the_version_of_its_recipe():
    assert decide_version(None, "0.3.0").version == "0.3.0"
    assert decide_version(None, "0.3.0", "2.0.0").version == "2.0.0"
    assert decide_version(None, "0.3.0").step == "first"


BLACK = {"type": "black"}
BUILDS = [
    (
        "texts only",
        {"head": {"title": "Another", "description": "words", "license": "CC0-1.0", "keywords": ["a"]}},
        "1.2.4",
        "patch",
    ),
    ("another codec", {"head": {"codec": "zstd"}}, "1.2.4", "patch"),
    ("a new scenario", {"scenarios": (EVP, {**EVP, "type": "dsp"})}, "1.3.0", "minor"),
    ("more shapes", {"scenarios": ({**EVP, "morphologies": {"type": "builtin", "only": ["pear", "key", "hand"]}},)}, None, None),
    ("another seed", {"head": {"seed": 6}}, "2.0.0", "major"),
    ("another background", {"scenarios": ({**EVP, "background": {"type": "constant"}},)}, "2.0.0", "major"),
    ("a split fewer", {"head": {"splits": ["train"]}}, "2.0.0", "major"),
    ("a renamed split", {"head": {"splits": ["train", "validation"]}}, "2.0.0", "major"),
    ("a renamed scenario", {"scenarios": ({**EVP, "name": "values"},)}, "2.0.0", "major"),
    ("another canvas", {"head": {"canvas": {"shape": [96, 96]}}}, "2.0.0", "major"),
]


@pytest.mark.parametrize(("what", "change", "version", "step"), BUILDS, ids=[row[0] for row in BUILDS])
def test_builds_of_edited_recipes(manifest, what, change, version, step):
    old = manifest()
    new = manifest(*change.get("scenarios", (EVP,)), **change.get("head", {}))
    decision = decide(old, new)
    if version is None:  # whether old images stay depends on how the scenario numbers them: either is told from the digests
        kept = all(new.images.get(i, None) == entry for i, entry in old.images.items())
        version, step = ("1.3.0", "minor") if kept else ("2.0.0", "major")
    assert (decision.version, decision.step) == (version, step)


DIGEST = "0" * 64
EDITS = [
    ("one pixel", {"image_digest": DIGEST}, "pixels"),
    ("one pixel of truth", {"truth_digest": DIGEST}, "truth"),
    ("instances", {"instances_digest": DIGEST}, "instances"),
    ("objects", {"objects_digest": DIGEST}, "instances"),
    ("a label", {"label": 7}, "label"),
    ("the name of a class", {"class_name": "lukewarm"}, "label"),
    ("a pair", {"pair": "p9999"}, "pair"),
]


@pytest.mark.parametrize(("what", "fields", "aspect"), EDITS, ids=[row[0] for row in EDITS])
def test_one_image_edited(manifest, what, fields, aspect):
    old = manifest()
    image_id = sorted(old.images)[1]
    difference = compare(old, edited(old, image_id, **fields))
    assert difference.changed == {aspect: (image_id,)}
    assert not difference.same_images
    decision = decide_version(difference, "1.2.3")
    assert (decision.version, decision.step) == ("2.0.0", "major")


def test_other_bytes_of_the_same_pixels_are_a_patch(manifest):
    old = manifest()
    image_id = next(iter(old.images))
    decision = decide(old, edited(old, image_id, checksum=DIGEST, pack="other.ozx"))
    assert (decision.version, decision.step) == ("1.2.4", "patch")


def test_one_added_one_removed_one_moved(manifest):
    old = manifest()
    first, second = sorted(old.images)[:2]
    entry = old.images[first]
    fresh = entry._replace(image_id="evp/test/0999", image_digest=DIGEST)
    assert decide(old, rooted(old, {**old.images, fresh.image_id: fresh})).version == "1.3.0"
    fewer = {key: value for key, value in old.images.items() if key != first}
    assert decide(old, rooted(old, fewer)).version == "2.0.0"
    moved = entry._replace(image_id=first.replace("/test/", "/train/").replace("0001", "0777"), split="train")
    difference = compare(old, rooted(old, {**fewer, moved.image_id: moved}))
    assert difference.moved == ((first, moved.image_id),)
    assert not difference.added
    assert not difference.removed
    assert decide_version(difference, "1.2.3").version == "2.0.0"
    swapped = {**old.images, first: old.images[second]._replace(image_id=first), second: entry._replace(image_id=second)}
    assert set(compare(old, rooted(old, swapped)).altered) == {first, second}


def test_what_is_asked_for_must_be_right(manifest):
    old, new = manifest(), manifest(EVP, {**EVP, "type": "dsp"})
    assert decide(old, new, "1.3.0").version == "1.3.0"
    assert decide(old, new, "1.3.0-rc.1").version == "1.3.0-rc.1"
    assert decide(old, new, "1.3.0+build.5").version == "1.3.0+build.5"
    for wrong in ("1.2.4", "1.4.0", "2.0.0", "1.2.3", "0.9.0"):
        with pytest.raises(InputError, match=r"must be 1\.3\.0 \(minor after 1\.2\.3: 8 added\), got"):
            decide(old, new, wrong)
    for text in ("1.3", "v1.3.0", "", "1.3.0 "):
        with pytest.raises(InputError, match="must be a semantic version"):
            decide(old, new, text)


def test_the_version_of_a_recipe_counts_once_its_author_has_raised_it(manifest):
    old = manifest()
    raised = replace(manifest(EVP, {**EVP, "type": "dsp"}), version="1.3.0")
    assert decide(old, raised).version == "1.3.0"
    with pytest.raises(InputError, match=r"version in the recipe must be 1\.3\.0"):
        decide(old, replace(raised, version="2.0.0"))
    assert decide(old, replace(raised, version="1.0.0")).version == "1.3.0"  # left behind: nobody thought of it


def test_after_a_pre_release(manifest):
    old = replace(manifest(), version="2.0.0-rc.1")
    same = replace(old, version="2.0.0-rc.1")
    assert decide(old, same).version == "2.0.0"
    assert decide(old, same, "2.0.0-rc.2").version == "2.0.0-rc.2"
    with pytest.raises(InputError):
        decide(old, same, "1.9.0")


ids = st.sampled_from([f"evp/{split}/{n:04d}" for split in ("train", "test") for n in range(6)])


@st.composite
def manifests(draw):
    images = {}
    for image_id in draw(st.sets(ids)):
        label, pixels, truth = draw(st.tuples(st.integers(0, 1), st.sampled_from("ab"), st.sampled_from("cd")))
        split = image_id.split("/")[1]
        images[image_id] = ImageEntry(image_id, "evp", split, label, str(label), None, pixels, truth, None, None, None, None)
    return Manifest("toy", "1.0.0", "", "", "", None, "", root_digest([e._asdict() for e in images.values()]), {}, images)


@given(manifests(), manifests())
def test_literally(old, new):
    """PATCH iff equal, MINOR iff the old is part of the new, else MAJOR."""
    decision = decide(old, new)
    if old.images == new.images:
        expected = "1.0.1"
    elif all(new.images.get(image_id) == entry for image_id, entry in old.images.items()):
        expected = "1.1.0"
    else:
        expected = "2.0.0"
    assert decision.version == expected
    assert precedence(decision.version) > precedence(old.version)


@given(manifests(), manifests())
def test_every_image_is_somewhere_in_a_difference(old, new):
    difference = compare(old, new)
    left, reached = [a for a, _ in difference.moved], [b for _, b in difference.moved]
    assert sorted([*difference.added, *reached]) == sorted(new.images.keys() - old.images.keys())
    assert sorted([*difference.removed, *left]) == sorted(old.images.keys() - new.images.keys())
    for image_id in old.images.keys() & new.images.keys():
        assert (image_id in difference.altered) == (old.images[image_id] != new.images[image_id])
    for a, b in difference.moved:
        assert old.images[a][6:9] == new.images[b][6:9]


def test_the_changelog_says_what_changed(manifest):
    old = manifest()
    first = changelog(decide_version(None, "1.2.3"), "2026-11-01", len(old.images), None)
    assert first.count("## 1.2.3 - 2026-11-01") == 1
    assert f"- {len(old.images)} images." in first
    new = manifest(EVP, {**EVP, "type": "dsp"}, title="Another", license="CC0-1.0")
    difference = compare(old, new)
    second = changelog(decide_version(difference, "1.2.3"), "2026-12-01", len(new.images), difference, first)
    assert second.index("## 1.3.0 - 2026-12-01") < second.index("## 1.2.3 - 2026-11-01")
    assert second.count("# Changelog") == 1
    assert "- 8 images (`dsp/test/0001`, `dsp/test/0002`, `dsp/test/0003`, ...)." in second
    assert "- License: (none) became CC0-1.0." in second
    image_id = sorted(old.images)[0]
    broken = compare(old, edited(old, image_id, truth_digest=DIGEST))
    assert f"- Other truth: 1 image (`{image_id}`)." in section(decide_version(broken, "1.2.3"), "2026-12-01", 4, broken)
    same = compare(old, old)
    assert "Only texts changed." in section(decide_version(same, "1.2.3"), "2026-12-01", 4, same)
