"""What scikit-learn's metrics lack: clusters by the names of the classes they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skem._inputs.sklearn import check_sample_weight

__all__ = ["class_error", "matched_labels"]


def matched_labels(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
) -> np.ndarray:
    """Name clusters by the classes that they agree with.

    Each cluster is matched with one class at most, such that as many rows as possible
    agree (Kuhn 1955 [1]_). Then scikit-learn's metrics of classification apply, such as
    `confusion_matrix`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Classes, integers or strings.

    y_pred : array-like of shape (n_samples,)
        Labels of clusters, of any kind.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights.

    Returns
    -------
    labels : ndarray of shape (n_samples,)
        `y_pred` in the terms of `y_true`. Clusters without a class, of which there are
        some if there are more clusters than classes, are −1, or "" among strings.

    Raises
    ------
    ValueError
        If the arrays differ in length.

    See Also
    --------
    class_error : The share of rows that do not agree.

    References
    ----------
    .. [1] H. W. Kuhn (1955). The Hungarian method for the assignment problem. Naval
       Research Logistics Quarterly 2(1-2), 83-97.

    Examples
    --------
    >>> from skem.metrics import matched_labels
    >>> matched_labels(["a", "a", "b", "b"], [1, 1, 0, 2]).tolist()
    ['a', 'a', 'b', '']
    >>> matched_labels([0, 0, 1, 1], [1, 1, 0, 0])
    array([0, 0, 1, 1])
    """
    classes, truth, clusters, found, weight = _checked(y_true, y_pred, sample_weight)
    shape = len(clusters), len(classes)
    cells = np.bincount(found * shape[1] + truth, weight, np.prod(shape))
    matched, own = linear_sum_assignment(cells.reshape(shape), maximize=True)
    kind = classes.dtype
    if kind.kind in "ub":
        kind = np.dtype(int)
    names = np.full(len(clusters), "" if kind.kind in "US" else -1, dtype=kind)
    names[matched] = classes[own]
    return names[found]


def class_error(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Share of rows that are not in the cluster of their class.

    The lowest one over all ways to match each cluster with one class at most. That of
    `classError` in mclust, if there are as many clusters as classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Classes.

    y_pred : array-like of shape (n_samples,)
        Labels of clusters, of any kind.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights.

    Returns
    -------
    error : float
        From 0, for equal partitions, to 1.

    Raises
    ------
    ValueError
        If the arrays differ in length.

    See Also
    --------
    matched_labels : Clusters by the names of their classes.
    sklearn.metrics.adjusted_rand_score : Agreement of pairs of rows, adjusted for
        chance.

    Examples
    --------
    >>> from skem.metrics import class_error
    >>> class_error(["a", "a", "b", "b"], [1, 1, 0, 2])
    0.25
    """
    labels = matched_labels(y_true, y_pred, sample_weight)
    truth = column_or_1d(y_true)
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
    return float(np.average(labels != truth, weights=weight))


def _checked(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return classes and clusters, with their index in each row, and weights."""
    truth, found = column_or_1d(y_true), column_or_1d(y_pred)
    check_consistent_length(truth, found)
    if truth.dtype.kind not in "iubUS":
        raise ValueError("y_true should be integers or strings.")
    weight = check_sample_weight(sample_weight, found)
    classes, truth = np.unique(truth, return_inverse=True)
    clusters, found = np.unique(found, return_inverse=True)
    return classes, truth.ravel(), clusters, found.ravel(), weight
