"""The search over starts."""

import numpy as np
import pytest

from skem.core import search as search_module
from skem.core.accelerate import LBFGS
from skem.core.em import EMMap
from skem.core.initialize import DIVERSE, INITIALIZERS, initialize
from skem.core.search import FINISHED, search
from skem.core.solve import solve

K = 6


def blobs(rng, n):
    angles = np.arange(K) * 2 * np.pi / K
    means = 5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return means[rng.integers(K, size=n)] + rng.normal(size=(n, 2))


def finish(em, start, earlier=None):
    accelerator = LBFGS(em.chart)
    if earlier is not None:
        accelerator.follow(earlier.accelerator)
    return solve(em.evaluate, start, accelerator, tol=0.01, max_iter=1000)


def solutions(em, seed=0):
    return list(search(em, DIVERSE, K, np.random.RandomState(seed), finish))


def objective(solution):
    return solution.evaluation.objective


def test_survivors_are_solutions_of_the_whole_problem(structure, make_blocks, rng):
    em = EMMap.prepare(make_blocks(blobs(rng, 500)), structure, K, "auto")
    found = solutions(em)
    assert len(found) == FINISHED
    assert all(solution.evaluation.em is em for solution in found)
    single = finish(
        em, initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(1))
    )
    assert max(map(objective, found)) > objective(single) - 0.1


def test_seed_decides(structure, make_blocks, rng):
    em = EMMap.prepare(make_blocks(blobs(rng, 300)), structure, K, "auto")
    first, again = solutions(em, seed=3), solutions(em, seed=3)
    assert [objective(s) for s in first] == [objective(s) for s in again]


def test_large_data_are_searched_on_subsamples(
    structure, make_blocks, rng, monkeypatch
):
    monkeypatch.setattr(search_module, "POOL_ROWS", 400)
    monkeypatch.setattr(search_module, "POOL_ROWS_PER_COMPONENT", 0)
    weight = rng.integers(0, 3, 8000)
    em = EMMap.prepare(make_blocks(blobs(rng, 8000), weight), structure, K, "auto")
    (found,) = solutions(em)
    assert found.converged
    assert found.evaluation.em is em
    direct = finish(
        em, initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    )
    assert objective(found) > objective(direct) - 1.0


@pytest.mark.parametrize("weighted", [False, True])
def test_subsample_keeps_the_problem(structure, make_blocks, rng, weighted):
    X = blobs(rng, 2000)
    weight = rng.integers(0, 3, 2000) if weighted else None
    em = EMMap.prepare(make_blocks(X, weight), structure, K, "auto")
    part = em.restricted(500, np.random.RandomState(0))
    assert part.blocks.n_samples == 500
    start = initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    share = part.blocks.total_weight / em.blocks.total_weight
    whole, some = em.evaluate(start), part.evaluate(start)
    # Means of 500 draws of a quantity of order one.
    mean = whole.loglik / em.blocks.total_weight
    assert some.loglik / part.blocks.total_weight == pytest.approx(mean, abs=0.2)
    penalty = whole.loglik - whole.objective
    assert some.loglik - some.objective == pytest.approx(share * penalty)
    if weighted:
        assert (part.blocks.weight > 0).all()
