"""The card of a release, README.md: a header that the Hugging Face Hub reads, and what people must know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from miso_gen.contents import FOLDER
from miso_gen.release.citation import bibtex, cite_text, home
from miso_gen.release.licences import hub_licence, known_licence
from miso_gen.release.markup import code, escaped, fence, link, one_line, table, yaml_text
from miso_gen.release.summary import (
    REASONS,
    class_counts,
    description,
    images_text,
    keywords,
    scenario_summaries,
    size_text,
    splits,
    title_text,
)
from miso_gen.store.index import INDEX, INSTANCES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miso_gen.release.facts import ReleaseFacts

CARD: Final = "README.md"
PREVIEW: Final = "preview.png"
_SIZES: Final = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_LISTED: Final = 3  #: files of one kind that are listed one by one
_MADE: Final = {
    "manifest.json": "every file with its sha256, every image with its digests",
    "lock.json": "what the images were made with",
    "CHANGELOG.md": "what changed since the version before",
    "croissant.json": "this data set for machines (Croissant 1.1)",
    "CITATION.cff": "how to cite it",
    "LICENSE": "what may be done with it",
}


def card(facts: ReleaseFacts) -> str:
    """Return the text of ``README.md``.

    Every text of the recipe is shown as it is, never read as markup. The Hub shows the splits from the Parquet files that the
    header names.
    """
    parts = [
        f"# {escaped(title_text(facts))}",
        *_picture(facts),
        *_about(facts),
        "## Images",
        _images(facts),
        "## Truth",
        *_truth(facts),
        "## Known shortcuts",
        *_shortcuts(facts),
        "## Load",
        *_load(facts),
        "## Verify",
        *_verify(facts),
        "## Files",
        _files(facts),
        "## Licence",
        _licence(facts),
        "## Cite",
        escaped(cite_text(facts)) if not (facts.doi or home(facts)) else _cite(facts),
        fence(bibtex(facts), "bibtex"),
    ]
    return f"---\n{yaml_text(header(facts))}---\n\n" + "\n\n".join(parts) + "\n"


def header(facts: ReleaseFacts) -> dict[str, Any]:
    """Return the header of the card, as plain data.

    The Hub takes letters, digits and underscores in names of splits, so ``my-test`` is called ``my_test`` there; its file keeps
    its name. It reserves the name ``all``, which becomes ``all_``.
    """
    licence = hub_licence(facts.recipe.license)
    other = {"license_name": _slug(facts.recipe.license), "license_link": "LICENSE"} if licence == "other" else {}
    files = [{"split": _hub_split(split), "path": f"{split}.parquet"} for split in splits(facts)]
    return {
        "license": licence,
        **other,
        "pretty_name": title_text(facts),
        "task_categories": ["image-classification", "image-segmentation"],
        "size_categories": [size_category(len(facts.table))],
        "tags": list(keywords(facts)),
        "configs": [{"config_name": "default", "default": True, "data_files": files}],
    }


def size_category(images: int) -> str:
    """Return the Hub's category of a number of images: ``n<1K``, ``1K<n<10K``, ... ``n>1T``."""
    place = max(0, len(str(images)) - 3)  # 1000 is the first of the second
    if place == 0:
        return f"n<{_SIZES[0]}"
    return f"{_SIZES[place - 1]}<n<{_SIZES[place]}" if place < len(_SIZES) else f"n>{_SIZES[-1]}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-") or "other"


def _hub_split(split: str) -> str:
    name = split.replace("-", "_")
    return f"{name}_" if name == "all" else name


def _picture(facts: ReleaseFacts) -> list[str]:
    return [f"![Images of every scenario and class, each beside its truth]({PREVIEW})"] if PREVIEW in facts.files else []


def _about(facts: ReleaseFacts) -> Iterator[str]:
    if one_line(facts.recipe.description):
        yield escaped(description(facts))
    dated = f" of {facts.date}" if facts.date else ""
    after = f" It follows version {code(facts.previous)}; see `CHANGELOG.md`." if facts.previous else ""
    objects = f" The truth of {facts.objects:,} objects is listed one by one in `{INSTANCES}`." if facts.objects else ""
    yield (
        f"{escaped(images_text(facts))}. {size_text(facts.size)} in all.{objects} "
        f"This is {code(facts.name)}, version {code(facts.version)}{dated}.{after}"
    )
    places = dict.fromkeys(link(publication.url) for publication in facts.publications)
    pages = [f"Home page: {link(facts.recipe.url)}"] if one_line(facts.recipe.url) else []
    pages += [f"Published: {', '.join(places)}"] if places else []
    if pages:
        yield "  \n".join(pages)


def _images(facts: ReleaseFacts) -> str:
    names = splits(facts)
    counts = class_counts(facts)
    rows = []
    for before, count in zip((None, *counts), counts, strict=False):
        scenario = code(count.scenario) if before is None or before.scenario != count.scenario else ""
        numbers = [f"{count.images[name]:,}" for name in names]
        rows.append([scenario, str(count.label), escaped(count.class_name), *numbers, f"{count.total:,}"])
    sums = [f"{sum(count.images[name] for count in counts):,}" for name in names]
    rows.append(["**all**", "", "", *sums, f"**{len(facts.table):,}**"])
    return table(["scenario", "label", "class", *map(code, names), "all"], rows, numbers=len(names) + 1)


