"""Commands about releases: release, verify, diff, publish, fetch, export."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from miso_gen.cli.group import JSON, main, require_folder, write_file
from miso_gen.errors import InputError, listing

_QUIET = click.option("-q", "--quiet", is_flag=True, help="Errors and results only.")


@main.command()
@click.argument("store")
@click.option("-o", "--out", metavar="DIR", help="Folder of the release. Default: datasets/NAME/VERSION.")
@click.option("--version", metavar="X.Y.Z", help="The version it must get. Default: decided from what changed.")
@click.option("--date", metavar="YYYY-MM-DD", help="Day of the release. Default: the recipe's; no clock is read.")
@click.option("--previous", metavar="RELEASE", help="The release before, or none. Default: the greatest version known here.")
@click.option(
    "--pack-size", type=click.IntRange(1), default=4000, show_default=True, help="Megabytes up to which images share a pack."
)
@_QUIET
@JSON
def release(
    store: str,
    out: str | None,
    version: str | None,
    date: str | None,
    previous: str | None,
    pack_size: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make a release of STORE: packs, tables, card, citation, changelog, and a manifest that vouches for all.

    The version follows from what changed since the release before: only texts PATCH, only additions MINOR, any old image,
    truth, label or split MAJOR.

    \b
    Example:
      miso-gen release datasets/miso1/1.0.0 --date 2026-11-21
    """
    from miso_gen.console import StepProgress, count, size
    from miso_gen.release.making import make_release

    with StepProgress(quiet=quiet or as_json) as watcher:
        result = make_release(
            store, out, version=version, date=date, previous=previous, pack_bytes=pack_size * 1_000_000, watcher=watcher
        )
    manifest = result.manifest
    if as_json:
        facts = {
            "path": result.path,
            "name": manifest.name,
            "version": manifest.version,
            "step": result.decision.step,
            "reason": result.decision.reason,
            "previous": manifest.previous,
            "root_digest": manifest.root_digest,
            "files": len(manifest.files),
            "bytes": manifest.size,
            "warnings": result.warnings,
        }
        click.echo(json.dumps(facts, indent=2))
        return
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    since = f", after {manifest.previous}" if manifest.previous else ""
    click.echo(
        f"{result.path}: {manifest.name} {manifest.version} ({result.decision.step}{since}: {result.decision.reason}), "
        f"{count(len(manifest.images), 'image')}, {count(len(manifest.files), 'file')}, {size(manifest.size)}"
    )
    click.echo(f"root digest {manifest.root_digest}")


