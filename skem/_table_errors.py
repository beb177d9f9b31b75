"""Standard errors of the mixture of a table, from the scores of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skem.families.point import Point
from skem.families.table_map import TableMap

STEP = 1e-2
"""Of coordinates in which the information of the data is about one."""
IDENTIFIED = 1e-8
"""Share of the largest information below which a direction has none."""
UNKNOWN = 1e-4
"""Share of a parameter's gradient in such directions from which it is not known."""


class TableStandardErrors(NamedTuple):
    """What `MixtureModel.standard_errors` returns.

    Attributes
    ----------
    weights : ndarray of shape (n_components,)
        Of `weights_`.

    parameters : dict of str to dict of str to ndarray
        Of `parameters_`.
    """

    weights: np.ndarray
    parameters: dict[str, dict[str, np.ndarray]]


def errors_of(
    em: TableMap,
    point: Point,
    weight: np.ndarray,
    outward: Callable[[Point], dict[Any, np.ndarray]],
) -> dict[Any, np.ndarray]:
    """Return the errors of what `outward` makes of a point, by the delta method.

    Scores and gradients are central differences in the chart about the point, in which
    its information is about the identity.
    """
    chart = em.chart(point)
    size = len(chart.pack(point))
    here = outward(point)
    scores = np.empty((size, em.n_samples))
    gradients = np.empty((size, sum(values.size for values in here.values())))
    for i in range(size):
        ends = []
        for sign in (1, -1):
            step = np.zeros(size)
            step[i] = sign * STEP
            there = chart.unpack(step)
            density = np.empty(em.n_samples)
            for rows, found, _ in em.posterior(there):
                density[rows] = found
            flat = np.concatenate([v.ravel() for v in outward(there).values()])
            ends.append((density, flat))
        scores[i] = (ends[0][0] - ends[1][0]) / (2 * STEP)
        gradients[i] = (ends[0][1] - ends[1][1]) / (2 * STEP)
    values, vectors = np.linalg.eigh((scores * weight) @ scores.T)
    known = values > IDENTIFIED * max(values.max(), 1.0)
    along = vectors.T @ gradients
    variances = (along[known] ** 2 / values[known, None]).sum(axis=0)
    lost = np.square(along[~known]).sum(axis=0)
    total = np.square(gradients).sum(axis=0)
    errors = np.where(lost > UNKNOWN**2 * total, np.nan, np.sqrt(variances))
    cuts = np.cumsum([values.size for values in here.values()])[:-1]
    parts = np.split(errors, cuts)
    return {
        key: part.reshape(values.shape)
        for (key, values), part in zip(here.items(), parts, strict=True)
    }


def unflattened(errors: dict[Any, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Return errors of (column, name) by column and then by name."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, values in errors.items():
        if key != "weights":
            found.setdefault(key[0], {})[key[1]] = values
    return found
