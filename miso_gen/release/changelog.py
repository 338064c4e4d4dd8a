"""The changelog of a data set: a section for every release, written from what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from miso_gen.release.differences import Difference
    from miso_gen.release.versions import Decision

_EXAMPLES = 3
_HEADING = "# Changelog\n\nWritten from the content digests of each release and the one before it.\n"
_KINDS = {
    "pixels": "Other pixels",
    "truth": "Other truth",
    "instances": "Other instances",
    "label": "Other label",
    "pair": "Other pair",
}


def changelog(decision: Decision, date: str, images: int, difference: Difference | None, before: str = "") -> str:
    """Return the text of ``CHANGELOG.md``: the new section, above those of the releases before.

    Args:
        decision: The version.
        date: Day of the release, ``YYYY-MM-DD``.
        images: Number of images.
        difference: What changed since the release before; None: this is the first.
        before: The changelog of that release.
    """
    older = before.removeprefix(_HEADING).strip()
    parts = [_HEADING.rstrip(), section(decision, date, images, difference)] + ([older] if older else [])
    return "\n\n".join(parts) + "\n"


def section(decision: Decision, date: str, images: int, difference: Difference | None) -> str:
    """Return what changed in one release, as Markdown."""
    lines = [f"## {decision.version} - {date}", ""]
    if difference is None:
        return "\n".join([*lines, "### Added", "", f"- {_counted(images)}."])
    if difference.same_images:
        lines += [f"All {_counted(images)} are those of {difference.old.version}: same pixels, truth, labels and splits.", ""]
    groups: dict[str, list[str]] = {"Added": [], "Removed": [], "Changed": []}
    groups["Added"] += _line("", difference.added)
    groups["Removed"] += _line("", difference.removed)
    groups["Changed"] += _line("Moved", [f"{old} to {new}" for old, new in difference.moved])
    for aspect, ids in difference.changed.items():
        groups["Changed"] += _line(_KINDS[aspect], ids)
    for name, (old, new) in difference.texts().items():
        if name == "recipe_digest":
            groups["Changed"].append("- The recipe has another digest.")
        else:
            groups["Changed"].append(f"- {name.capitalize()}: {old or '(none)'} became {new or '(none)'}.")
    if not any(groups.values()):
        lines.append("Only texts changed.")
    for title, found in groups.items():
        if found:
            lines += [f"### {title}", "", *found, ""]
    return "\n".join(lines).rstrip()


def _line(what: str, names: tuple[str, ...] | list[str]) -> list[str]:
    if not names:
        return []
    some = ", ".join(f"`{name}`" for name in names[:_EXAMPLES]) + (", ..." if len(names) > _EXAMPLES else "")
    return [f"- {what + ': ' if what else ''}{_counted(len(names))} ({some})."]


def _counted(images: int) -> str:
    return f"{images:,} image" + "s" * (images != 1)
