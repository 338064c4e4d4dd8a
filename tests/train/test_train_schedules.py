"""Learning rates and early ends."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.train.blocks import EvaluationMode, Patience, Plateau
from miso_gen.train.schedules import EvaluationStop, PatienceStop, PlateauSchedule


def test_the_rates_of_pylon():
    """FACTS E9: 1e-4, 2e-5, 4e-6, then the end."""
    schedule, seen = PlateauSchedule(Plateau(), 1e-4), []
    while not schedule.done:
        seen.append(schedule.lr)
        schedule.epoch(1.0)
    # the first epoch is the best one; then every second epoch without a better one lowers the rate
    assert sorted(set(seen), reverse=True) == pytest.approx([1e-4, 2e-5, 4e-6])
    assert [seen.count(rate) for rate in dict.fromkeys(seen)] == [3, 2, 2]
    assert schedule.lr == pytest.approx(8e-7)


@given(st.lists(st.floats(0.01, 2), min_size=1, max_size=40), st.integers(0, 4), st.sampled_from([0.0, 1e-4, 0.1]))
def test_the_plateau_is_that_of_torch(losses, patience, threshold):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, threshold=threshold, threshold_mode="rel", eps=0.0
    )
    schedule = PlateauSchedule(Plateau(factor=0.5, patience=patience, threshold=threshold, least_lr=0.0), 0.1)
    for loss in losses:
        peer.step(loss)
        schedule.epoch(loss)
        assert schedule.lr == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        again = PlateauSchedule(schedule.plan, 0.1)
        again.load_state_dict(schedule.state_dict())
        schedule = again


def test_a_steady_rate_stays():
    schedule = PlateauSchedule(None, 0.1)
    for _ in range(50):
        schedule.epoch(1.0)
    assert schedule.lr == 0.1
    assert not schedule.done


def test_patience_ends():
    stop, ends = PatienceStop(Patience(epochs=2)), []
    for loss in (3.0, 2.0, 2.0, 1.9, 1.95, 5.0, 1.0):
        stop.epoch(loss)
        ends.append(stop.done)
    assert ends == [False, False, False, False, False, True, False]


def literal_evaluation(accuracies, accuracy, patience, refund):
    """Return the look that ends training, by the words of the paper; None: none does."""
    best, counter = -1.0, 0
    for number, found in enumerate(accuracies):
        if found > accuracy:
            return number
        if found > best:
            best, counter = found, int(refund * counter)
        else:
            counter += 1
        if counter >= patience:
            return number
    return None


@given(st.lists(st.integers(0, 100), max_size=60), st.integers(1, 8), st.sampled_from([0.0, 0.3, 0.4, 1.0]))
def test_evaluation_mode_is_that_of_the_paper(hundredths, patience, refund):
    accuracies = [number / 100 for number in hundredths]
    stop = EvaluationStop(EvaluationMode(patience=patience, refund=refund))
    ended = None
    for number, accuracy in enumerate(accuracies):
        stop.look(accuracy)
        if stop.done:
            ended = number
            break
        again = EvaluationStop(stop.plan)
        again.load_state_dict(stop.state_dict())
        stop = again
    assert ended == literal_evaluation(accuracies, 0.96, patience, refund)


def test_looks_are_due_every_few_steps():
    stop = EvaluationStop(EvaluationMode(every=4))
    assert [step for step in range(1, 13) if stop.due(step)] == [4, 8, 12]
    assert not EvaluationStop(None).due(4)
