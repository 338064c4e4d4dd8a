"""Commands about explanations: explain, and sanity studies."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from miso_gen.cli.group import JSON, main, require_folder, write_file

if TYPE_CHECKING:
    from miso_gen.explain.stage import ExplainResult

_OUT = click.option("-o", "--out", metavar="DIR", help="Folder of the runs. Default: runs.")
_OVERRIDES = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a value, e.g. --set train.epochs=3. May be repeated."
)
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Errors and results only.")
_PART = click.option("--part", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True)
_SMOKE_IMAGES = 2


@main.command()
@click.argument("experiment")
@_OUT
@click.option("--maps", metavar="DIR", help="Store of maps. Default: maps.zarr in the folder of the runs.")
@_OVERRIDES
@_PART
@click.option("--limit", type=click.IntRange(min=1), help="Images of each scenario, the first ones. Default: all.")
@click.option("--smoke", "is_smoke", is_flag=True, help="Two batches of each network and two images, to see that all is there.")
@_QUIET
@JSON
def explain(
    experiment: str,
    out: str | None,
    maps: str | None,
    overrides: tuple[str, ...],
    part: Literal["train", "validation", "test"],
    limit: int | None,
    is_smoke: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Explain what the networks of EXPERIMENT decide by; what is not trained yet is trained first.

    Stopped, it goes on when the same command is run again.

    \b
    Example:
      miso-gen explain miso1-mini-quick --limit 20
    """
    from miso_gen.console import StepProgress, duration, print_table
    from miso_gen.explain.experiment import check_explain
    from miso_gen.explain.stage import explain_experiment
    from miso_gen.train import load_experiment, smoke

    plan = load_experiment(experiment, overrides, checks=(check_explain,))
    if is_smoke:
        plan, limit = smoke(plan), limit or _SMOKE_IMAGES
    with StepProgress(quiet=quiet or as_json) as watcher:
        found = explain_experiment(plan, out, maps, part=part, limit=limit, watcher=watcher)
    if as_json:
        click.echo(json.dumps(_plain(found), indent=2))
        return
    columns = ("network", "explainer", "kind", "at", "images", "made", "blank", "constant", "time")
    rows = []
    for one in found.groups:
        group = one.group
        counts = one.images, one.made, one.blank, one.constant
        rows.append((group.model, group.explainer, group.kind, group.at, *counts, duration(one.seconds)))
    print_table(columns, rows)
    click.echo(str(found.maps))


def _plain(found: ExplainResult) -> dict[str, object]:
    return {"maps": str(found.maps), "groups": [asdict(one) for one in found.groups], "left": list(found.left)}


@main.command()
@click.argument("experiment")
@click.option("--study", type=click.Choice(["randomization", "dropout", "axioms"]), required=True, help="What is asked.")
@click.option("--explainer", "only", metavar="NAME", help="One explainer of the experiment. Default: all.")
@click.option("-o", "--out", "csv", type=click.Path(path_type=Path), help="File to write the table to, as CSV.")
@click.option("--runs", metavar="DIR", help="Folder of the runs. Default: runs.")
@_OVERRIDES
@_PART
@click.option("--items", type=click.IntRange(min=1), default=32, show_default=True, help="Patches or images of each scenario.")
@click.option("--smoke", "is_smoke", is_flag=True, help="Two batches of each network and two items, to see that all is there.")
@_QUIET
@JSON
def sanity(
    experiment: str,
    study: Literal["randomization", "dropout", "axioms"],
    only: str | None,
    csv: Path | None,
    runs: str | None,
    overrides: tuple[str, ...],
    part: Literal["train", "validation", "test"],
    items: int,
    is_smoke: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Ask whether maps depend on what the networks of EXPERIMENT learned, and whether they add up.

    \b
    randomization   how alike maps stay when weights are drawn anew, all up to a stage, or of one stage
    dropout         how well maps hit the evidence with dropout on, the mean of ten passes
    axioms          whether the channels of each layer add up to the score, and to what is lost without each

    \b
    Example:
      miso-gen sanity miso1-mini-quick --study randomization --explainer saliency -o sanity.csv
    """
    from miso_gen.console import StepProgress, print_table
    from miso_gen.explain.experiment import check_explain
    from miso_gen.explain.sanity import sanity_study
    from miso_gen.train import load_experiment, smoke

    if csv is not None:
        require_folder(csv)
    plan = load_experiment(experiment, overrides, checks=(check_explain,))
    if is_smoke:
        plan, items = smoke(plan), min(items, _SMOKE_IMAGES)
    with StepProgress(quiet=quiet or as_json) as watcher:
        table = sanity_study(plan, study, runs, explainer=only, part=part, items=items, watcher=watcher)
    if as_json:
        click.echo(table.to_json(orient="records", indent=2))
    else:
        print_table(tuple(table.columns), ((_shown(value) for value in row) for row in table.itertuples(index=False)))  # type: ignore[misc]
    if csv is not None:
        write_file(csv, table.to_csv(index=False).encode())


def _shown(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
