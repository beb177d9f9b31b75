"""Accelerators on quadratic problems, of which everything is known, and on mixtures."""

import math
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pytest

from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import initialize
from skem.core.solve.lbfgs import LBFGS, Memory
from skem.core.solve.loop import solve
from skem.core.solve.plain import Plain
from skem.core.solve.registry import ACCELERATORS

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
def test_steps_do_not_depend_on_the_size_of_the_problem(name):
    """As of weights of 1e200; curvature was not learned, for products of squares."""
    h = np.array([1.0, 0.3, 0.05, 0.01])

    def after(steps, size):
        found = solve(
            lambda x: Quadratic(h, x),
            np.full(4, size),
            ACCELERATORS[name](Shift),
            tol=0,
            max_iter=steps,
        )
        return found.evaluation.x / size

    for steps in (4, 6, 8):
        # Powers of two, so that steps are the same to the bit.
        np.testing.assert_array_equal(after(steps, 2.0**330), after(steps, 1.0))


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


def curved(rng, stiffness, n_pairs, n=6, size=7):
    """A memory of random steps on a quadratic, and their pairs."""
    factor = rng.normal(size=(n, n))
    hessian = stiffness * (np.eye(n) + factor @ factor.T)
    steps = rng.normal(size=(n_pairs, n))
    memory = Memory(size)
    for s in steps:
        memory.add(s, hessian @ s)
    return memory, [(s, hessian @ s) for s in steps][-size:]


def dense_bfgs(pairs, gamma, n=6):
    """γI updated pair by pair to VᵀHV + ssᵀ/(s·y), with V = I − ysᵀ/(s·y)."""
    H = gamma * np.eye(n)
    for s, y in pairs:
        V = np.eye(n) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    return H


# Soft: the usual scaling is above 1, as for EM's slow directions. Stiff: below.
@pytest.mark.parametrize("stiffness", [0.01, 10.0])
# Of nine pairs the first two are forgotten.
@pytest.mark.parametrize("n_pairs", [1, 2, 5, 7, 9])
def test_quasi_newton_steps_are_those_of_dense_bfgs(rng, stiffness, n_pairs):
    memory, pairs = curved(rng, stiffness, n_pairs)
    s, y = pairs[-1]
    scaling = (s @ y) / (y @ y)
    assert (scaling > 1) == (stiffness < 1)
    H = dense_bfgs(pairs, math.sqrt(scaling) if scaling > 1 else 1.0)
    for r in rng.normal(size=(3, 6)):
        # Rounding of a product of up to nine updates of condition below 1e4.
        np.testing.assert_allclose(memory.apply(r), H @ r, rtol=1e-9, atol=1e-9)


def test_the_last_step_is_explained_by_its_change_of_the_gradient(rng):
    memory, pairs = curved(rng, 0.1, 4)
    s, y = pairs[-1]
    # H y = s, but for rounding in a few products of numbers of order ten.
    np.testing.assert_allclose(memory.apply(y), s, rtol=1e-10, atol=1e-10)


def test_plain_steps_tell_the_curvature_of_a_line():
    """After two of them, which make little way, the third goes to the maximum."""
    solution = follow("lbfgs", np.array([0.01]), tol=0, max_iter=3)
    # Differences of 0.01 of numbers of order one leave x within 1e-14 of zero.
    assert solution.evaluation.objective == pytest.approx(0, abs=1e-26)


def test_loops_of_one_step_converge_too():
    """Each of them continues the progress of the one before."""
    h, progress, n_loops = np.array([0.5]), None, 0
    x, converged = np.ones(1), False
    while not converged:
        solution = solve(
            lambda x: Quadratic(h, x), x, LBFGS(Shift, progress), tol=1e-6, max_iter=1
        )
        x, progress = solution.evaluation.parameters, solution.accelerator.progress
        converged, n_loops = solution.converged, n_loops + 1
        assert n_loops < 30
    # f falls by 4 a step, from 1/4, and what is left is no more than was asked for.
    assert 0 < -solution.evaluation.objective <= 1e-6


def test_a_fall_by_the_rounding_of_float32_is_no_progress():
    """Then three steps without progress are three, and not four."""
    values = iter([100.0, 100.0 - 3e-4, *(100.0 - 3e-4,) * 9])

    @dataclass(frozen=True)
    class Rounded(Quadratic):
        value: float

        @property
        def objective(self):
            return self.value

    solution = solve(
        lambda x: Rounded(np.ones(1), x, next(values)),
        np.zeros(1),
        LBFGS(Shift),
        tol=1e-6,
        max_iter=9,
    )
    assert solution.converged
    assert solution.n_iter == 3


@pytest.mark.parametrize(("length", "steps"), [(0.1, 5), (0.6, 3)])
def test_what_is_left_is_the_largest_of_the_last_steps(length, steps, monkeypatch):
    """Of a line all the curvature is known, and the chart allows parts of a step only.

    A step that halves the gradient shows that; without one, more of them are asked.
    """

    class Short(Shift):
        def farthest(self, step):
            return LBFGS.longest / length

    # What gains tell has tests of its own.
    monkeypatch.setattr(LBFGS, "_still_coming", lambda _: 0.0)
    h, left, estimates = np.array([0.02]), [], []

    def record(_, evaluation, accelerator):
        left.append(-evaluation.objective)
        estimates.append(accelerator.remaining)

    solve(
        lambda x: Quadratic(h, x),
        np.full(1, 50.0),
        LBFGS(Short),
        tol=0,
        max_iter=9,
        callback=record,
    )
    first = LBFGS.warm_up + steps - 1
    assert np.isinf(estimates[:first]).all()
    # ½ r·H r, of numbers of order one.
    np.testing.assert_allclose(estimates[first:], left[first - steps + 1 : 1 - steps])


@dataclass(frozen=True)
class Slope:
    """A slope without end: every plain step gains the same."""

    gain: float
    x: np.ndarray

    @property
    def parameters(self):
        return self.x

    @property
    def objective(self):
        return self.gain * float(self.x.sum())

    loglik = objective

    @property
    def successor(self):
        return self.x + 1


@pytest.mark.parametrize(
    ("gain", "expected"),
    [(10.0, [2, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8]), (0.1, [2] + 10 * [1])],
    ids=["far", "near"],
)
def test_rejections_far_from_a_maximum_are_followed_by_more_plain_steps(gain, expected):
    """One more each time, up to a limit; near a maximum a single one."""

    class Backwards(Shift):
        def unpack(self, vector):
            return self.base - vector

    kinds = []
    solve(
        lambda x: Slope(gain, x),
        np.zeros(1),
        LBFGS(Backwards),
        tol=0,
        max_iter=sum(expected) + len(expected),
        callback=lambda _, __, accelerator: kinds.append(accelerator.step),
    )
    runs = [(kind, len(list(run))) for kind, run in groupby(kinds)]
    assert runs[::2] == [("em", length) for length in expected]
    assert runs[1::2] == [("l-bfgs", 1)] * len(expected)


@pytest.fixture
def problem(structure, make_blocks, rng):
    means = np.array([[0.0, 0.0], [2.0, 1.0], [0.0, 2.5]])
    X = means[rng.integers(3, size=600)] + rng.normal(size=(600, 2))
    em = EMMap.prepare(make_blocks(X), structure, 3, "auto")
    start = initialize(em, INITIALIZERS["kmeans"], 3, np.random.RandomState(0))
    return em, start


@pytest.mark.each_value
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
