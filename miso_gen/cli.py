"""The command line: one command per verb, each a few lines around a plain function."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from miso_gen import __version__
from miso_gen.errors import InputError, MisoGenError, MisoGenWarning, OutputError, listing

if TYPE_CHECKING:
    from collections.abc import Iterator

_SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the recipe, e.g. --set seed=7. May be repeated.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def _said_warnings() -> Iterator[None]:
    """Print our warnings, each once, as a line; those of others go where they went."""
    said: set[str] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def say(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, MisoGenWarning):
                show(message, category, *where, **more)
            elif str(message) not in said:
                said.add(str(message))
                click.echo(f"warning: {message}", err=True)

        warnings.simplefilter("always", MisoGenWarning)
        warnings.showwarning = say
        yield


class _Commands(click.Group):
    """Turns our errors into one line and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            with _said_warnings():
                return super().invoke(context)
        except MisoGenError as error:
            click.echo(f"error: {error}", err=True)
            context.exit(error.exit_code)
        except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
            click.echo(f"error: {error.filename or 'file'}: {error.strerror}. Choose another place.", err=True)
            context.exit(2)
        except KeyboardInterrupt:
            click.echo("stopped. What is finished stays: run the same command to go on.", err=True)
            context.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="miso-gen")
def main() -> None:
    """Synthetic megapixel images with pixel-exact truth, for checking explanations of deep networks.

    \b
    miso-gen preview miso1              look at a recipe's images beside their truth
    miso-gen build recipes/miso1.yaml   render a data set
    miso-gen new my-shapes              start a recipe of your own
    """


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
@_JSON
@_SET
def build(recipe: str, overrides: tuple[str, ...], as_json: bool, verbose: bool, quiet: bool, **options: Any) -> None:
    """Render the images and truth of RECIPE into a store.

    A build that was stopped goes on where it was when the same command is run again.

    \b
    Example:
      miso-gen build recipes/miso1.yaml -o out --set seed=7
    """
    from miso_gen.build import build as run
    from miso_gen.console import BuildProgress, duration
    from miso_gen.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    with BuildProgress(quiet=quiet or as_json, verbose=verbose) as watcher:
        result = run(loaded, options.pop("out"), watcher=watcher, **options)
    if as_json:
        failures = {failure.image_id: failure.reason for failure in result.failures}
        click.echo(json.dumps({**vars(result), "failures": failures}, indent=2))
    elif not quiet:
        speed = f", {result.pixels / result.seconds / 1e6:.0f} Mpx/s" if result.pixels else ""
        click.echo(f"{result.path}: {result.built} images built, {result.kept} kept, {duration(result.seconds)}{speed}")
        if result.root_digest:
            _print_balance(result.path)
            click.echo(f"root digest {result.root_digest}")
    if result.failures:
        names = listing((failure.image_id for failure in result.failures), 5)
        reason = result.failures[0].reason.rstrip(".")
        click.echo(
            f"error: {len(result.failures)} of {result.images} images failed ({names}): {reason}. "
            "The store is not complete; run the same command to try them again.",
            err=True,
        )
        sys.exit(1)


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
@_JSON
@_SET
def plan(recipe: str, overrides: tuple[str, ...], images: bool, as_json: bool) -> None:
    """Show which images RECIPE makes, without making any.

    \b
    Example:
      miso-gen plan miso1 --images
    """
    from collections import Counter

    from miso_gen.console import print_table, size
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
    print_table(("scenario", "split", "label", "class", "images"), [(*key, count) for key, count in counts.items()])
    canvas = loaded.canvas
    item = {"uint8": 1, "uint16": 2, "float32": 4}[canvas.dtype] * canvas.channels
    pixels = len(plans) * canvas.height * canvas.width
    click.echo(
        f"{len(plans)} images of {canvas.height} x {canvas.width} px, {pixels / 1e6:,.0f} Mpx, {size(pixels * (item + 1))} "
        f"with truth before compression; digest {loaded.digest[:16]}"
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
@_SET
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
    _require_folder(path)
    _write(path, draw(loaded, **options))


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
    _require_folder(path)
    _write(path, draw(open_dataset(store, incomplete=True)[image_id], _box(box), side=side))


def _box(text: str | None) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    try:
        top, left, bottom, right = (int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--box must be TOP,LEFT,BOTTOM,RIGHT in whole pixels, got {text!r}.") from None
    return top, left, bottom, right


def _require_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"folder of {path} must exist, got none. Make it, or choose another place with -o.")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path} must be writable, got {error.strerror!r}. Choose another place with -o.") from error
    click.echo(path)


@main.command()
@click.argument("store")
@_JSON
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
    click.echo(f"{'built with':<14} " + ", ".join(f"{name} {value}" for name, value in facts["generator"].items()))
    if facts["classes"]:
        columns = ("scenario", "split", "label", "class", "images")
        print_table(columns, [[row[column] for column in columns] for row in facts["classes"]])


@main.command()
@click.argument("store")
@click.option("--no-noise", is_flag=True, help="Don't compare the corners of images, which reads pixels.")
@click.option("--strict", is_flag=True, help="Exit with 1 if there is a warning.")
@_JSON
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
@_JSON
def list_(kind: str | None, as_json: bool) -> None:
    """List what there is: recipes, scenarios, backgrounds, silhouettes, ..., or one KIND of them.

    \b
    Example:
      miso-gen list scenarios
    """
    from miso_gen.catalogue import catalogue
    from miso_gen.console import print_table

    found = catalogue(kind)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for title, members in found.items():
        print_table((title, ""), members.items() if members else [("(none)", "")])
        click.echo()


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
        _require_folder(out)
        _write(out, text.encode())


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


@main.command()
@_JSON
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
