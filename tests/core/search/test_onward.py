"""Leave an optimum: what is tried, what is followed, and when that ends."""

from types import SimpleNamespace

import pytest

from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.search.climb import Trial, height
from skem.core.search.onward import FOLLOWED, better, onward
from skem.core.solve.loop import Solution


def end(value):
    return Solution(SimpleNamespace(objective=value), [], 1, True, None)


def trial(value, leads_to, gain=0.0):
    return Trial(leads_to, value, gain, 10)


class Plan:
    """Trials of each time, whose parameters are where they end."""

    slack = 0.5

    def __init__(self, *plan):
        self.plan, self.failures, self.ends = list(plan), [], []

    def trials(self, em, best, attempts):
        self.failures.append(attempts.failures)
        return self.plan.pop(0)

    def followed(self, em, best, trial):
        self.ends.append(trial.parameters)
        if trial.parameters == "fails":
            raise IllDefinedCovarianceError
        return None if trial.parameters is None else end(trial.parameters)


def test_failures_in_a_row_end_it():
    plan = Plan([], [trial(9, 3.0)], [], [trial(9, 2.0)], [])
    assert height(onward(plan, None, end(1.0), 2)) == 3.0
    # The third and the fourth time are in vain.
    assert plan.failures == [0, 1, 0, 1]


def test_rounds_end_it():
    plan = Plan(*([trial(99, value)] for value in (2.0, 3.0, 4.0, 5.0)))
    assert height(onward(plan, None, end(1.0), 3, rounds=3)) == 4.0


def test_the_first_of_the_most_hopeful_that_gains_is_taken():
    plan = Plan()
    trials = [trial(2, 8.0), trial(5, 4.0), trial(1, 6.0, gain=1.0)]
    # Hopes are 2, 5 and 21.
    assert height(better(plan, None, end(1.0), trials)) == 6.0
    assert plan.ends == [6.0]


def test_what_fails_returns_or_gains_too_little_is_passed_over():
    plan, best = Plan(), end(1.0)
    trials = [trial(9, "fails"), trial(8, None), trial(7, 1.5), trial(6, 5.0)]
    assert better(plan, None, best, trials) is best
    assert plan.ends == ["fails", None, 1.5]
    assert len(plan.ends) == FOLLOWED
    assert height(better(plan, None, best, trials[1:])) == 5.0


def test_what_has_no_hope_is_not_followed():
    plan, best = Plan(), end(1.0)
    assert better(plan, None, best, [trial(1.5, 9.0)]) is best
    assert plan.ends == []


def test_other_errors_are_told():
    class Broken(Plan):
        def followed(self, em, best, trial):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        better(Broken(), None, end(1.0), [trial(9, 9.0)])
