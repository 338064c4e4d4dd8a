"""Every shipped experiment can be tried: its small data set is built, and all that it names is there and fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from miso_gen.evaluate.plan import check_score, score_plan
from miso_gen.evaluate.smoke import smoke
from miso_gen.explain.experiment import check_explain, entries_of
from miso_gen.explain.jobs import plan_jobs
from miso_gen.recipe import experiment_files
from miso_gen.store import open_dataset
from miso_gen.train import load_experiment
from miso_gen.train.loop import Silent
from miso_gen.train.tasks import tasks_of


@pytest.mark.parametrize("name", sorted(experiment_files()))
def test_the_smoke_of_a_shipped_experiment_is_small_and_fits(name: str, tmp_path: Path) -> None:
    experiment = load_experiment(name, checks=(check_explain, check_score))
    small = smoke(experiment, tmp_path, Silent())
    tasks = tasks_of(small)
    assert 1 <= len(tasks) <= 2
    assert all(1 <= len(task.ids["test"]) <= 4 for task in tasks)
    assert {entry.explainer.type_name for entry in entries_of(small)} == {
        one.explainer.type_name for one in entries_of(experiment)
    }
    jobs, _ = plan_jobs(tasks, entries_of(small))
    assert {job.entry.name for job in jobs} == {entry.name for entry in entries_of(small)}
    assert score_plan(small.score).chosen
    assert open_dataset(small.dataset).scenarios == [task.scenario for task in tasks][:1]
