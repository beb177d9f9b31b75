"""Accelerators on quadratic problems, of which everything is known, and on mixtures."""

from dataclasses import dataclass

import numpy as np
import pytest

from skem.core.accelerate import ACCELERATORS, LBFGS, Plain
from skem.core.em import EMMap
from skem.core.initialize import INITIALIZERS, initialize
from skem.core.solve import solve

FAST = sorted(set(ACCELERATORS) - {"em"})


@dataclass(frozen=True)
class Quadratic:
    """f(x) = −½ xᵀHx with the plain step −Hx: rates of 1 − h, as EM near its limit."""

    h: np.ndarray
    x: np.ndarray

    @property
    def parameters(self):
        return self.x

    @property
    def objective(self):
        return -0.5 * float(self.x @ (self.h * self.x))

    loglik = objective

    @property
    def successor(self):
        return self.x - self.h * self.x


@dataclass(frozen=True)
class Shift:
    """A chart of the plane: coordinates about a base."""

    base: np.ndarray

    def pack(self, x):
        return x - self.base

    def unpack(self, vector):
        return self.base + vector

    def farthest(self, step):
        return 0.0


def follow(name, h, **options):
    options = {"tol": 1e-8, "max_iter": 5000} | options
    start = np.ones(len(h))
    return solve(lambda x: Quadratic(h, x), start, ACCELERATORS[name](Shift), **options)


@pytest.mark.parametrize("name", FAST)
def test_slow_quadratic_takes_a_fraction_of_the_passes(name):
    h = np.array([1.0, 0.5, 0.1, 0.01, 0.002])
    plain, fast = follow("em", h), follow(name, h)
    assert fast.converged
    assert fast.evaluation.objective > -1e-6
    assert fast.n_iter < 0.2 * plain.n_iter


@pytest.mark.parametrize("name", sorted(ACCELERATORS))
def test_estimate_of_what_is_left_is_honest(name):
    solution = follow(name, np.array([0.9, 0.3, 0.02]), tol=0.01)
    assert solution.converged
    assert -solution.evaluation.objective < 0.02


@pytest.mark.parametrize("name", sorted(ACCELERATORS))
def test_a_fixed_point_to_start_from_is_the_end(name):
    solution = solve(
        lambda x: Quadratic(np.array([0.5, 0.1]), x),
        np.zeros(2),
        ACCELERATORS[name](Shift),
        tol=0.01,
        max_iter=50,
    )
    assert solution.converged
    assert solution.n_iter <= 8
    assert solution.evaluation.objective == 0


def test_rejected_proposals_are_not_kept():
    """A chart that overshoots thirtyfold: every proposal falls."""

    class Overshooting(Shift):
        def unpack(self, vector):
            return self.base + 30 * vector

    h = np.array([0.5, 0.05])
    solution = solve(
        lambda x: Quadratic(h, x),
        np.ones(2),
        LBFGS(Overshooting),
        tol=0,
        max_iter=60,
    )
    assert (np.diff(solution.values) >= 0).all()
    assert solution.values[-1] > solution.values[5]


def test_curvature_of_a_smaller_problem_is_followed():
    h = np.geomspace(0.004, 1, 8)
    small = follow("lbfgs", h, tol=1e-6)
    alone = follow("lbfgs", h, tol=1e-6)
    heir = LBFGS(Shift)
    heir.follow(small.accelerator)
    start = np.full(8, 0.1)
    inherited = solve(lambda x: Quadratic(h, x), start, heir, tol=1e-6, max_iter=500)
    assert inherited.converged
    assert inherited.evaluation.objective > -1e-4
    assert inherited.n_iter < alone.n_iter


def test_curvature_of_plain_steps_is_nothing_to_follow():
    heir = LBFGS(Shift)
    heir.follow(Plain(Shift))
    solution = solve(
        lambda x: Quadratic(np.array([0.5]), x), np.ones(1), heir, tol=1e-6, max_iter=99
    )
    assert solution.converged


@pytest.fixture
def problem(structure, make_blocks, rng):
    means = np.array([[0.0, 0.0], [2.0, 1.0], [0.0, 2.5]])
    X = means[rng.integers(3, size=600)] + rng.normal(size=(600, 2))
    em = EMMap.prepare(make_blocks(X), structure, 3, "auto")
    start = initialize(em, INITIALIZERS["kmeans"], 3, np.random.RandomState(0))
    return em, start


@pytest.mark.parametrize("name", FAST)
def test_mixtures_reach_an_optimum_no_worse_than_em_and_never_fall(problem, name):
    em, start = problem
    objectives = []
    options = {"tol": 1e-4, "max_iter": 20_000}
    plain = solve(em.evaluate, start, Plain(em.chart), **options)
    fast = solve(
        em.evaluate,
        start,
        ACCELERATORS[name](em.chart),
        callback=lambda _, evaluation, __: objectives.append(evaluation.objective),
        **options,
    )
    assert fast.converged
    assert fast.evaluation.objective > plain.evaluation.objective - 0.01
    # Plain steps are accepted unseen, and may fall by rounding.
    assert np.diff(objectives).min() > -1e-9
    assert len(fast.values) == fast.n_iter
    assert fast.n_iter < max(plain.n_iter, 30)
