"""Commands about stores, and about what there is: view, info, check, list, doctor."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from miso_gen.cli.group import JSON, main, require_folder, write_file
from miso_gen.errors import InputError, MissingExtraError, listing


@main.command()
@click.argument("store")
@click.argument("image_id", metavar="ID")
@click.option("--box", metavar="TOP,LEFT,BOTTOM,RIGHT", help="Part of the image in pixels. Default: all of it.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="The PNG. Default: ID with dashes.")
@click.option(
    "--side", type=click.IntRange(16, 8192), default=1024, show_default=True, help="Longest side of the picture in pixels."
)
def view(store: str, image_id: str, box: str | None, out: Path | None, side: int) -> None:
    """Draw an image of STORE with its truth laid over it.

    \b
    Example:
      miso-gen view datasets/miso1/1.0.0 gsp/test/0002 --box 1000,1000,1512,1512 -o spot.png
    """
    from miso_gen.preview import view as draw
    from miso_gen.store import open_dataset

    path = out or Path(f"{image_id.replace('/', '-')}.png")
    require_folder(path)
    write_file(path, draw(open_dataset(store, incomplete=True)[image_id], _box(box), side=side))


def _box(text: str | None) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    try:
        top, left, bottom, right = (int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--box must be TOP,LEFT,BOTTOM,RIGHT in whole pixels, got {text!r}.") from None
    return top, left, bottom, right


@main.command()
@click.argument("store")
@JSON
def info(store: str, as_json: bool) -> None:
    """Say what STORE is: recipe, images, classes, size, digest.

    \b
    Example:
      miso-gen info datasets/miso1/1.0.0
    """
    from miso_gen.console import print_table, size
    from miso_gen.describe import describe

    facts = describe(store)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(
        f"{facts['name']} {facts['version']}: {facts['state']}, {facts['images']} of {facts['planned']} images, "
        + ("size unknown" if facts["bytes"] is None else size(facts["bytes"]))
    )
    for key in ("recipe_digest", "root_digest"):
        click.echo(f"{key.replace('_', ' '):<14} {facts[key] or '(not complete)'}")
    click.echo(f"{'canvas':<14} {facts['canvas']}")
    built_with = ", ".join(f"{name} {value}" for name, value in facts["generator"].items())
    # Packs of a release name no packages: they have the same bytes, whatever made them.
    click.echo(f"{'built with':<14} {built_with or 'see lock.json'}")
    if facts["classes"]:
        columns = ("scenario", "split", "label", "class", "images")
        print_table(columns, [[row[column] for column in columns] for row in facts["classes"]])


@main.command()
@click.argument("store")
@click.option("--no-noise", is_flag=True, help="Don't compare the corners of images, which reads pixels.")
@click.option("--strict", is_flag=True, help="Exit with 1 if there is a warning.")
@JSON
def check(store: str, no_noise: bool, strict: bool, as_json: bool) -> None:
    """Look for what makes STORE a bad data set: missing classes, equal images, shared noise, shortcuts.

    \b
    Example:
      miso-gen check datasets/miso1/1.0.0 --strict
    """
    from miso_gen.check import check as run
    from miso_gen.console import print_findings

    findings = run(store, noise=not no_noise)
    if as_json:
        click.echo(json.dumps(findings.to_dict(), indent=2))
    else:
        print_findings(findings)
    if strict and findings.warnings:
        sys.exit(1)


@main.command(name="list")
@click.argument("kind", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "latex", "csv"]),
    default="table",
    show_default=True,
    help="For a paper's appendix: metrics, model-metrics, map-binarizers, decisions.",
)
@JSON
def list_(kind: str | None, form: str, as_json: bool) -> None:
    """List what there is: recipes, scenarios, backgrounds, models, metrics, ..., or one KIND of them.

    \b
    Example:
      miso-gen list metrics --format latex
    """
    from miso_gen.catalogue import SCORES, catalogue
    from miso_gen.console import print_table

    if form != "table" and kind not in SCORES:
        raise InputError(f"--format must go with one of {listing(SCORES)}, got {kind or 'no kind'}. Leave it out.")
    if form != "table" and as_json:
        raise InputError(f"--format must stand alone, got {form} and --json. Leave one of them out.")
    try:
        if kind in SCORES and not as_json:
            _list_scores(SCORES[kind], form)
            return
        found = catalogue(kind)
    except MissingExtraError as error:  # say it of the command, not of the name that was imported
        raise MissingExtraError(error.package, error.extra, f"miso-gen list {kind}") from None
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for title, members in found.items():
        print_table((title, ""), members.items() if members else [("(none)", "")])
        click.echo()


def _list_scores(family: str, form: str) -> None:
    """Print what the scores of a family declare."""
    from miso_gen.console import print_table
    from miso_gen.metrics.appendix import COLUMNS, NOTHING, as_csv, as_latex, as_markdown, metric_table

    rows = metric_table(family)
    told = [key for key in COLUMNS if key != "family" and any(row[key] != NOTHING for row in rows)]
    if form == "table":
        print_table([COLUMNS[key].lower() for key in told], [[row[key] for key in told] for row in rows])
    elif form == "csv":
        click.echo(as_csv(rows), nl=False)
    else:
        click.echo((as_latex if form == "latex" else as_markdown)(rows, told), nl=False)


@main.command()
@JSON
def doctor(as_json: bool) -> None:
    """Say what this machine has, what is missing, and how to get it.

    \b
    Example:
      miso-gen doctor
    """
    from miso_gen.console import print_table
    from miso_gen.doctor import examine

    findings = examine()
    if as_json:
        click.echo(json.dumps([vars(finding) for finding in findings], indent=2))
    else:
        print_table(("", "what", "found", "advice"), [(f.state, f.name, f.value, f.advice) for f in findings])
    if any(finding.state == "problem" for finding in findings):
        sys.exit(1)