def _truth(facts: ReleaseFacts) -> Iterator[str]:
    yield "Every image has a mask of its own size, made from the same geometry, so it is exact to the pixel. Its values:"
    levels = (
        ("0", "irrelevant: background, or anything that does not matter"),
        ("1", "belongs to an object"),
        ("2", "makes the label true; part of an object, too"),
    )
    yield table(["value", "meaning"], levels)
    scenarios = scenario_summaries(facts)
    rows = []
    for scenario in scenarios:
        known = f"{scenario.evident:,} of {scenario.images:,}" if scenario.known else "not known"
        if 0 < scenario.known < scenario.images:
            known += f" (known of {scenario.known:,})"
        rows.append([code(scenario.name), escaped(scenario.shows), REASONS[scenario.evidence], known])
    yield table(["scenario", "shows", "what makes the label true", "images with a 2"], rows, numbers=1)
    if any(scenario.evident < scenario.known for scenario in scenarios):
        yield (
            "Images without a 2 have nothing to point at: their label is an absence, or true of the image as a whole. Scores "
            "that need positive pixels are undefined there; average over the others, and say how many these were."
        )
    if any(scenario.known < scenario.images for scenario in scenarios):
        yield (
            f"Where `truth_2_known` is false in `{INDEX}`, nobody knows which objects make the label, and level 2 marks all of "
            f"them: leave these images out of averages over level 2. Level >= 1 is exact everywhere."
        )


def _shortcuts(facts: ReleaseFacts) -> Iterator[str]:
    scenarios = scenario_summaries(facts)
    rows = [[code(scenario.name), escaped(", ".join(scenario.shortcuts))] for scenario in scenarios if scenario.shortcuts]
    if rows:
        yield (
            "A model can be right without looking at the evidence. The scenarios declare that the class can also be told, at "
            "least partly, from:"
        )
        yield table(["scenario", "also told by"], rows)
    silent = [code(scenario.name) for scenario in scenarios if not scenario.shortcuts]
    if silent:
        yield f"No shortcut is declared for {', '.join(silent)}; that does not prove that there is none."
    yield "`miso-gen check` probes a store for such shortcuts."


def _load(facts: ReleaseFacts) -> Iterator[str]:
    release = f"{facts.name}@{facts.version}"
    yield "With [miso-gen](https://github.com/miso-gen/miso-gen):"
    get = f"miso-gen fetch {release}" if facts.publications else "miso-gen build recipe.yaml    # not published yet: render it"
    yield fence(get, "bash")
    yield fence(
        "from miso_gen import open_dataset\n\n"
        f'dataset = open_dataset("{release}")\n'
        "view = dataset[dataset.ids[0]]\n"
        'image, truth = view.read()  # (c, y, x) and (y, x)\nprint(view.attributes["label"], image.shape, (truth == 2).sum())',
        "python",
    )
    names = splits(facts)
    if not facts.images_in or not names:
        return
    yield (
        "Without it: packs are zipped OME-Zarr (Zarr v3), and each image is a group at its `image_id`. The table of a split says "
        "which pack holds an image."
    )
    yield fence(
        "import pandas as pd\nimport zarr\n\n"
        f'row = pd.read_parquet("{names[0]}.parquet").iloc[0]\n'
        'with zarr.storage.ZipStore(row["pack"], mode="r") as pack:\n'
        '    group = zarr.open_group(pack, path=row["image_id"], mode="r")\n'
        '    image, truth = group["0"][:], group["labels/truth/0"][:]',
        "python",
    )


def _verify(facts: ReleaseFacts) -> Iterator[str]:
    release = f"{facts.name}@{facts.version}"
    yield fence(
        f"miso-gen verify {release}                        # every file and image against the manifest\n"
        f"miso-gen verify {release} --rebuild --sample 20  # render 20 images again, and compare pixels",
        "bash",
    )
    rows = [["recipe (sha256)", code(facts.recipe_digest)], ["all images (BLAKE3)", code(facts.root_digest)]]
    yield table(["digest of", ""], rows)
    if facts.versions:
        yield "Made with " + ", ".join(code(f"{name} {version}") for name, version in sorted(facts.versions.items())) + "."


def _files(facts: ReleaseFacts) -> str:
    groups: dict[str, list[str]] = {}
    for path in sorted(facts.files):
        groups.setdefault(re.sub(r"-\d+(?=\.[^.]*$)|(?<=^imports/).*(?=\.)", "", path), []).append(path)
    rows = []
    for paths in groups.values():
        for some in [paths] if len(paths) > _LISTED else [[path] for path in paths]:
            names = code(some[0]) if len(some) == 1 else f"{code(some[0])} to {code(some[-1])}: {len(some):,} files"
            size = sum(facts.files[path].size for path in some)
            images = sum(facts.images_in.get(path, 0) for path in some)
            rows.append([names, _what(some[0], images, facts), size_text(size)])
    rows += [[code(name), what, ""] for name, what in _MADE.items()]
    return table(["file", "what", "size"], rows, numbers=1)


def _what(path: str, images: int, facts: ReleaseFacts) -> str:
    known = {
        INDEX: "all images, one row each",
        INSTANCES: "all objects, one row each",
        "recipe.yaml": "the recipe: all of this is built from it",
        PREVIEW: "the picture above",
        **{f"{split}.parquet": f"images of {code(split)} with `pack` and preview" for split in splits(facts)},
    }
    if path in facts.images_in:
        return f"{images:,} image{'s' * (images != 1)}"
    return known.get(path, "what the recipe imported" if path.startswith(f"{FOLDER}/") else "")


def _licence(facts: ReleaseFacts) -> str:
    name = one_line(facts.recipe.license)
    licence = known_licence(name)
    if licence:
        return f"[{licence.title}]({licence.url}) (`{licence.spdx}`). See `LICENSE`."
    if name:
        return f"{code(name)}. See `LICENSE`."
    return "No licence was granted. Ask the authors before you use, change or pass on this data set."


def _cite(facts: ReleaseFacts) -> str:
    """Return the citation with its address, which ends it, as a link."""
    text, _, address = cite_text(facts).rpartition(" ")
    return f"{escaped(text)} {link(address)}"
