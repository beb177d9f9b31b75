"""The directions that separate the components of a mixture."""

from __future__ import annotations

from typing import Any

import numpy as np

from skem._display.marginal import roots
from skem._inputs.array_api import numpy_of

SEPARATES = 1e-9
"""Variance between means, in units of that within components, from which a direction
separates them."""


def directions(estimator: Any, n_directions: int) -> np.ndarray:
    """Return V (d, p) with unit variance within components, Vᵀ W V = I.

    First the eigenvectors of B v = λ W v, with B = Σ w_k (μ_k − μ)(μ_k − μ)ᵀ and
    W = Σ w_k Σ_k: the means are apart along them. Then, where these are no more, the
    ones along which covariances differ, by Σ w_k (S_k − I)² with S_k = W⁻½ Σ_k W⁻½, as
    MclustDR's second kernel has it (Scrucca 2010).
    """
    weights = numpy_of(estimator.weights_, float)
    means = numpy_of(estimator.means_, float)
    # In units of the features' own, of which the result is independent.
    factors = roots(estimator)
    units = np.sqrt(weights @ np.square(factors).sum(axis=2))
    factors = factors / units[:, None]
    offsets = (means - weights @ means) / units
    within = np.einsum("k,kde,kfe->df", weights, factors, factors)
    values, vectors = np.linalg.eigh(within)
    # W⁻½: rounding makes nothing out of what is nothing.
    values = np.maximum(values, values[-1] * len(values) * np.finfo(float).eps)
    white = vectors / np.sqrt(values)
    apart = np.sqrt(weights)[:, None] * (offsets @ white)
    _, lengths, rows = np.linalg.svd(apart)
    n_apart = np.count_nonzero(np.square(lengths) > SEPARATES)
    basis, others = rows[:n_apart].T, rows[n_apart:].T
    if n_apart < n_directions:
        shapes = np.einsum("de,kdf->kef", white, factors)
        shapes = shapes @ np.swapaxes(shapes, 1, 2) - np.eye(len(within))
        spread = np.einsum("k,kde,kef->df", weights, shapes, shapes)
        _, best = np.linalg.eigh(others.T @ spread @ others)
        basis = np.hstack([basis, others @ best[:, ::-1]])
    found = (white @ basis[:, :n_directions]) / units[:, None]
    largest = np.abs(found * units[:, None]).argmax(axis=0)
    return found * np.sign(found[largest, np.arange(found.shape[1])])
