"""Commands that end in a report: evaluate, score and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from miso_gen.cli.group import JSON, main

if TYPE_CHECKING:
    from miso_gen.report.results import Results

_OUT = "Folder to write to."


@main.command()
@click.argument("experiment")
@click.option("-o", "--out", type=click.Path(path_type=Path), help=f"{_OUT} Default: runs/EXPERIMENT.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a value, e.g. --set train.epochs=3. May be repeated."
)
@click.option("--smoke", "is_smoke", is_flag=True, help="The whole chain on a few small images, in a minute or two.")
@click.option("-q", "--quiet", is_flag=True, help="Errors and results only.")
@JSON
def evaluate(experiment: str, out: Path | None, overrides: tuple[str, ...], is_smoke: bool, quiet: bool, as_json: bool) -> None:
    """Train, predict, explain, score and report EXPERIMENT; what was done is not done again.

    \b
    Example:
      miso-gen evaluate miso1-mini --smoke
    """
    from miso_gen.console import StepProgress, duration, print_table
    from miso_gen.evaluate.evaluating import evaluate as run
    from miso_gen.evaluate.plan import check_score
    from miso_gen.evaluate.smoke import smoke
    from miso_gen.explain.experiment import check_explain
    from miso_gen.train import load_experiment

    plan = load_experiment(experiment, overrides, checks=(check_explain, check_score))
    stem = Path(experiment).stem
    folder = out or Path("runs") / (f"{stem}-smoke" if is_smoke else stem)
    options = [*(f"--set {one}" for one in overrides), *(["--smoke"] if is_smoke else [])]
    command = " ".join(["miso-gen evaluate", experiment, *options])
    with StepProgress(quiet=quiet or as_json) as watcher:
        found = run(smoke(plan, folder, watcher) if is_smoke else plan, folder, command=command, watcher=watcher)
    if as_json:
        said = {"folder": str(found.folder), "report": str(found.report), **_said(found.results), "seconds": found.seconds}
        click.echo(json.dumps(said))
        return
    print_table(("stage", "time"), [(stage, duration(seconds)) for stage, seconds in found.seconds.items()])
    _print_problems(found.results)
    click.echo(f"{found.folder}: {len(found.results.scores)} scores of {found.results.scores['image_id'].nunique()} images")
    click.echo(f"report: {found.report}")


@main.command("score")
@click.option("--dataset", required=True, help="Data set that the maps are of: a folder, URL, or name@version.")
@click.option("--maps", required=True, type=click.Path(path_type=Path), help="Folder of .npy, .tif or .png named by image id.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help=f"{_OUT} Default: MAPS-scores.")
@click.option("--split", default="test", show_default=True, help="Split whose images should have a map; all: every one.")
@click.option("--scenario", "scenarios", multiple=True, help="Scenario whose images should have a map. Default: as the maps are.")
@click.option("--patch-size", type=int, help="Side of patches, px, for maps of cells of half a patch.")
@click.option("--metric", "metrics", multiple=True, help="Metric to compute; may be repeated. Default: all.")
@click.option("--binarize", multiple=True, help="What makes masks of maps; may be repeated. Default: two-mean.")
@click.option("--signed", is_flag=True, help="Negative values speak against the class.")
@click.option("--name", help="What to call the explainer. Default: the name of the folder.")
@JSON
def score_maps(
    dataset: str,
    maps: Path,
    out: Path | None,
    split: str,
    scenarios: tuple[str, ...],
    patch_size: int | None,
    metrics: tuple[str, ...],
    binarize: tuple[str, ...],
    signed: bool,
    name: str | None,
    as_json: bool,
) -> None:
    """Score maps of your own method against the truth, and report them as those of an experiment.

    What is wrong with a map is said, and the others are scored.

    \b
    Example:
      miso-gen score --dataset datasets/miso1-mini/1.0.0 --maps my-maps
    """
    from miso_gen.evaluate.outside import score_outside
    from miso_gen.report import write_report
    from miso_gen.train.experiment import Patches

    given = {"metrics": list(metrics) or "all", **({"binarize": list(binarize)} if binarize else {})}
    patches = None if patch_size is None else Patches.from_spec({"size": patch_size})
    folder = out or maps.with_name(f"{maps.name}-scores")
    command = f"miso-gen score --dataset {dataset} --maps {maps}" + (f" --patch-size {patch_size}" if patch_size else "")
    found = score_outside(
        dataset,
        maps,
        folder,
        split=None if split == "all" else split,
        scenarios=scenarios or None,
        patches=patches,
        plan=given,
        signed=signed,
        name=name,
        command=command,
    )
    page = write_report(found.results, folder / "report").index
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "report": str(page), **_said(found.results), "wanted": found.wanted}))
        return
    _print_means(found.results)
    _print_problems(found.results)
    click.echo(f"{found.images} of {found.wanted} images scored; report: {page}")


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help=f"{_OUT} Default: report of RUN.")
def report(run: Path, out: Path | None) -> None:
    """Write the report of RUN, the folder of an evaluation, again: from its scores, without a network.

    \b
    Example:
      miso-gen report runs/miso1-mini
    """
    from miso_gen.evaluate.keeping import read_results
    from miso_gen.report import write_report

    click.echo(f"report: {write_report(read_results(run), out or run / 'report').index}")


def _said(results: Results) -> dict[str, object]:
    return {
        "images": int(results.scores["image_id"].nunique()),
        "scores": len(results.scores),
        "problems": list(results.problems),
        "digests": dict(results.digests),
    }


def _print_problems(results: Results, most: int = 20) -> None:
    from miso_gen.console import count
    from miso_gen.errors import listing

    missing = [line.partition(" ")[0] for line in results.problems if " has no map" in line]
    others = [line for line in results.problems if " has no map" not in line]
    for line in others[:most]:
        click.echo(f"warning: {line}", err=True)
    if len(others) > most:
        click.echo(f"warning: and {len(others) - most} more; the report lists them.", err=True)
    if missing:
        click.echo(f"warning: {count(len(missing), 'image')} without a map (has no map): {listing(missing, 5)}", err=True)


def _print_means(results: Results) -> None:
    from miso_gen.console import print_table
    from miso_gen.metrics import summarise

    table = summarise(results.scores, by=("explainer", "metric", "binarizer"), interval="normal")
    rows = [
        (one.explainer, one.metric, one.binarizer or "-", f"{one.mean:.4f}", f"{one.low:.4f} to {one.high:.4f}", str(one.n))
        for one in table.itertuples()
    ]
    print_table(("explainer", "metric", "binarised by", "mean", "95 % interval", "images"), rows)
