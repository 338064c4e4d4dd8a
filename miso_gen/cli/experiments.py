"""Commands about experiments: train and predict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from miso_gen.cli.group import JSON, main
from miso_gen.errors import InputError

if TYPE_CHECKING:
    from miso_gen.train import TrainedModel


@main.command()
@click.argument("experiment")
@click.option("-o", "--out", metavar="DIR", help="Folder of the runs. Default: runs.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a value, e.g. --set train.epochs=3. May be repeated."
)
@click.option("--smoke", "is_smoke", is_flag=True, help="Two batches of each network, to see that all is there.")
@click.option("--anew", is_flag=True, help="Train again what has been trained.")
@click.option("-q", "--quiet", is_flag=True, help="Errors and results only.")
@JSON
def train(
    experiment: str, out: str | None, overrides: tuple[str, ...], is_smoke: bool, anew: bool, quiet: bool, as_json: bool
) -> None:
    """Train the networks of EXPERIMENT; what was stopped goes on when the same command is run again.

    \b
    Example:
      miso-gen train miso1-mini-quick --set train.epochs=3
    """
    from miso_gen.console import StepProgress, duration, print_table
    from miso_gen.train import load_experiment, smoke
    from miso_gen.train import train as run

    plan = load_experiment(experiment, overrides)
    with StepProgress(quiet=quiet or as_json) as watcher:
        found = run(smoke(plan) if is_smoke else plan, out, resume=not anew, watcher=watcher)
    if as_json:
        click.echo(json.dumps([{"folder": str(one.folder), **one.record} for one in found], indent=2))
        return
    rows = [(str(one.folder), one.record["steps"], _auroc(one), duration(one.record["seconds"])) for one in found]
    print_table(("run", "steps", "AUROC", "time"), rows)


def _auroc(trained: TrainedModel) -> str:
    value = (trained.record["last"] or {}).get("val_auroc")
    return "-" if value is None else f"{value:.3f}"


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder to write to. Default: predictions of the run.")
@click.option("--part", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True)
@click.option("--positive", type=int, default=1, show_default=True, help="Class that maps and rules speak of.")
@click.option("--legacy", is_flag=True, help="Also maps and rules as the released code of MISO makes them.")
@click.option("-q", "--quiet", is_flag=True, help="Errors and results only.")
def predict(
    run: Path, out: Path | None, part: Literal["train", "validation", "test"], positive: int, legacy: bool, quiet: bool
) -> None:
    """Predict patches and images with trained networks: RUN is one run, or a folder of runs.

    \b
    Example:
      miso-gen predict runs
    """
    from miso_gen.console import StepProgress
    from miso_gen.train import predict as work

    folders = [run] if (run / "run.json").is_file() else sorted(path.parent for path in run.glob("*/run.json"))
    if not folders:
        raise InputError(f"{run} must be a run or a folder of runs, got neither. Make one: miso-gen train EXPERIMENT")
    with StepProgress(quiet=quiet) as watcher:
        for folder in folders:
            place = out if out is None or len(folders) == 1 else out / folder.name
            found = work(folder, place, part=part, positive=positive, legacy=legacy, watcher=watcher)
            click.echo(str(found.folder))
