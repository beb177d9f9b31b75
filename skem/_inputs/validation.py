"""Checks of what users pass in, in scikit-learn's wording."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from numbers import Integral, Number, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import assert_all_finite, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skem._inputs.array_api import as_numpy
from skem._inputs.columns import check_kinds, explained
from skem._inputs.frames import (
    arrow_array,
    check_container,
    is_arrow_table,
    with_names,
)
from skem._inputs.gaps import is_missing, whole, with_gaps
from skem._inputs.sklearn import Interval
from skem.core.gaussian.covariance import STRUCTURES, Structure

FLOATS = [np.float64, np.float32]
N_JOBS = [
    Interval(Integral, 1, None, closed="left"),
    Interval(Integral, None, -1, closed="right"),
    None,
]
"""What the parameter may be: joblib has no meaning for 0."""
TOTAL_WEIGHTS = 1e-300, 1e300
"""Least and largest sum of weights: room for products with what is standardised."""
CHECKED = 2**20
"""Values that are checked at once, in temporary arrays of their size."""


def _parts(values: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive rows, `CHECKED` values at a time, in native byte order."""
    rows = max(1, CHECKED // max(1, math.prod(values.shape[1:])))
    native = values.dtype.newbyteorder("=")
    for start in range(0, len(values), rows):
        yield values[start : start + rows].astype(native, copy=False)


def _read_in_place(values: Any) -> bool:
    """Whether blocks can be converted when they are computed, and no copy is needed.

    So it is for real numbers that float64 can hold, in any byte order.
    """
    return (
        isinstance(values, np.ndarray)
        and values.dtype.kind in "biuf"
        and values.dtype.itemsize <= 8
    )


def _is_valid(estimator: Any, X: Any, min_samples: int) -> bool:
    """Whether scikit-learn's validation would return X, and say nothing.

    An array has no names, and if there are none to compare with and the shape is right
    there is nothing else to check. It takes longer than a row does.
    """
    return (
        type(X) is np.ndarray
        and _read_in_place(X)
        and X.ndim == 2
        and len(X) >= min_samples
        and X.shape[1] == getattr(estimator, "n_features_in_", 0)
        and not hasattr(estimator, "feature_names_in_")
    )


def validate_rows(estimator: Any, X: Any, **options: Any) -> Any:
    """Validate X as scikit-learn does; errors name the column that is no numbers."""
    check_container(X)
    check_kinds(X)
    try:
        return with_gaps(partial(_validated, estimator), X, **options)
    except (TypeError, ValueError) as error:
        of_types = (
            "could not convert",
            "Cannot cast",
            "Complex data",
            "setting an array element",
        )
        if isinstance(error, ValueError) and not str(error).startswith(of_types):
            raise
        told = explained(X, error)
        if told is error:
            raise
        raise told from None


def _validated(estimator: Any, X: Any, *, reset: bool, **options: Any) -> np.ndarray:
    if not is_arrow_table(X):
        return validate_data(estimator, X, reset=reset, **options)
    # The names alone; of its values, NumPy would not read all as they are.
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return check_array(arrow_array(X), estimator=estimator, input_name="X", **options)


class Data(NamedTuple):
    """A validated array, and whether it has missing values, NaN."""

    X: np.ndarray
    incomplete: bool


def check_data(
    estimator: Any, X: Any, *, reset: bool, min_samples: int | None = None
) -> Data:
    """Validate X of shape (n_samples, n_features), without a copy if it is an array.

    Unless told otherwise, a fit (``reset=True``) requires two samples.
    """
    if min_samples is None:
        min_samples = 2 if reset else 1
    X = as_numpy(with_names(X))
    if reset or not _is_valid(estimator, X, min_samples):
        X = validate_rows(
            estimator,
            X,
            reset=reset,
            dtype=None if _read_in_place(X) else FLOATS,
            ensure_all_finite=False,
            ensure_min_samples=min_samples,
        )
    missing = [_checked(estimator, part) for part in _parts(X)]
    return Data(X, any(missing))


def _checked(estimator: Any, X: np.ndarray) -> bool:
    """Whether there is a NaN; the error of infinite values names the column."""
    try:
        return has_missing(X, type(estimator).__name__)
    except ValueError as error:
        column: Any = int(np.isinf(X).any(axis=0).argmax())
        if hasattr(estimator, "feature_names_in_"):
            column = str(estimator.feature_names_in_[column])
        told = str(error).rstrip(".")
        raise ValueError(f"{told}, in column {column!r}.") from None


def has_missing(X: np.ndarray, estimator_name: str) -> bool:
    """Whether there is a NaN; infinite values are scikit-learn's error."""
    # The check adds up all values first.
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            assert_all_finite(X)
        except ValueError:
            assert_all_finite(
                X, allow_nan=True, estimator_name=estimator_name, input_name="X"
            )
            return True
    return False


def without_empty_rows(X: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
    """Give rows of incomplete data that have no value the weight zero.

    They have the density one, whatever the mixture: so they change nothing. Without
    such rows, the weights are returned as they are.
    """
    filled = np.concatenate([~np.isnan(part).all(axis=1) for part in _parts(X)])
    if filled.all():
        return weight
    return filled if weight is None else np.where(filled, weight, 0)


def check_n_filled(n_filled: int, data: str = "X") -> None:
    """Require that some row, of positive weight, has a value."""
    if n_filled == 0:
        raise ValueError(
            f"Every row of {data} is without a value: all of them are NaN."
        )


def check_n_values(n_values: np.ndarray, names: Any = None, data: str = "X") -> None:
    """Require that every feature has a value in some row, of positive weight."""
    lacking = np.flatnonzero(n_values == 0)
    if len(lacking):
        feature = int(lacking[0])
        name = f"{feature}" if names is None else f"{feature} ({str(names[feature])!r})"
        raise ValueError(
            f"Feature {name} of {data} has no value at all: it is NaN in every row. "
            "Leave it out."
        )


def kind_of(value: Any) -> str:
    """Return the full name of a type, as those of scikit-learn may be called alike."""
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    return name.removeprefix("builtins.")


def check_mixture(
    estimator: Any,
    kind: str,
    needed: Sequence[str],
    *,
    other: tuple[str, str] = ("", ""),
) -> Any:
    """Return a fitted mixture that has some attributes, or the one of a search.

    `other` is an attribute by which another kind of mixture is known, and what to say
    of it.
    """
    check_is_fitted(estimator)
    fitted = getattr(estimator, "best_estimator_", estimator)
    missing = [name for name in needed if not hasattr(fitted, name)]
    if missing:
        inside = (
            ("mixture_", "Take its `mixture_`."),
            ("steps", "Take its last step, and rows as those before transform them."),
        )
        told = [advice for name, advice in (other, *inside) if hasattr(fitted, name)]
        said = (
            f"Expected a fitted {kind}, but got {type(fitted).__name__}, which has no "
            f"attribute {missing[0]!r}."
        )
        raise TypeError(" ".join([said, *told[:1]]))
    return fitted


def check_incomplete(
    estimator: Any, X: Any, *, reset: bool, min_samples: int = 1
) -> np.ndarray:
    """Validate X, in which NaN, pandas' NA or what is masked is a missing value."""
    X = as_numpy(with_names(X))
    if reset or not _is_valid(estimator, X, min_samples) or X.dtype not in FLOATS:
        X = validate_rows(
            estimator,
            X,
            reset=reset,
            dtype=FLOATS,
            ensure_all_finite=False,
            ensure_min_samples=min_samples,
        )
    _checked(estimator, X)
    return X


def computing_dtype(X: np.ndarray) -> np.dtype:
    """Return the type that blocks of X are computed in, and outputs have."""
    single = X.dtype.newbyteorder("=") == np.float32
    return np.dtype(np.float32 if single else np.float64)


def check_sample_weight(sample_weight: Any, X: np.ndarray) -> np.ndarray | None:
    """Validate non-negative weights of shape (n_samples,), not all zero.

    An array is returned as it is: its blocks are converted when they are computed.
    One number for all samples takes no memory of their number.
    """
    if sample_weight is None:
        return None
    sample_weight, total = check_each_weight(sample_weight, X)
    check_total_weight(total)
    return sample_weight


def check_each_weight(sample_weight: Any, X: np.ndarray) -> tuple[np.ndarray, float]:
    """Validate non-negative weights of shape (n_samples,), and add them up."""
    sample_weight = as_numpy(whole(sample_weight, "sample_weight"))
    if is_scalar(sample_weight):
        value = np.asarray(check_scalar_weight(sample_weight))
        sample_weight = np.broadcast_to(value, len(X))
    sample_weight = check_array(
        sample_weight,
        dtype=None if _read_in_place(sample_weight) else np.float64,
        ensure_2d=False,
        ensure_all_finite=False,
        input_name="sample_weight",
    )
    if sample_weight.ndim != 1:
        raise ValueError(
            "Sample weights must be 1D array or scalar, got "
            f"{sample_weight.ndim}D array. Expected either a scalar value or a 1D "
            f"array of length {len(X)}."
        )
    if len(sample_weight) != len(X):
        raise ValueError(
            f"sample_weight.shape == {sample_weight.shape}, expected {(len(X),)}!"
        )
    total = 0.0
    for part in _parts(sample_weight):
        with np.errstate(over="ignore"):
            assert_all_finite(part, input_name="sample_weight")
            if (part < 0).any():
                raise ValueError("Negative values in data passed to `sample_weight`.")
            total += float(part.sum(dtype=float))
    return sample_weight, total


def weight_of_each(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Return validated weights, one for each sample; ones if there are none."""
    weight = check_sample_weight(sample_weight, np.empty((n_samples, 0)))
    return np.ones(n_samples) if weight is None else np.array(weight, dtype=float)


def check_of_rows(X: Any, sample_weight: Any, labels: Any) -> None:
    """Refuse weights and labels of no rows."""
    if X is None and sample_weight is not None:
        raise ValueError("`sample_weight` are weights of X, which is None.")
    if X is None and labels is not None:
        raise ValueError("`labels` are components of rows of X, which is None.")


def is_scalar(sample_weight: Any) -> bool:
    """Whether there is one weight for all samples, or text in its place."""
    return isinstance(sample_weight, Number | str | bytes) or (
        isinstance(sample_weight, np.ndarray) and sample_weight.ndim == 0
    )


def check_scalar_weight(sample_weight: Any) -> float:
    """Require a real number, or an array of one without dimensions."""
    if not (
        isinstance(sample_weight, Real)
        or np.asarray(sample_weight).dtype.kind in "biuf"
    ):
        raise ValueError(
            "Sample weights must be 1D array or scalar, of real numbers, got "
            f"{sample_weight!r}."
        )
    return float(sample_weight)


def check_total_weight(total: float) -> None:
    """Require a sum of non-negative weights that products of it can be taken of."""
    if total == 0:
        raise ValueError("Sample weights must contain at least one non-zero number.")
    low, high = TOTAL_WEIGHTS
    if not low <= total <= high:
        raise ValueError(
            f"Sample weights add up to {total:.3g}, expected a number from {low:g} to "
            f"{high:g}. Multiply them by one factor."
        )


def check_labels(
    labels: Any, n_samples: int, n_components: int, weight: np.ndarray | None = None
) -> np.ndarray | None:
    """Validate known components of shape (n_samples,), −1 where they are not known.

    Nothing is known of rows without weight. None if nothing is known of any.
    """
    if labels is None:
        return None
    labels = as_labels(labels)
    if labels.shape != (n_samples,):
        raise ValueError(f"labels.shape == {labels.shape}, expected {(n_samples,)}!")
    check_each_label(labels, n_components)
    known = labels.astype(np.intp)
    if weight is not None:
        known[weight == 0] = -1
    return known if (known >= 0).any() else None


def check_groups(
    groups: Any, n_samples: int, weight: np.ndarray | None = None
) -> np.ndarray | None:
    """Return numbers of groups, from 0 on; −1 for rows without weight.

    They may be of any type that can be sorted. None if none are given.
    """
    if groups is None:
        return None
    if isinstance(groups, list | tuple):
        # NaN among strings would become one of them.
        groups = np.array(groups, dtype=object)
    found = _each_label(groups, "groups")
    if found.shape != (n_samples,):
        raise ValueError(f"groups.shape == {found.shape}, expected {(n_samples,)}!")
    objects = found.dtype == object
    if any(map(is_missing, found)) if objects else (found != found).any():
        raise ValueError("Input groups contains missing values.")
    used = np.ones(n_samples, bool) if weight is None else weight > 0
    numbers = np.full(n_samples, -1)
    try:
        distinct, numbers[used] = np.unique(found[used], return_inverse=True)
    except TypeError as error:
        raise ValueError("The groups should be all strings, or all numbers.") from error
    if len(distinct) < 2:
        raise ValueError(
            "The groups should be at least two, but all rows of positive weight are "
            "in one."
        )
    return numbers


def _each_label(labels: Any, name: str) -> np.ndarray:
    """Return an array of any type."""
    return check_array(
        as_numpy(whole(labels, name)),
        dtype=None,
        ensure_2d=False,
        ensure_all_finite=False,
        ensure_min_samples=0,
        input_name=name,
    )


def as_labels(labels: Any) -> np.ndarray:
    """Return what may be labels as an array of any type; integers, if objects are."""
    found = _each_label(labels, "labels")
    if found.dtype == object and all(
        isinstance(label, Integral) and not isinstance(label, bool)
        for label in found.flat
    ):
        return found.astype(np.intp)
    return found


def check_each_label(labels: np.ndarray, n_components: int) -> None:
    """Require integers from −1 to the number of components, less one."""
    if labels.dtype.kind not in "iuf" or (labels != np.round(labels)).any():
        raise ValueError(
            "The labels should be integers, indices of components or -1 where the "
            f"component is not known, got {labels.dtype} values."
        )
    if len(labels) and (labels.min() < -1 or labels.max() >= n_components):
        raise ValueError(
            f"The labels should be in the range [-1, {n_components - 1}] for "
            f"n_components={n_components}, but got max value {labels.max()}, min value "
            f"{labels.min()}"
        )


def seed_of(estimator: Any, random_state: Any) -> Any:
    """Return the seed of a call, or the estimator's if it has none."""
    return estimator.random_state if random_state is None else random_state


def rng_of(estimator: Any, random_state: Any) -> np.random.RandomState:
    """Return the random numbers of a call, or the estimator's."""
    return check_random_state(seed_of(estimator, random_state))


def check_n_samples(n_samples: int, n_components: int) -> None:
    """Require as many samples of positive weight as components."""
    if n_samples < n_components:
        raise ValueError(
            "Expected n_samples >= n_components "
            f"but got n_components = {n_components}, n_samples = {n_samples}"
        )


def _check_shape(
    values: np.ndarray, shape: tuple[int, ...], name: str, remedy: str = ""
) -> None:
    if values.shape != shape:
        raise ValueError(
            f"The parameter '{name}' should have the shape of {shape}, "
            f"but got {values.shape}{remedy}"
        )


def check_weights(
    weights: Any, n_components: int, *, noise: bool = False
) -> np.ndarray:
    """Validate component weights: in [0, 1], summing to one, or to less with noise."""
    weights = check_array(as_numpy(weights), dtype=FLOATS, ensure_2d=False)
    _check_shape(weights, (n_components,), "weights")
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError(
            "The parameter 'weights' should be in the range [0, 1], "
            f"but got max value {weights.max():.5f}, min value {weights.min():.5f}"
        )
    atol = 1e-6 if weights.dtype == np.float32 else 1e-8
    left = 1 - weights.sum()
    if abs(left) > atol and not (noise and 0 < left <= 1):
        raise ValueError(
            "The parameter 'weights' should be normalized, "
            f"but got sum(weights) = {weights.sum():.5f}"
        )
    return weights.astype(float)


def check_means(means: Any, n_components: int, n_features: int) -> np.ndarray:
    """Validate component means of shape (K, d)."""
    means = check_array(as_numpy(means), dtype=FLOATS, ensure_2d=False)
    _check_shape(means, (n_components, n_features), "means")
    return means.astype(float)


def _positive_definite(matrices: np.ndarray) -> bool:
    """Whether all are symmetric and positive definite, in whatever units."""
    diagonals = np.einsum("...ii->...i", matrices)
    if not (diagonals > 0).all():
        return False
    units = np.sqrt(diagonals)
    scaled = matrices / units[..., :, None] / units[..., None, :]
    return bool(
        np.allclose(scaled, np.swapaxes(scaled, -1, -2))
        and (np.linalg.eigvalsh(scaled) > 0).all()
    )


def check_matrices(
    values: Any,
    structure: Structure,
    n_components: int,
    n_features: int,
    kind: str = "precision",
) -> np.ndarray:
    """Validate covariances or precisions: shape, symmetry, positive definiteness."""
    shape = structure.shape(n_components, n_features)
    values = check_array(as_numpy(values), dtype=FLOATS, ensure_2d=False, allow_nd=True)
    others = [
        f"covariance_type={name!r}"
        for name, other in STRUCTURES.items()
        # Precisions are to get the words of scikit-learn.
        if kind == "covariance"
        and values.shape == other.shape(n_components, n_features)
    ]
    remedy = f": that is the shape of {' or '.join(others)}" if others else ""
    _check_shape(values, shape, f"{structure.name} {kind}", remedy)
    values = values.astype(float)
    if not structure.matrices:
        if (values <= 0).any():
            raise ValueError(f"'{structure.name} {kind}' should be positive")
    elif not _positive_definite(values):
        raise ValueError(
            f"'{structure.name} {kind}' should be symmetric, positive-definite"
        )
    return values


def check_mean_prior(mean: Any, n_features: int) -> np.ndarray:
    """Validate the prior of means, of shape (d,)."""
    mean = check_array(as_numpy(mean), dtype=FLOATS, ensure_2d=False)
    _check_shape(mean, (n_features,), "means")
    return mean.astype(float)


def check_covariance_prior(
    covariance: Any, structure: Structure, n_features: int
) -> np.ndarray:
    """Validate the prior of covariances: a covariance without a component axis."""
    shape = structure.shape(1, n_features)
    shape = shape if structure.shared else shape[1:]
    values = np.asarray(as_numpy(covariance))
    if values.ndim:
        values = check_array(values, dtype=FLOATS, ensure_2d=False)
    name = "covariance_prior"
    _check_shape(values, shape, f"{structure.name} {name}")
    each = values if structure.shared else values[None]
    check_matrices(each, structure, 1, n_features, name)
    return values.astype(float)
