"""Commands about recipes: plan, preview, schema, new, and build."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from miso_gen.cli.group import JSON, SET, main, require_folder, write_file
from miso_gen.errors import listing

if TYPE_CHECKING:
    from miso_gen.recipe import Recipe


@main.command()
@click.argument("recipe")
@click.option("-o", "--out", metavar="STORE", help="Folder or URL of the store. Default: datasets/NAME/VERSION.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes on this machine. Default: one per core; small builds use none."
)
@click.option("--scheduler", metavar="ADDRESS", help="A running Dask scheduler (tcp://...) or its scheduler file; sync: no Dask.")
@click.option("--tile", type=int, default=512, show_default=True, help="Pixels rendered at a time, a side. Changes no byte.")
@click.option("--chunk", type=int, default=256, show_default=True, help="Side of the stored chunks. Changes no digest.")
@click.option("--shard", type=int, help="Side of the stored shards. Default: one a level up to 4096 px.")
@click.option("-v", "--verbose", is_flag=True, help="A line for every image.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@JSON
@SET
def build(recipe: str, overrides: tuple[str, ...], as_json: bool, verbose: bool, quiet: bool, **options: Any) -> None:
    """Render the images and truth of RECIPE into a store.

    A build that was stopped goes on where it was when the same command is run again.

    \b
    Example:
      miso-gen build recipes/miso1.yaml -o out --set seed=7
    """
    from miso_gen.build import build as run
    from miso_gen.console import BuildProgress, count, duration
    from miso_gen.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    with BuildProgress(quiet=quiet or as_json, verbose=verbose) as watcher:
        result = run(loaded, options.pop("out"), watcher=watcher, **options)
    if as_json:
        failures = {failure.image_id: failure.reason for failure in result.failures}
        click.echo(json.dumps({**vars(result), "failures": failures}, indent=2))
    elif not quiet:
        speed = f", {result.pixels / result.seconds / 1e6:.0f} Mpx/s" if result.pixels else ""
        click.echo(f"{result.path}: {count(result.built, 'image')} built, {result.kept} kept, {duration(result.seconds)}{speed}")
        if result.root_digest:
            _print_balance(result.path)
            click.echo(f"root digest {result.root_digest}{_release_note(loaded, result.root_digest)}")
    if result.failures:
        names = listing((failure.image_id for failure in result.failures), 5)
        reason = result.failures[0].reason.rstrip(".")
        click.echo(
            f"error: {len(result.failures)} of {count(result.images, 'image')} failed ({names}): {reason}. "
            "The store is not complete; run the same command to try them again.",
            err=True,
        )
        sys.exit(1)


def _release_note(recipe: Recipe, root_digest: str) -> str:
    """Return how a build compares with the release of its name and version, where one is known here."""
    from miso_gen.release.contents import released_as

    released = released_as(recipe.name, recipe.version)
    if released is None:
        return ""
    if released.root_digest == root_digest:
        return f", bit-identical to release {released.version}"
    return f", other than release {released.version}: see miso-gen diff {recipe.name}@{recipe.version} STORE"


def _print_balance(path: str) -> None:
    from miso_gen.check import balance, balance_warnings
    from miso_gen.console import print_balance
    from miso_gen.store import open_dataset

    dataset = open_dataset(path)
    rows = balance(dataset)
    print_balance(rows)
    for sentence in balance_warnings(dataset, rows):
        click.echo(f"warning: {sentence}")


@main.command()
@click.argument("recipe")
@click.option("--images", is_flag=True, help="List every image.")
@JSON
@SET
def plan(recipe: str, overrides: tuple[str, ...], images: bool, as_json: bool) -> None:
    """Show which images RECIPE makes, without making any.

    \b
    Example:
      miso-gen plan miso1 --images
    """
    from collections import Counter

    from miso_gen.console import count, print_table, size
    from miso_gen.recipe import load_recipe, plan_images

    loaded = load_recipe(recipe, overrides)
    plans = plan_images(loaded)
    if as_json:
        rows = [
            {
                "id": p.id,
                "type": p.type,
                "split": p.split,
                "label": p.label,
                "class_name": p.class_name,
                "pair": p.pair,
                "morphology": p.morphology,
                "params": dict(p.params),
            }
            for p in plans
        ]
        click.echo(
            json.dumps({"name": loaded.name, "version": loaded.version, "digest": loaded.digest, "images": rows}, indent=2)
        )
        return
    if images:
        print_table(
            ("id", "label", "class", "pair", "morphology", "drawn"),
            [(p.id, p.label, p.class_name, p.pair or "", p.morphology or "", _drawn(p.params)) for p in plans],
        )
    counts = Counter((p.scenario, p.split, p.label, p.class_name) for p in plans)
    print_table(("scenario", "split", "label", "class", "images"), [(*key, number) for key, number in counts.items()])
    canvas = loaded.canvas
    item = {"uint8": 1, "uint16": 2, "float32": 4}[canvas.dtype] * canvas.channels
    pixels = len(plans) * canvas.height * canvas.width
    click.echo(
        f"{count(len(plans), 'image')} of {canvas.height} x {canvas.width} px, {pixels / 1e6:,.0f} Mpx, "
        f"{size(pixels * (item + 1))} with truth before compression; digest {loaded.digest[:16]}"
    )


def _drawn(params: Any) -> str:
    return ", ".join(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items())


@main.command()
@click.argument("recipe")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="The PNG. Default: NAME-preview.png.")
@click.option(
    "--side", type=click.IntRange(16, 2048), default=256, show_default=True, help="Longest side of a picture in pixels."
)
@click.option("--pairs", type=click.IntRange(1, 50), default=1, show_default=True, help="Pairs shown of each scenario.")
@click.option("--scenario", "scenarios", multiple=True, help="Show this scenario only. May be repeated.")
@SET
def preview(recipe: str, overrides: tuple[str, ...], out: Path | None, **options: Any) -> None:
    """Draw a contact sheet of RECIPE: each scenario's images beside their truth.

    \b
    Example:
      miso-gen preview recipes/miso1.yaml -o sheet.png --pairs 2
    """
    from miso_gen.preview import preview as draw
    from miso_gen.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    path = out or Path(f"{loaded.name}-preview.png")
    require_folder(path)
    write_file(path, draw(loaded, **options))


@main.command()
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of printing.")
def schema(out: Path | None) -> None:
    """Print the JSON schema of recipes, for editors that check YAML while you type.

    \b
    Example:
      miso-gen schema -o miso-gen.schema.json
    """
    from miso_gen.recipe import recipe_json_schema

    text = json.dumps(recipe_json_schema(), indent=2) + "\n"
    if out is None:
        click.echo(text, nl=False)
    else:
        require_folder(out)
        write_file(out, text.encode())


@main.command()
@click.argument("name")
@click.option(
    "--from", "source", default="tutorial-01-first", show_default=True, help="The recipe to copy; see: miso-gen list recipes."
)
def new(name: str, source: str) -> None:
    """Start a recipe of your own: copy a tutorial recipe to NAME.yaml.

    \b
    Example:
      miso-gen new my-shapes --from tutorial-03-drawn
    """
    from miso_gen.catalogue import copy_recipe

    path = copy_recipe(name, source, Path.cwd())
    click.echo(f"{path.name}\nLook at it:  miso-gen preview {path.name}\nBuild it:    miso-gen build {path.name}")
