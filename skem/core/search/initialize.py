"""Starts of EM: seed labels on a subsample, for the same M-step as everyone else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import cycle, islice

import numpy as np
from scipy.spatial.distance import cdist

from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.storage import TINY
from skem.core.mixture.em import EMMap
from skem.core.mixture.noise import clean
from skem.core.mixture.rows import Rows
from skem.core.mixture.seeds import Initializer, memberships

SEED_ROWS = 20_000
SEED_ROWS_PER_COMPONENT = 200
LABELS = 2**22
"""Responsibilities that are in memory together, at most."""


def initialize(
    em: EMMap, method: Initializer, n_components: int, rng: np.random.RandomState
) -> Parameters:
    """Seed by `method` on at most a subsample, then take one M-step."""
    rows = without_noise(em, subsample(em, n_components, rng), n_components, rng)
    (start,) = seeded(em, [method], n_components, rng, rows, strict=True)
    return em.admitted(start)


def seeded(
    em: EMMap,
    methods: Sequence[Initializer],
    n_components: int,
    rng: np.random.RandomState,
    rows: Rows,
    *,
    strict: bool = False,
) -> list[Parameters]:
    """Seed by each method on a subsample, then take one M-step.

    Those that have room in memory together take it together. Failures are left out,
    unless it is `strict`.
    """
    found: list[Parameters] = []
    most = max(1, LABELS // (n_components * len(rows.Z)))
    for first in range(0, len(methods), most):
        some = methods[first : first + most]
        views = islice(cycle(rows.seen), first, None)
        seeds = [
            _seed(view, each, n_components, rng, rows)
            for view, each in zip(views, some, strict=False)
        ]
        resp, noise = map(np.stack, zip(*seeds, strict=True))
        found += (start for _, start in of_rows(em, rows, resp, noise, strict=strict))
    return found


def of_rows(
    em: EMMap,
    rows: Rows,
    resp: np.ndarray,
    noise: np.ndarray | float = 0.0,
    *,
    strict: bool = False,
) -> Iterator[tuple[int, Parameters]]:
    """Do what `started` does, of rows with responsibilities (M, K, n)."""
    quick = em.labelled(rows, resp)
    if quick is None:
        stack = replace(rows.labelled(em, resp), noise=noise)
        yield from started(em, stack, strict=strict)
    else:
        yield from ((i, quick[i]) for i in range(len(resp)))


def started(
    em: EMMap, stack: Statistics, *, strict: bool = False
) -> Iterator[tuple[int, Parameters]]:
    """Take the M-step of each of a stack, for starts, and yield them with their places.

    Failures are left out, unless it is `strict`.
    """
    places, found = started_together(em, stack, strict=strict)
    yield from ((place, found[i]) for i, place in enumerate(places))


def started_together(
    em: EMMap, stack: Statistics, *, strict: bool = False
) -> tuple[list[int], Parameters | list[Parameters]]:
    """Do the same, and return the places, and the starts as a stack if none failed."""
    places = range(len(stack.sums))
    try:
        return [*places], em.started(stack)
    except IllDefinedCovarianceError:
        if strict:
            raise
    found: dict[int, Parameters] = {}
    for i in places:
        with suppress(IllDefinedCovarianceError):
            found[i] = em.started(stack[i])
    return [*found], [*found.values()]


def _seed(
    near: np.ndarray,
    method: Initializer,
    n_components: int,
    rng: np.random.RandomState,
    rows: Rows,
) -> tuple[np.ndarray, float]:
    """Weighted responsibilities by `method` on a subsample, (K, n), and noise's.

    Distances are between the rows of `near`.
    """
    Z, weight, kept = rows.Z, rows.weight, rows.kept
    # Every second time, on the average, noise begins with none of the rows.
    if kept is not None and rng.uniform() < 0.5:
        kept = None
    if kept is None:
        resp = method(near, weight, n_components, rng)
    else:
        # What is noise has no label.
        resp = np.zeros((n_components, len(Z)))
        resp[:, kept] = method(near[kept], weight[kept], n_components, rng)
    return resp * weight, 0.0 if kept is None else weight[~kept].sum()


def without_noise(
    em: EMMap, rows: Rows, n_components: int, rng: np.random.RandomState
) -> Rows:
    """Find the rows that are no noise, if there is noise and they are enough."""
    if em.background is None or rows.block.known is not None:
        return rows
    kept = clean(rows.Z, rng)
    enough = len(np.unique(rows.Z[kept], axis=0)) >= n_components
    return rows._replace(kept=kept) if enough else rows


def of_known(rows: Rows) -> Initializer:
    """Return a starting method that begins with the rows whose component is known.

    If there are some of each component, all others are left out. Else those go to the
    nearest of the means of the known and of rows chosen far from them. If there are no
    others, components without a label are empty.
    """
    known = rows.block.known
    assert known is not None

    def method(
        Z: np.ndarray,
        weight: np.ndarray,
        n_components: int,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        resp = memberships(known, n_components)
        sizes = resp @ weight
        found = sizes > 0
        if found.all():
            return resp
        seeds = resp @ (Z * weight[:, None]) / np.where(found, sizes, 1)[:, None]
        others = np.flatnonzero(known == -1)
        if not len(others):
            return resp
        for k in np.flatnonzero(~found):
            apart = np.ones(len(others))
            if found.any():
                apart = cdist(Z[others], seeds[found], "sqeuclidean").min(axis=1)
            apart = apart * weight[others] + TINY
            seeds[k] = Z[others[rng.choice(len(others), p=apart / apart.sum())]]
            found[k] = True
        nearest = cdist(Z[others], seeds, "sqeuclidean").argmin(axis=1)
        resp[nearest, others] = 1
        return resp

    return method


def subsample(em: EMMap, n_components: int, rng: np.random.RandomState) -> Rows:
    """Rows of positive weight, chosen by index."""
    most = max(SEED_ROWS, SEED_ROWS_PER_COMPONENT * n_components)
    return em.rows(most, rng)
