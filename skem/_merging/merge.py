"""Merge components into clusters that need not be Gaussian."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from skem._inputs.array_api import numpy_of
from skem._inputs.frames import is_dask
from skem._inputs.sklearn import Interval, check_matplotlib_support
from skem._inputs.typing import validate_params
from skem._inputs.validation import check_mixture
from skem._merging.hierarchy import (
    EMPTY,
    array_sums,
    bend,
    indicators,
    lazy_sums,
    merged_in_turn,
    two_lines,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class MergedComponents:
    """Clusters that are unions of components: the result of `merge_components`.

    Parameters
    ----------
    mixture : estimator instance
        The fitted mixture.

    hierarchy : ndarray of shape (K, K)
        Row m − 1 has the cluster of each component, of m clusters.

    entropy : ndarray of shape (K,)
        Entropy of the memberships in 1, …, K clusters, in nats.

    n_clusters : int
        The number of clusters.

    labels : ndarray or Dask array of shape (n_samples,), default=None
        The cluster of each row that the clusters were found with. None after `cut`.

    Attributes
    ----------
    mixture_, hierarchy_, entropy_, n_clusters_, labels_ : see the parameters
        What the clusters are, and how they were found.

    component_labels_ : ndarray of shape (K,)
        The cluster of each component. Clusters are in the order of their weight, the
        largest first.

    weights_ : ndarray of shape (n_clusters,)
        The weight of each cluster: that of its components together.

    See Also
    --------
    merge_components : Function that returns it.

    Examples
    --------
    >>> from skem import GaussianMixture, merge_components
    >>> from skem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> merged = merge_components(GaussianMixture(3, random_state=0).fit(X), X)
    >>> merged.n_clusters_, merged.component_labels_
    (2, array([0, 1, 1]))
    >>> merged.predict([[2, 55], [4.3, 80]])
    array([1, 0])
    """

    def __init__(
        self,
        mixture: Any,
        hierarchy: np.ndarray,
        entropy: np.ndarray,
        n_clusters: int,
        labels: Any = None,
    ) -> None:
        self.mixture_ = mixture
        self.hierarchy_ = hierarchy
        self.entropy_ = entropy
        self.n_clusters_ = n_clusters
        self.labels_ = labels
        self.component_labels_ = hierarchy[n_clusters - 1]
        self.weights_ = np.bincount(self.component_labels_, numpy_of(mixture.weights_))

    def __repr__(self) -> str:
        parts = ", ".join(
            "+".join(map(str, np.flatnonzero(self.component_labels_ == c)))
            for c in range(self.n_clusters_)
        )
        return f"<MergedComponents: {self.n_clusters_} clusters of components {parts}>"

    def cut(self, n_clusters: int) -> MergedComponents:
        """Return another number of clusters of the same hierarchy.

        Parameters
        ----------
        n_clusters : int
            From 1 to the number of components.

        Returns
        -------
        merged : MergedComponents
            Its `labels_` are None, as they are no unions of those of other clusters,
            and probabilities are not kept: call `predict`.

        Raises
        ------
        ValueError
            If there is no such number of clusters.

        Examples
        --------
        >>> from skem import GaussianMixture, merge_components
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> merged = merge_components(GaussianMixture(3, random_state=0).fit(X), X)
        >>> merged.cut(1).component_labels_
        array([0, 0, 0])
        """
        _check_n_clusters(n_clusters, len(self.hierarchy_))
        return MergedComponents(
            self.mixture_, self.hierarchy_, self.entropy_, int(n_clusters)
        )

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probability of each cluster, for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        resp : ndarray or Dask array of shape (n_samples, n_clusters)
            Sums of the probabilities of components; each row sums to one. If the
            mixture has a noise component, its column is last.
        """
        return self._of_clusters(self.mixture_.predict_proba(X))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Label of the most probable cluster of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        labels : ndarray or Dask array of shape (n_samples,)
            Labels from 0; −1 for noise, if the mixture has such a component.
        """
        return self._labels(self.predict_proba(X))

    def _of_clusters(self, proba: Any) -> Any:
        """Add up the probabilities of components."""
        members = indicators(self.component_labels_, proba.shape[1])
        return proba @ members.astype(proba.dtype)

    def _labels(self, proba: Any) -> Any:
        # The column after those of the clusters is noise, −1.
        return (proba.argmax(axis=1) + 1) % (self.n_clusters_ + 1) - 1

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the entropy against the number of clusters, and where it bends.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None: those of a new figure, made by pyplot.

        Returns
        -------
        ax : matplotlib Axes
            Axes with the picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skem import GaussianMixture, merge_components
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> merged = merge_components(GaussianMixture(3, random_state=0).fit(X), X)
        >>> ax = merged.plot()
        >>> ax.get_xlabel()
        'number of clusters'
        >>> plt.close(ax.figure)
        """
        check_matplotlib_support("MergedComponents.plot")
        from skem._display.entropy import draw_entropy

        lines = []
        if 1 < self.n_clusters_ < len(self.entropy_):
            lines = [line for line, _ in two_lines(self.entropy_, self.n_clusters_)]
        return draw_entropy(self.entropy_, self.n_clusters_, lines, ax)