@main.command()
@click.argument("location", metavar="PATH|NAME@VERSION")
@click.option("--against", metavar="RELEASE", help="Compare with this manifest, release, store or NAME@VERSION.")
@click.option("--rebuild", is_flag=True, help="Render images again from the recipe, and compare.")
@click.option("--sample", type=click.IntRange(1), metavar="K", help="Render only K images, drawn at random.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides which are drawn.")
@click.option("--pixels/--no-pixels", default=None, help="Decode every pixel. Default: of stores yes, of releases no.")
@click.option("--workers", type=click.IntRange(1), help="Processes that render. Default: one per core.")
@_QUIET
@JSON
def verify(
    location: str,
    against: str | None,
    rebuild: bool,
    sample: int | None,
    seed: int,
    pixels: bool | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Verify a store or a release: every byte, every digest, and, with --rebuild, every pixel by rendering it again.

    \b
    Example:
      miso-gen verify datasets/miso1/1.0.0 --rebuild --sample 20
    """
    from miso_gen.console import StepProgress
    from miso_gen.release.verify import verify as run

    with StepProgress(quiet=quiet or as_json) as watcher:
        found = run(
            location,
            against=against,
            pixels=pixels,
            rebuild=rebuild or sample is not None,
            sample=sample,
            seed=seed,
            workers=workers,
            watcher=watcher,
        )
    if as_json:
        facts = {**vars(found), "problems": [vars(problem) for problem in found.problems], "ok": found.ok}
        click.echo(json.dumps(facts, indent=2))
    else:
        for problem in found.problems:
            click.echo(str(problem))
        click.echo(found.verdict)
    if not found.ok:
        sys.exit(1)


@main.command()
@click.argument("old")
@click.argument("new")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Draw examples of what changed to this PNG.")
@click.option("--examples", type=click.IntRange(1, 50), default=4, show_default=True, help="Images that are drawn.")
@JSON
def diff(old: str, new: str, out: Path | None, examples: int, as_json: bool) -> None:
    """Say what changed from OLD to NEW: stores, releases, manifests or NAME@VERSION.

    \b
    Example:
      miso-gen diff miso1@1.0.0 datasets/miso1/2.0.0 -o changes.png
    """
    from miso_gen.console import count, print_table
    from miso_gen.release.diff import diff as run
    from miso_gen.release.diff import draw_difference

    if out is not None:
        require_folder(out)
        if out.suffix.lower() != ".png":
            raise InputError(f"-o must be the name of a picture, .png, got {out}. Nothing was written.")
    found = run(old, new)
    if found.old.name != found.new.name and not as_json:
        click.echo(f"these are different data sets: {found.old.name} and {found.new.name}")
    picture = None if out is None else draw_difference(found, old, new, examples=examples)
    if as_json:
        facts = {"added": found.added, "removed": found.removed, "moved": found.moved, "changed": dict(found.changed)}
        click.echo(json.dumps({**facts, "texts": found.texts(), "same_images": found.same_images}, indent=2))
    elif found.same_images:
        click.echo(f"the same {count(len(found.new.images), 'image')}: pixels, truth, labels and splits")
    else:
        groups = {"added": found.added, "removed": found.removed, "moved": tuple(f"{a} to {b}" for a, b in found.moved)}
        groups |= {f"other {aspect}": ids for aspect, ids in found.changed.items()}
        print_table(("change", "images", "examples"), [(k, len(ids), listing(ids, 3)) for k, ids in groups.items() if ids])
    if not as_json:
        for name, (before, after) in found.texts().items():
            click.echo(f"{name}: {before or '(none)'} became {after or '(none)'}")
    if out is not None and picture is not None:
        write_file(out, picture)
    elif out is not None and not as_json:
        click.echo("no pixels or truth changed: nothing to draw")


@main.command()
@click.argument("folder", metavar="RELEASE")
@click.option(
    "--to", required=True, metavar="PLACE", help="zenodo, hf:org/name, or s3://bucket/prefix (gs://, az://, file:///folder)."
)
@click.option("--dry-run", is_flag=True, help="Show every call, make none.")
@click.option("--sandbox", is_flag=True, help="Rehearse on sandbox.zenodo.org.")
@click.option("--base-url", metavar="URL", help="Another InvenioRDM server, or another Hub.")
@_QUIET
@JSON
def publish(folder: str, to: str, dry_run: bool, sandbox: bool, base_url: str | None, quiet: bool, as_json: bool) -> None:
    """Publish RELEASE; a publication that was stopped goes on when the same command is run again.

    Tokens come from ZENODO_TOKEN, HF_TOKEN, the services' own settings, or the keyring.

    \b
    Example:
      miso-gen publish datasets/miso1/1.0.0 --to zenodo --dry-run
    """
    from miso_gen.console import PublishProgress, count, print_table, size
    from miso_gen.release.announce import publish_release

    with PublishProgress(quiet=quiet or as_json or dry_run) as watcher:
        result = publish_release(folder, to, dry_run=dry_run, sandbox=sandbox, base_url=base_url, watcher=watcher)
    place = result.publication
    if as_json:
        facts = {"publication": None if place is None else vars(place), "files": result.files, "bytes": result.bytes}
        calls = [call._asdict() for call in result.calls]
        click.echo(json.dumps({**facts, "already": result.already, "calls": calls}, indent=2))
    elif dry_run:
        rows = [(c.method, c.url, "?" if c.size is None else size(c.size) if c.size else "", c.when) for c in result.calls]
        print_table(("call", "address", "size", "only"), rows)
        click.echo(f"{count(len(result.calls), 'call')}, {count(result.files, 'file')}, {size(result.bytes)}; nothing was sent")
    elif place is not None:
        state = "was published before" if result.already else "published"
        click.echo(f"{state}: {place.url}" + (f", DOI {place.doi}" if place.doi else ""))


@main.command()
@click.argument("name", metavar="NAME@VERSION")
@click.option("--from", "source", metavar="SOURCE", help="Folder or URL of the release, zenodo:RECORD, or hf:org/name.")
@click.option("-o", "--out", metavar="DIR", help="Where to. Default: the cache, where NAME@VERSION is found.")
@_QUIET
@JSON
def fetch(name: str, source: str | None, out: str | None, quiet: bool, as_json: bool) -> None:
    """Download a release, verified while it comes; a fetch that was stopped goes on when the same command is run again.

    \b
    Example:
      miso-gen fetch miso1@1.0.0 --from https://example.org/miso1/1.0.0
    """
    from miso_gen.console import FetchProgress, count, size
    from miso_gen.store.fetch import fetch as run

    with FetchProgress(quiet=quiet or as_json) as watcher:
        result = run(name, source, out, watcher=watcher)
    if as_json:
        click.echo(json.dumps(vars(result), indent=2))
    else:
        click.echo(f"{result.path}: {count(result.downloaded, 'file')} fetched, {result.kept} kept, {size(result.bytes)}")


@main.command()
@click.argument("store")
@click.option("--to", required=True, metavar="FORMAT", help="ome-tiff, png, coco, webdataset or hf; see: miso-gen list exports.")
@click.option("-o", "--out", required=True, metavar="DIR", help="A new folder.")
@click.option("--split", "splits", multiple=True, help="Only this split. May be repeated.")
@click.option("--scenario", "scenarios", multiple=True, help="Only this scenario. May be repeated.")
@click.option("--image", "images", multiple=True, metavar="ID", help="Only this image. May be repeated.")
@click.option("--no-truth", is_flag=True, help="Images and labels only.")
@_QUIET
@JSON
def export(
    store: str,
    to: str,
    out: str,
    splits: tuple[str, ...],
    scenarios: tuple[str, ...],
    images: tuple[str, ...],
    no_truth: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write the images of STORE, or some of them, with their truth, in a format of others.

    \b
    Example:
      miso-gen export datasets/miso1/1.0.0 --to ome-tiff -o tiffs --scenario gsp --split test
    """
    from miso_gen.console import ExportProgress, count, size
    from miso_gen.release.exporting import export as run
    from miso_gen.store import open_dataset

    dataset = open_dataset(store)
    with ExportProgress(quiet=quiet or as_json) as watcher:
        result = run(dataset, out, to, splits=splits, scenarios=scenarios, images=images, truth=not no_truth, watcher=watcher)
    if as_json:
        click.echo(json.dumps(vars(result), indent=2))
        return
    for note in result.notes:
        click.echo(f"note: {note}")
    click.echo(f"{result.path}: {count(result.images, 'image')}, {count(result.files, 'file')}, {size(result.bytes)}")
