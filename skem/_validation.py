"""Checks of what users pass in, in scikit-learn's wording."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import _check_sample_weight, validate_data

from skem.core.covariance import Structure

FLOATS = [np.float64, np.float32]


def check_data(estimator: Any, X: Any, *, reset: bool) -> np.ndarray:
    """Validate X of shape (n_samples, n_features).

    Integer and boolean arrays stay as they are: blocks of them are converted when
    they are computed, so that no second array is needed.
    """
    keep = isinstance(X, np.ndarray) and X.dtype.kind in "biu"
    return validate_data(
        estimator,
        X,
        reset=reset,
        dtype=None if keep else FLOATS,
        ensure_min_samples=2 if reset else 1,
    )


def computing_dtype(X: np.ndarray) -> np.dtype:
    """Return the type that blocks of X are computed in, and outputs have."""
    return np.dtype(np.float32 if X.dtype == np.float32 else np.float64)


def check_sample_weight(sample_weight: Any, X: np.ndarray) -> np.ndarray | None:
    """Validate non-negative weights of shape (n_samples,), not all zero."""
    if sample_weight is None:
        return None
    # The keyword for the sign check was renamed between supported versions.
    sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (sample_weight < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`.")
    if not sample_weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return sample_weight


def check_n_samples(
    X: np.ndarray, sample_weight: np.ndarray | None, n_components: int
) -> None:
    """Require as many samples of positive weight as components."""
    n_samples = len(X) if sample_weight is None else np.count_nonzero(sample_weight)
    if n_samples < n_components:
        raise ValueError(
            "Expected n_samples >= n_components "
            f"but got n_components = {n_components}, n_samples = {n_samples}"
        )


def _check_shape(values: np.ndarray, shape: tuple[int, ...], name: str) -> None:
    if values.shape != shape:
        raise ValueError(
            f"The parameter '{name}' should have the shape of {shape}, "
            f"but got {values.shape}"
        )


def check_weights(weights: Any, n_components: int) -> np.ndarray:
    """Validate component weights: in [0, 1], summing to one."""
    weights = check_array(weights, dtype=FLOATS, ensure_2d=False)
    _check_shape(weights, (n_components,), "weights")
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError(
            "The parameter 'weights' should be in the range [0, 1], "
            f"but got max value {weights.max():.5f}, min value {weights.min():.5f}"
        )
    atol = 1e-6 if weights.dtype == np.float32 else 1e-8
    if abs(1 - weights.sum()) > atol:
        raise ValueError(
            "The parameter 'weights' should be normalized, "
            f"but got sum(weights) = {weights.sum():.5f}"
        )
    return weights.astype(float)


def check_means(means: Any, n_components: int, n_features: int) -> np.ndarray:
    """Validate component means of shape (K, d)."""
    means = check_array(means, dtype=FLOATS, ensure_2d=False)
    _check_shape(means, (n_components, n_features), "means")
    return means.astype(float)


def check_matrices(
    values: Any,
    structure: Structure,
    n_components: int,
    n_features: int,
    kind: str = "precision",
) -> np.ndarray:
    """Validate covariances or precisions: shape, symmetry, positive definiteness."""
    shape = structure.shape(n_components, n_features)
    values = check_array(
        values, dtype=FLOATS, ensure_2d=False, allow_nd=len(shape) == 3
    )
    _check_shape(values, shape, f"{structure.name} {kind}")
    values = values.astype(float)
    if not structure.matrices:
        if (values <= 0).any():
            raise ValueError(f"'{structure.name} {kind}' should be positive")
    elif not (
        np.allclose(values, np.swapaxes(values, -1, -2))
        and (np.linalg.eigvalsh(values) > 0).all()
    ):
        raise ValueError(
            f"'{structure.name} {kind}' should be symmetric, positive-definite"
        )
    return values