@validate_params(
    {
        "n_clusters": [Interval(Integral, 1, None, closed="left"), None],
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def merge_components(
    mixture: Any,
    X: ArrayLike,
    n_clusters: int | None = None,
    *,
    sample_weight: ArrayLike | None = None,
) -> MergedComponents:
    r"""Merge components that overlap, into clusters that need not be Gaussian.

    A mixture takes several components for a cluster that is bent or skewed. Here the
    two clusters are merged whose merger lowers the entropy of the memberships the most,
    again and again (Baudry et al. 2010 [1]_). The density stays that of the mixture.

    Parameters
    ----------
    mixture : estimator instance
        Fitted mixture, with `weights_` and `predict_proba`: skem's, scikit-learn's, or
        a search with a `best_estimator_`.

    X : array-like of shape (n_samples, n_features)
        Data, mostly those of the fit. NaN is a missing value. Of a Dask collection,
        blocks are looked at once for each merger, and `labels_` are lazy.

    n_clusters : int, default=None
        The number of clusters. None: where the entropy bends.

    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    merged : MergedComponents
        The clusters, with `predict`, `labels_`, the whole `hierarchy_` and its
        `entropy_`, `cut` for another number of clusters, and `plot`.

    Raises
    ------
    ValueError
        If X does not suit the mixture, or there are fewer components than
        `n_clusters`.
    TypeError
        If the estimator has no components.

    See Also
    --------
    GaussianMixtureIC : Chooses the number of components; ``criterion="icl"`` takes one
        component for a cluster.

    Notes
    -----
    With the probability :math:`t_{ic}` that row i belongs to cluster c, the entropy is
    :math:`-\sum_i v_i \sum_c t_{ic} \log t_{ic}`. For each number of clusters between
    the ends, one straight line is fitted to the entropies up to it and another one from
    there on; the bend is where both together fit best. Two of three or more components
    are always merged then, and one cluster is never chosen. But no components are
    merged if there are two at most, or if the entropy is below 1 % of its largest
    possible value, as they hardly overlap.

    Components with less than half a row, :math:`\sum_i v_i t_{ik} < 1/2`, as a
    Bayesian mixture may have, are merged first, and count for nothing in the choice.

    A row without any value belongs to clusters by their weights, and adds the same to
    the entropy as each other such row. If the mixture has a noise component, it stays
    by itself.

    References
    ----------
    .. [1] J.-P. Baudry, A. E. Raftery, G. Celeux, K. Lo and R. Gottardo (2010).
       Combining mixture components for clustering. Journal of Computational and
       Graphical Statistics 19(2), 332-353.

    Examples
    --------
    A cross is one cluster of two components:

    >>> import numpy as np
    >>> from skem import GaussianMixture, merge_components
    >>> rng = np.random.default_rng(0)
    >>> cross = np.vstack([rng.normal(size=(150, 2)) * s for s in ([4, 0.4], [0.4, 4])])
    >>> X = np.vstack([cross, rng.normal([12, 0], 1, (100, 2))])
    >>> merged = merge_components(GaussianMixture(3, random_state=0).fit(X), X)
    >>> merged
    <MergedComponents: 2 clusters of components 0+1, 2>
    >>> np.bincount(merged.labels_)
    array([299, 101])
    """
    fitted = check_mixture(mixture, "mixture", ("weights_", "predict_proba"))
    weights = numpy_of(fitted.weights_)
    if n_clusters is not None:
        _check_n_clusters(n_clusters, len(weights))
    proba = fitted.predict_proba(X)
    sums = lazy_sums if is_dask(proba) else array_sums
    weight, sizes, of_unions = sums(proba, sample_weight)
    empty = sizes[: len(weights)] < EMPTY
    if np.count_nonzero(~empty) < 2:
        # A few rows, or weights that hardly add up to one, do not tell which.
        empty[:] = False
    hierarchy, entropy = merged_in_turn(of_unions, weights, empty, proba.shape[1])
    if n_clusters is None:
        n_clusters = bend(entropy[: np.count_nonzero(~empty)], weight)
    merged = MergedComponents(fitted, hierarchy, entropy, int(n_clusters))
    merged.labels_ = merged._labels(merged._of_clusters(proba))
    return merged


def _check_n_clusters(n_clusters: int, n_components: int) -> None:
    if not isinstance(n_clusters, Integral) or not 1 <= n_clusters <= n_components:
        raise ValueError(
            "n_clusters should be an integer from 1 to the number of components, "
            f"{n_components}; got {n_clusters!r}."
        )
