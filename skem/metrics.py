"""What scikit-learn's metrics lack: names of clusters, and what labels get wrong."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    column_or_1d,
)

from skem._inputs.array_api import as_numpy
from skem._inputs.gaps import whole
from skem._inputs.validation import check_sample_weight
from skem._report.measures import Certainty

__all__ = ["bch_weights", "class_error", "classification_errors", "matched_labels"]

CONDITION = 1e8
"""Condition of the errors of labels from which on they have no inverse."""
OFF_ONE = 1e-4
"""Sums of probabilities may be off one by so much: those of float32 are."""
NO_CLASS = "(no class)"
"""What clusters without a class are called, if one is called ""."""


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
        some if there are more clusters than classes, are −1, or one less than the
        lowest class if that is negative, or "" among strings, or "(no class)" if ""
        is a class.

    Raises
    ------
    ValueError
        If the arrays differ in length, classes are neither integers nor strings, or
        weights are negative.

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
    table = _Table.of(y_true, y_pred, sample_weight)
    classes, (matched, own) = table.classes, table.matching
    of_none: Any = ""
    if classes.dtype.kind != "U":
        of_none = min(-1, int(classes[0]) - 1)
    elif of_none in classes:
        of_none = NO_CLASS
    names = np.full(len(table.cells), of_none)
    names = names.astype(np.result_type(names, classes))
    names[matched] = classes[own]
    return names[table.clusters]


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
        If the arrays differ in length, classes are neither integers nor strings, or
        weights are negative.

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
    table = _Table.of(y_true, y_pred, sample_weight)
    total, agreeing = table.cells.sum(), table.cells[table.matching].sum()
    return float(max(0.0, total - agreeing) / total)


def classification_errors(
    proba: ArrayLike, sample_weight: ArrayLike | None = None
) -> np.ndarray:
    """Estimate how often the rows of each component get each label.

    Labels are those of the largest probability, and wrong in some rows. So what is done
    with them afterwards, as a regression of the labels on other columns, finds too
    little; this matrix corrects it (Bolck, Croon & Hagenaars 2004 [1]_).

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_components)
        Posterior probabilities, as `predict_proba` of any mixture returns them.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights.

    Returns
    -------
    errors : ndarray of shape (n_components, n_components)
        Probabilities of each label (columns), given the component (rows).

    Raises
    ------
    ValueError
        If probabilities are negative or do not add up to one in each row, a component
        has no probability in any row, or weights are negative.

    See Also
    --------
    bch_weights : Weights of rows that make up for these errors.

    References
    ----------
    .. [1] A. Bolck, M. Croon & J. Hagenaars (2004). Estimating latent structure models
       with categorical variables: One-step versus three-step estimators. Political
       Analysis 12(1), 3-27.

    Examples
    --------
    >>> from skem.metrics import classification_errors
    >>> classification_errors([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]]).round(2)
    array([[0.89, 0.11],
           [0.33, 0.67]])
    """
    proba, weight = _checked_proba(proba, sample_weight)
    shared = Certainty.of(proba.T, weight).shared.T
    total = shared.sum(axis=1, keepdims=True)
    if not total.all():
        empty = int(np.flatnonzero(total == 0)[0])
        raise ValueError(f"Component {empty} has no probability in any row.")
    return np.asarray(shared / total)


def bch_weights(proba: ArrayLike, sample_weight: ArrayLike | None = None) -> np.ndarray:
    """Weights of rows in each component that make up for errors of labels.

    With them, means and regressions of other columns by component are consistent, which
    those by label are not (Bolck, Croon & Hagenaars 2004 [1]_; Vermunt 2010 [2]_): each
    row counts in each component, with the entry of the inverse of
    `classification_errors` for its label. Some weights are negative.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_components)
        Posterior probabilities, as `predict_proba` of any mixture returns them.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights, by which those that are returned are multiplied.

    Returns
    -------
    weights : ndarray of shape (n_samples, n_components)
        Weights, which add up to one in each row, or to its weight.

    Raises
    ------
    ValueError
        As `classification_errors`, and if labels tell nothing of components, as where
        one is the most probable one of no row: errors then have no inverse.

    See Also
    --------
    classification_errors : The errors.

    References
    ----------
    .. [1] A. Bolck, M. Croon & J. Hagenaars (2004). Estimating latent structure models
       with categorical variables: One-step versus three-step estimators. Political
       Analysis 12(1), 3-27.
    .. [2] J. K. Vermunt (2010). Latent class modeling with covariates: Two improved
       three-step approaches. Political Analysis 18(4), 450-469.

    Examples
    --------
    The mean of a column that was not in the mixture, in each of its components:

    >>> import numpy as np
    >>> from skem import GaussianMixture
    >>> from skem.metrics import bch_weights
    >>> rng = np.random.default_rng(0)
    >>> group = rng.integers(2, size=4000)
    >>> X, y = rng.normal(3 * group, 1)[:, None], rng.normal(10 * group, 1)
    >>> mixture = GaussianMixture(2, covariance_type="tied", random_state=0).fit(X)
    >>> weights = bch_weights(mixture.predict_proba(X))
    >>> means = np.sort(weights.T @ y / weights.sum(axis=0))
    >>> bool(abs(means - [0, 10]).max() < 0.3)
    True
    """
    proba, weight = _checked_proba(proba, sample_weight)
    errors, label = classification_errors(proba, weight), proba.argmax(axis=1)
    if np.linalg.cond(errors) > CONDITION:
        raise ValueError(
            "Labels do not tell the components apart, so that nothing makes up for "
            "their errors. Take fewer components."
        )
    return np.asarray(np.linalg.inv(errors)[label] * weight[:, None])


def _checked_proba(proba: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray]:
    """Validate probabilities, and the weights of their rows."""
    found = check_array(
        as_numpy(whole(proba, "proba")), dtype=float, input_name="proba"
    )
    if (found < 0).any() or not np.allclose(found.sum(axis=1), 1, atol=OFF_ONE):
        raise ValueError("proba should be probabilities that add up to 1 in each row.")
    weight = check_sample_weight(sample_weight, found)
    return found, np.ones(len(found)) if weight is None else weight


class _Table(NamedTuple):
    """Classes, the cluster of each row, and the weight of each cluster in each class.

    Classes are sorted; the weights are (n_clusters, n_classes).
    """

    classes: np.ndarray
    clusters: np.ndarray
    cells: np.ndarray

    @classmethod
    def of(cls, y_true: Any, y_pred: Any, sample_weight: Any) -> _Table:
        """Validate labels and weights, and count."""
        truth, found = _column(y_true), _column(y_pred)
        check_consistent_length(truth, found)
        if truth.dtype.kind not in "iubU":
            raise ValueError("y_true should be integers or strings.")
        weight = check_sample_weight(sample_weight, truth)
        if truth.dtype.kind in "ub":
            truth = truth.astype(int)
        classes, truth = np.unique(truth, return_inverse=True)
        clusters, found = np.unique(found, return_inverse=True)
        shape, found = (len(clusters), len(classes)), found.ravel()
        cells = np.bincount(found * shape[1] + truth.ravel(), weight, np.prod(shape))
        return cls(classes, found, cells.reshape(shape).astype(float))

    @property
    def matching(self) -> tuple[np.ndarray, np.ndarray]:
        """Clusters, and the class of each of them, such that most rows agree."""
        found: Any = linear_sum_assignment(self.cells, maximize=True)
        return found


def _column(labels: Any) -> np.ndarray:
    """Return labels as an array, of text or integers if they are that, of any library.

    Those of pandas may come as objects, as its text does.
    """
    if hasattr(labels, "to_numpy"):
        labels = labels.to_numpy()
    column = column_or_1d(as_numpy(whole(labels, "labels")))
    if column.dtype.kind == "S":
        return column.astype(str)
    if column.dtype == object:
        for kind in (str, Integral):
            if len(column) and all(isinstance(label, kind) for label in column):
                return column.astype(str if kind is str else int)
    return column
