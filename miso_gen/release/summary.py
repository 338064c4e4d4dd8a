"""What a release holds, counted and in words: what all of its texts say alike."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final, NamedTuple

from miso_gen.recipe.template import example
from miso_gen.release.markup import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.recipe.plugins import Evidence
    from miso_gen.release.facts import ReleaseFacts

#: What makes a label true, by the evidence that a scenario declares.
REASONS: Final[Mapping[Evidence, str]] = {
    "pixel": "the values of the object's pixels",
    "object": "certain objects, or parts of an object",
    "contour": "the outline of the object",
    "arrangement": "how parts or objects are arranged",
    "absence": "one thing that is there or not",
}
_FIXED_KEYWORDS: Final = ("synthetic data", "explainable AI", "ground truth", "segmentation masks", "OME-Zarr")


class ClassCount(NamedTuple):
    """How many images a class of a scenario has.

    Attributes:
        scenario: Name of the scenario.
        label: The class.
        class_name: Its name.
        images: Number of images by split, every split of the release.
    """

    scenario: str
    label: int
    class_name: str
    images: Mapping[str, int]

    @property
    def total(self) -> int:
        """Images of all splits."""
        return sum(self.images.values())


class ScenarioSummary(NamedTuple):
    """A scenario of a release.

    Attributes:
        name: Its name in the recipe.
        shows: What it shows, in a sentence or two; empty where its plug-in does not say.
        evidence: What makes the label true.
        shortcuts: What else gives the label away, as the scenario declares it.
        classes: Its classes by label.
        images: Number of its images.
        known: Images of which somebody knows what makes their label true.
        evident: Of these, images with discriminative pixels.
    """

    name: str
    shows: str
    evidence: Evidence
    shortcuts: tuple[str, ...]
    classes: tuple[ClassCount, ...]
    images: int
    known: int
    evident: int


def splits(facts: ReleaseFacts) -> tuple[str, ...]:
    """Return the splits that have images, in the order of the recipe."""
    present = set(facts.table["split"])
    return tuple(split for split in facts.recipe.splits if split in present)


def class_counts(facts: ReleaseFacts) -> tuple[ClassCount, ...]:
    """Return the images of every class, scenarios in the order of the recipe, then by label."""
    order = {entry.name: place for place, entry in enumerate(facts.recipe.scenarios)}
    names = splits(facts)
    found: dict[tuple[str, int, str], dict[str, int]] = {}
    columns = (facts.table[column] for column in ("scenario", "label", "class_name", "split"))
    for scenario, label, class_name, split in zip(*columns, strict=True):
        found.setdefault((scenario, int(label), class_name), dict.fromkeys(names, 0))[split] += 1
    ordered = sorted(found, key=lambda key: (order.get(key[0], len(order)), *key))
    return tuple(ClassCount(*key, found[key]) for key in ordered)


def scenario_summaries(facts: ReleaseFacts) -> tuple[ScenarioSummary, ...]:
    """Return the scenarios that have images, in the order of the recipe.

    What a recipe imported must be at hand, as it was when the recipe was read.
    """
    counts = class_counts(facts)
    found = []
    for entry in facts.recipe.scenarios:
        rows = facts.table[facts.table["scenario"] == entry.name]
        if rows.empty:
            continue
        known = rows["truth_2_known"].astype(bool) if "truth_2_known" in rows else rows["label"].notna()  # older stores: of all
        plugin = entry.model.from_spec(example(entry.block))
        classes = tuple(count for count in counts if count.scenario == entry.name)
        evident = int((known & (rows["truth_2_share"] > 0)).sum())
        summary = ScenarioSummary(
            entry.name, _shows(entry.model), plugin.reason, plugin.known_shortcuts, classes, len(rows), int(known.sum()), evident
        )
        found.append(summary)
    return tuple(found)


def _shows(model: type) -> str:
    """Return the first paragraph of the documentation of a plug-in, as plain text."""
    return one_line(inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0].replace("``", ""))


def canvas_text(facts: ReleaseFacts) -> str:
    """Return sizes, channels and type of the images, such as ``512 x 512 px, 1 channel, uint8``."""
    canvas = facts.recipe.canvas
    sizes = sorted({(int(h), int(w)) for h, w in zip(facts.table["height"], facts.table["width"], strict=True)})
    first, last = (sizes[0], sizes[-1]) if sizes else ((canvas.height, canvas.width),) * 2
    size = f"{first[0]} x {first[1]} px" if first == last else f"{first[0]} x {first[1]} to {last[0]} x {last[1]} px"
    axes = " (height x width)" if any(h != w for h, w in (first, last)) else ""
    return f"{size}{axes}, {canvas.channels} channel{'s' * (canvas.channels > 1)}, {canvas.dtype}"


def images_text(facts: ReleaseFacts) -> str:
    """Return how many images of what there are, as one sentence without its full stop."""
    count = len(facts.table)
    plural = "s" * (count != 1)
    return f"{count:,} synthetic image{plural} of {canvas_text(facts)}, each with a mask of what makes its label true"


def title_text(facts: ReleaseFacts) -> str:
    """Return the title on one line, the name where there is none."""
    return one_line(facts.title) or facts.name


def description(facts: ReleaseFacts) -> str:
    """Return the description of the data set as one paragraph: that of the recipe, else what was counted."""
    return one_line(facts.recipe.description) or f"{images_text(facts)}."


def keywords(facts: ReleaseFacts) -> tuple[str, ...]:
    """Return the words to find the data set by: those of the recipe, then those that hold for all; none twice."""
    found: dict[str, str] = {}
    for word in (*facts.recipe.keywords, *_FIXED_KEYWORDS):
        line = one_line(word)
        if line:
            found.setdefault(line.lower(), line)
    return tuple(found.values())


def size_text(size: int) -> str:
    """Return a number of bytes for people: ``812 B``, ``4.0 kB``, ``3.2 GB``; a kB is 1000 bytes."""
    if size < 1000:
        return f"{size} B"
    value = size / 1000
    for unit in ("kB", "MB", "GB", "TB"):
        if value < 999.95:
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} PB"
