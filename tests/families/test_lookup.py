"""Columns of categories: looked up in compiled code, by NumPy, and as one-hot rows."""

from dataclasses import replace

import numpy as np
import pytest

from skem import MixtureModel
from skem.core.blocks.threads import Workers
from skem.families.lookup import FEW_ROWS
from skem.families.point import Point
from skem.families.table_map import TableMap
from skem.kernels import native

K = 3


@pytest.fixture(params=[300, FEW_ROWS + 3])
def n(request):
    """Few rows, for which each column has a table; more, of which some share one."""
    return request.param


@pytest.fixture(params=[None, *native.runnable()], ids=lambda lib: lib and lib.level)
def library(request, monkeypatch):
    """Each of the libraries that this machine can run, and NumPy."""
    monkeypatch.setattr(native, "library", lambda: request.param)
    return request.param


def problem(n, d, gaps, labels, rng):
    X = np.column_stack([rng.integers(4, size=(n, 6)), rng.normal(size=n)])
    if gaps:
        X[rng.random(X.shape) < 0.2] = np.nan
    known = rng.integers(-1, K, n) if labels else None
    families = dict.fromkeys(range(6), "categorical")
    product = MixtureModel(families=families).fit(X[:, :d])._product
    values = np.ascontiguousarray(X[:, :d].T)
    return TableMap(product.of(values), values, rng.uniform(size=n), Workers(), known)


def points(em, rng):
    """One mixture, and a stack of four."""
    some = [em.labelled(rng.dirichlet(np.ones(K), em.n_samples).T) for _ in range(4)]
    return [some[0], Point.stacked(some)]


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("d", [6, 7])
def test_lookups_are_products_with_one_hot_rows(n, d, gaps, labels, library, rng):
    # Of six columns of categories there are products of proportions; with a column of
    # numbers there are logarithms, and counts alone are looked up.
    em = problem(n, d, gaps, labels, rng)
    assert len(em.product.lookups.each) == (6 if n < FEW_ROWS else 2)
    slow = replace(em, product=replace(em.product, lookups=None))
    for point in points(em, rng):
        ours, theirs = em.evaluate(point), slow.evaluate(point)
        np.testing.assert_allclose(ours.sums.loglik, theirs.sums.loglik, rtol=1e-12)
        np.testing.assert_allclose(ours.sums.linear, theirs.sums.linear, rtol=1e-11)
        np.testing.assert_allclose(ours.objective, theirs.objective, rtol=1e-12)


def test_labels_make_the_counts(n, library, rng):
    em = problem(n, 6, True, False, rng)
    labels = rng.integers(K, size=n)
    point = em.labelled((labels == np.arange(K)[:, None]).astype(float))
    for j, law in enumerate(point.laws):
        model, x = em.product.models[j], em.values[j]
        for k in range(K):
            own = [em.weight[(x == c) & (labels == k)].sum() for c in range(4)]
            raised = np.array(own) + model.epsilon * model.pooled
            expected = raised / raised.sum()
            np.testing.assert_allclose(law["proportions"][k], expected, rtol=1e-12)


def test_where_products_lack_digits_logarithms_are_taken(library):
    X = np.zeros((40, 240))
    X[::2] = 1
    model = MixtureModel(2, families="bernoulli", tol=1e3, random_state=0).fit(X)
    row = np.r_[np.zeros(120), np.ones(120)]
    values = np.column_stack([X.T, row])
    em = TableMap(model._product.of(values), values, np.ones(41), Workers())
    p = np.array([law["probability"] for law in model.parameters_.values()]).T
    joint = np.where(values.T[:, None] == 1, np.log(p), np.log(1 - p)).sum(axis=2)
    joint += np.log(model.weights_)
    assert joint[-1].max() < -460
    loglik = np.logaddexp(*joint.T).sum()
    assert em.evaluate(model._point).loglik == pytest.approx(loglik, rel=1e-12)


def test_a_mixture_of_a_stack_is_as_it_was(rng):
    em = problem(300, 6, False, False, rng)
    _, stack = points(em, rng)
    together = em.evaluate(stack)
    for i, point in enumerate(stack.mixtures):
        assert em.evaluate(point).objective == pytest.approx(together.objective[i])
        np.testing.assert_array_equal(stack[i].weights, point.weights)
    assert stack[np.array([2, 0])].stack == (2,)
    np.testing.assert_array_equal(
        stack[np.array([2, 0])].laws[1]["proportions"][K:],
        stack.mixtures[0].laws[1]["proportions"],
    )
