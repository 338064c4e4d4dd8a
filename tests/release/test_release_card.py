"""The card: its header is read by an outside parser and the Hub's loader, its body by an outside renderer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from markdown_it import MarkdownIt
from releasing_facts import (
    BUCKET,
    HUB,
    RECIPE,
    ZENODO,
    contents,
    facts_of,
    shuffled,
    small_facts,
    texts,
    texts_of_a_recipe,
    write_release,
)

from miso_gen import build, open_dataset
from miso_gen.errors import RecipeError
from miso_gen.recipe import SCENARIOS, load_recipe
from miso_gen.release.card import card, header, size_category
from miso_gen.release.croissant import croissant
from miso_gen.release.licences import hub_licence
from miso_gen.release.markup import code, escaped, fence, link, one_line, table, web_url, yaml_text
from miso_gen.release.summary import size_text
from miso_gen.store.manifest import FileEntry

if TYPE_CHECKING:
    from pathlib import Path

    from markdown_it.token import Token

RENDERER = MarkdownIt("commonmark").enable("table")


def parted(text: str) -> tuple[dict[str, Any], str]:
    """Return header and body as the Hub cuts them: from the first line of three hyphens to the next."""
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert found is not None
    return yaml.safe_load(found[1]), text[found.end() :]


def shown(token: Token) -> str:
    """Return what a reader sees of a line."""
    return "".join(child.content for child in token.children or [])


def lines(body: str) -> list[tuple[str, str]]:
    """Return every line of text with the tag that it is in."""
    tokens = RENDERER.parse(body)
    return [(tokens[place - 1].tag, shown(token)) for place, token in enumerate(tokens) if token.type == "inline"]


def cells(body: str, heading: str) -> list[list[list[str]]]:
    """Return the tables below a heading of level 2: rows of cells as a reader sees them."""
    tokens = RENDERER.parse(body)
    found: list[list[list[str]]] = []
    here = False
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            here = shown(tokens[place + 1]) == heading
        elif here and token.type == "table_open":
            found.append([])
        elif here and token.type == "tr_open":
            found[-1].append([])
        elif here and token.type == "inline" and tokens[place - 1].tag in ("td", "th"):
            found[-1][-1].append(shown(token))
    return found


def test_the_header_parses_back() -> None:
    facts = small_facts()
    parsed, _ = parted(card(facts))
    assert parsed == header(facts)
    assert parsed == {
        "license": "cc-by-4.0",
        "pretty_name": "Small shapes",
        "task_categories": ["image-classification", "image-segmentation"],
        "size_categories": ["n<1K"],
        "tags": ["shapes", "Saliency", "synthetic data", "explainable AI", "ground truth", "segmentation masks", "OME-Zarr"],
        "configs": [
            {
                "config_name": "default",
                "default": True,
                "data_files": [{"split": "train", "path": "train.parquet"}, {"split": "test", "path": "test.parquet"}],
            }
        ],
    }


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(changes=texts_of_a_recipe())
def test_any_text_survives(changes: dict[str, Any]) -> None:
    facts = small_facts(changes)
    text = card(facts)
    parsed, body = parted(text)
    assert parsed == header(facts)
    found = lines(body)
    title = one_line(changes["title"]) or "small"
    assert parsed["pretty_name"] == title
    assert [line for tag, line in found if tag == "h1"] == [title]
    headings = ["Images", "Truth", "Known shortcuts", "Load", "Verify", "Files", "Licence", "Cite"]
    assert [line for tag, line in found if tag == "h2"] == headings
    if one_line(changes["description"]):
        assert one_line(changes["description"]) in [line for tag, line in found if tag == "p"]
    assert "html_block" not in {token.type for token in RENDERER.parse(body)}
    inner = {child.type for token in RENDERER.parse(body) for child in token.children or []}
    assert "html_inline" not in inner
    addresses = [
        child.attrs["href"] for token in RENDERER.parse(body) for child in token.children or [] if child.type == "link_open"
    ]
    assert all(str(address).startswith("https://") for address in addresses)


@given(value=texts())
def test_yaml_texts_come_back(value: str) -> None:
    assert yaml.safe_load(yaml_text({"key": value, "list": [value], "map": {"inner": value}})) == {
        "key": value,
        "list": [value],
        "map": {"inner": value},
    }
    assert all(line[:1] != "-" for line in yaml_text({"key": value}).split("\n"))


@pytest.mark.parametrize(
    "word", ["yes", "No", "NULL", "true", "off", "y", "nan", "1e5", "0o17", "1_000", "12:30", "~", "=", "<<", ""]
)
def test_words_that_some_reader_takes_for_something_else_are_quoted(word: str) -> None:
    assert yaml_text({"key": word}) == f'key: "{word}"\n'


@given(text=texts())
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    tokens = RENDERER.parse(escaped(text))
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    assert (shown(tokens[1]) if tokens else "") == one_line(text)
    row = [token for token in RENDERER.parse(table(["head", "x"], [[escaped(text), "1"]])) if token.type == "inline"]
    assert [shown(token) for token in row] == ["head", "x", one_line(text), "1"]


@given(text=texts(min_size=1))
def test_code_is_shown_as_it_is(text: str) -> None:
    line = one_line(text)
    row = [token for token in RENDERER.parse(table(["head"], [[code(text)]])) if token.type == "inline"]
    assert row[-1].children is not None
    assert [child.type for child in row[-1].children] == ["code_inline"]
    assert row[-1].children[0].content.strip() == line
    block = RENDERER.parse(fence(text, "text"))
    assert [token.type for token in block] == ["fence"]


def test_links_are_of_the_web_only() -> None:
    assert link("https://example.org/a b<c>") == "<https://example.org/a%20b%3Cc%3E>"
    assert link("javascript:alert(1)") == "`javascript:alert(1)`"
    assert link("s3://bucket/x") == "`s3://bucket/x`"
    assert web_url("http://") is None
    assert web_url("https://exämple.org/ü?q=a%20b#c") == "https://ex%C3%A4mple.org/%C3%BC?q=a%20b#c"


def test_counts_are_those_of_the_table() -> None:
    facts = small_facts()
    (counts,) = cells(card(facts).partition("\n---\n")[2], "Images")
    assert counts[0] == ["scenario", "label", "class", "train", "test", "all"]
    group = facts.table.groupby(["scenario", "label", "class_name", "split"]).size()
    scenario = ""
    for row in counts[1:-1]:
        scenario = row[0] or scenario
        numbers = [int(group[scenario, int(row[1]), row[2], split]) for split in ("train", "test")]
        assert [int(cell) for cell in row[3:]] == [*numbers, sum(numbers)]
    assert len(counts) == 2 + facts.table.groupby(["scenario", "label"]).ngroups
    assert counts[-1] == ["all", "", "", "16", "16", "32"]


def test_truth_and_shortcuts_of_each_scenario() -> None:
    body = card(small_facts()).partition("\n---\n")[2]
    levels, evidence = cells(body, "Truth")
    assert [row[0] for row in levels] == ["value", "0", "1", "2"]
    assert [(row[0], row[2], row[3]) for row in evidence[1:]] == [
        ("evp", "the values of the object's pixels", "16 of 16"),
        ("gsp", "one thing that is there or not", "8 of 16"),
    ]
    (shortcuts,) = cells(body, "Known shortcuts")
    assert shortcuts[1:] == [["evp", "mean intensity"], ["gsp", "mean intensity"]]
    assert "Images without a 2 have nothing to point at" in body
    assert "truth_2_known" not in body


def test_unknown_evidence_is_said() -> None:
    facts = small_facts()
    known = facts.table.assign(truth_2_known=facts.table["scenario"] == "evp")
    body = card(replace(facts, table=known))
    assert [row[3] for row in cells(body.partition("\n---\n")[2], "Truth")[1][1:]] == ["16 of 16", "not known"]
    assert "truth_2_known" in body
    partly = facts.table.assign(truth_2_known=[place % 4 != 0 for place in range(len(facts.table))])
    assert "(known of 12)" in card(replace(facts, table=partly))
    older = facts.table.drop(columns="truth_2_known")
    assert card(replace(facts, table=older)) == card(facts)


def test_class_names_are_text() -> None:
    facts = small_facts()
    named = facts.table.assign(
        class_name=facts.table["class_name"].map({"cold": "a|b*<c>", "hot": "`d`", "intact": "#", "guilty": "-"})
    )
    (counts,) = cells(card(replace(facts, table=named)).partition("\n---\n")[2], "Images")
    assert [row[2] for row in counts[1:-1]] == ["a|b*<c>", "`d`", "#", "-"]


def test_what_has_no_images_is_not_listed() -> None:
    facts = small_facts()
    body = card(replace(facts, table=facts.table[facts.table["scenario"] == "evp"])).partition("\n---\n")[2]
    assert [row[0] for row in cells(body, "Truth")[1][1:]] == ["evp"]
    assert cells(body, "Images")[0][-1] == ["all", "", "", "8", "8", "16"]
    none = replace(facts, table=facts.table[:0], images_in={})
    assert "0 synthetic images of 300 x 280 px" in card(none)
    assert "recordSet" not in json.loads(croissant(none))


def test_scenarios_without_a_shortcut_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SCENARIOS.get("evp"), "shortcuts", ())
    facts = small_facts()
    assert "No shortcut is declared for `evp`; that does not prove that there is none." in card(facts)
    assert "evp declares no shortcut; that does not prove that there is none." in json.loads(croissant(facts))["rai:dataBiases"]


def test_digests_versions_and_commands_are_there() -> None:
    facts = small_facts()
    text = card(facts)
    for part in (facts.recipe_digest, facts.root_digest, "`numpy 2.1.0`", "version `1.2.0` of 2026-11-21", "version `1.1.0`"):
        assert part in text
    for command in (
        "miso-gen build recipe.yaml",
        "miso-gen verify small@1.2.0 --rebuild --sample 20",
        'open_dataset("small@1.2.0")',
    ):
        assert command in text
    assert text.index("preview.png") < text.index("Two families of images")


def test_the_python_that_it_shows_is_python() -> None:
    for block in re.findall(r"```python\n(.*?)\n```", card(small_facts()), re.DOTALL):
        compile(block, "card", "exec")


def test_an_image_is_read_from_a_pack_as_the_card_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe({**RECIPE, "splits": ["test"], "scenarios": RECIPE["scenarios"][1:]})
    build(recipe, tmp_path / "store", workers=1)
    files = contents(recipe)
    write_release(tmp_path, files)
    with ZipFile(tmp_path / "test-001.ozx", "w") as pack:
        root = tmp_path / "store" / "images.zarr"
        for path in sorted(root.rglob("*")):
            if path.is_file():
                pack.write(path, path.relative_to(root).as_posix())
    monkeypatch.chdir(tmp_path)
    (block,) = [
        block for block in re.findall(r"```python\n(.*?)\n```", card(facts_of(recipe, files)), re.DOTALL) if "zarr" in block
    ]
    found: dict[str, Any] = {}
    exec(block, found)  # the card's own words
    image, truth = open_dataset(tmp_path / "store")[found["row"]["image_id"]].read()
    assert np.array_equal(found["image"], image)
    assert np.array_equal(found["truth"], truth)


def test_places_of_publication() -> None:
    text = card(small_facts(publications=(ZENODO, HUB, BUCKET)))
    assert "<https://doi.org/10.5281/zenodo.7>" in text
    assert f"Published: <{ZENODO.url}>, <{HUB.url}>, `{BUCKET.url}`" in text
    assert "Published:" not in card(small_facts())


def test_many_files_of_a_kind_are_one_row() -> None:
    facts = small_facts()
    packs = {f"train-{number:03}.ozx": FileEntry(1000, "0" * 64) for number in range(1, 31)}
    imports = {f"imports/{number:064x}.npz": FileEntry(10, "0" * 64) for number in range(5)}
    files = {**facts.files, **packs, **imports}
    (rows,) = cells(card(replace(facts, files=files, images_in=dict.fromkeys(packs, 2))).partition("\n---\n")[2], "Files")
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["train-001.ozx to train-030.ozx: 30 files"] == ["60 images", "30.0 kB"]
    name = next(name for name in by_name if name.startswith("imports/"))
    assert name.endswith(": 5 files")
    assert by_name[name] == ["what the recipe imported", "50 B"]
    assert by_name["index.parquet"][0] == "all images, one row each"
    assert {"manifest.json", "lock.json", "CHANGELOG.md", "croissant.json", "CITATION.cff", "LICENSE"} <= by_name.keys()


def test_without_picture_packs_and_texts() -> None:
    facts = small_facts(
        {"title": "", "description": "", "license": "", "authors": [], "url": "", "keywords": []}, date="", previous=None
    )
    files = {path: entry for path, entry in facts.files.items() if path != "preview.png"}
    parsed, body = parted(card(replace(facts, files=files, images_in={}, versions={})))
    assert "![" not in body
    assert "zarr.open_group" not in body
    assert "No licence was granted" in body
    assert "The small authors. small, version 1.2.0" in body
    assert (parsed["license"], parsed["pretty_name"]) == ("unknown", "small")


def test_a_licence_of_the_house() -> None:
    parsed, body = parted(card(small_facts({"license": "House Rules (1)"})))
    assert (parsed["license"], parsed["license_name"], parsed["license_link"]) == ("other", "house-rules-1", "LICENSE")
    assert "`House Rules (1)`. See `LICENSE`." in body


@pytest.mark.parametrize(
    ("images", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (9999, "1K<n<10K"),
        (10_000, "10K<n<100K"),
        (10**6, "1M<n<10M"),
        (10**11, "100B<n<1T"),
        (10**12, "n>1T"),
        (10**13, "n>1T"),
    ],
)
def test_size_categories(images: int, category: str) -> None:
    assert size_category(images) == category


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (3_210_000_000, "3.2 GB"),
        (10**15, "1.0 PB"),
        (10**18, "1000.0 PB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.filterwarnings("ignore")  # of datasets and what it imports
@pytest.mark.parametrize("names", [["train", "test"], ["train", "far-off", "all"]])
def test_the_hub_loads_the_splits(names: list[str], tmp_path: Path, offline: None) -> None:
    """The loader of the Hub reads the folder by the card alone; the packs and other tables would stop it."""
    import datasets

    recipe = load_recipe({**RECIPE, "splits": names})
    files = contents(recipe)
    facts = facts_of(recipe, files)
    write_release(tmp_path / "release", {**files, "README.md": card(facts).encode()})
    loaded = datasets.load_dataset(str(tmp_path / "release"), cache_dir=str(tmp_path / "cache"))
    called = {"far-off": "far_off", "all": "all_"}
    assert list(loaded) == [called.get(name, name) for name in names]
    for name in names:
        rows = facts.table[facts.table["split"] == name]
        assert loaded[called.get(name, name)]["image_id"][:] == rows["image_id"].tolist()


@pytest.mark.filterwarnings("ignore")
def test_the_hub_client_reads_the_header() -> None:
    from huggingface_hub import DatasetCard

    for licence in ("MIT", "", "House-1"):
        data = DatasetCard(card(small_facts({"license": licence}))).data
        assert data.license == hub_licence(licence)
        assert data.pretty_name == "Small shapes"


@pytest.mark.parametrize("name", ["title", "description", "license", "url"])
def test_halves_of_characters_reach_no_file(name: str) -> None:
    with pytest.raises(RecipeError, match="must be text of whole characters"):
        small_facts({name: "a\ud800b"})
    with pytest.raises(RecipeError):
        small_facts({"authors": [{"name": "A, B", "affiliation": "a\ud800b"}]})


def test_same_facts_same_text() -> None:
    facts = small_facts(publications=(ZENODO, HUB))
    assert card(shuffled(facts)) == card(facts)
