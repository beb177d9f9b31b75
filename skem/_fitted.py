"""What a mixture with parameters does: score, label, sample, and judge itself."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from numbers import Integral, Real
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import check_is_fitted

from skem._array_api import like_given
from skem._blocks import (
    evaluate_array,
    evaluate_rows,
    open_blocks,
    unthreaded_blocks,
)
from skem._confidence import Estimates, StandardErrors
from skem._dask import check_dask_data, is_dask, map_lazily
from skem._files import save_mixture
from skem._joint import Given, Joint
from skem._noise import background_of, check_no_noise
from skem._standard_errors import METHODS, standard_errors
from skem._summary import MixtureSummary, agreement, bhattacharyya, correlations
from skem._support import (
    MOST_KEPT,
    Sampled,
    Support,
    exact_support,
    keep_support,
    kept_support,
)
from skem._typing import CovarianceType, ErrorMethod, RandomState, available_if
from skem._validation import N_JOBS, Data, check_data, check_sample_weight
from skem._weighted_bootstrap import weighted_bootstrap
from skem.core.blocks import ArrayBlocks, Block, Blocks, is_mapped
from skem.core.coordinates import scoring_coordinates
from skem.core.covariance import SHAPES, Structure
from skem.core.expectation import Expectation
from skem.core.forms import choose_form
from skem.core.incomplete import Patterns, marginal_parameters
from skem.core.noise import Background
from skem.core.parameters import Parameters
from skem.core.threads import Workspace
from skem.core.totals import Totals, classified, scored

ARGUMENTS: dict = {
    "prob": [Interval(Real, 0, 1, closed="neither")],
    "n_samples": [Interval(Integral, 1, None, closed="left")],
    "method": [StrOptions({*METHODS, "bootstrap"})],
    "n_boot": [Interval(Integral, 2, None, closed="left")],
    "n_jobs": N_JOBS,
    "random_state": ["random_state"],
}
KEPT_BYTES = 2**15
"""Size of a mixture, beyond which those of before are not looked up by all values."""
SAMPLED_VALUES = 2**20
"""Numbers that are drawn at a time, where only their density is wanted."""


def write_log_density(
    expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with log-densities, those out of its range at its limits."""
    info = np.finfo(out.dtype)
    out[:] = np.clip(expectation.log_density(block, ws), info.min, info.max)


def _write_responsibilities(
    expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with the posterior probabilities of the components."""
    expectation.write_responsibilities(block, ws, out)


def _write_labels(
    expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with the most probable components, −1 for noise."""
    out[:] = expectation.labels(block, ws)
    if expectation.form.background is not None:
        # Noise is the last one.
        out[out == expectation.form.shape[-1] - 1] = -1


def _write_component_log_density(
    expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with log-densities of components, those out of range at its limits."""
    info = np.finfo(out.dtype)
    log_density = expectation.component_log_density(block, ws)
    out[:] = np.clip(log_density, info.min, info.max).T


def expectation_at(
    covariance_type: str,
    parameters: Parameters,
    dtype: np.dtype,
    log_widths: np.ndarray | None = None,
    owner: FittedMixture | None = None,
) -> Expectation:
    """Return the kernels that evaluate blocks, those of before if there are any.

    They are looked up by the values of the parameters: a mixture that is asked for
    one row at a time does not prepare them for each, and edited attributes are others.
    Of large mixtures the last ones are kept, as long as their owner is there.
    `log_widths` are those of noise, if there is any.
    """
    arrays = parameters.arrays
    if sum(array.nbytes for array in arrays) > KEPT_BYTES:
        if owner is None:
            return _prepared(covariance_type, parameters, dtype, log_widths)
        return _of_owner(owner, covariance_type, parameters, dtype, log_widths)
    keys = ((array.shape, array.tobytes()) for array in arrays)
    kind: Any = type(parameters)
    noise = None if log_widths is None else log_widths.tobytes()
    return _kept(kind, covariance_type, np.dtype(dtype), noise, *keys)


def _prepared(
    covariance_type: str,
    parameters: Parameters,
    dtype: np.dtype,
    log_widths: np.ndarray | None,
) -> Expectation:
    structure = SHAPES[covariance_type]
    coordinates = scoring_coordinates(structure, parameters, dtype)
    inward = coordinates.inward(structure, parameters)
    if log_widths is not None:
        log_widths = log_widths + coordinates.log_slopes
    return Expectation(choose_form(structure, inward, dtype, log_widths), coordinates)


class _Last(NamedTuple):
    """What was prepared last for a mixture, and of which values."""

    covariance_type: str
    dtype: np.dtype
    arrays: list[np.ndarray]
    expectation: Expectation


_last: WeakKeyDictionary[FittedMixture, _Last] = WeakKeyDictionary()


def _of_owner(
    owner: FittedMixture,
    covariance_type: str,
    parameters: Parameters,
    dtype: np.dtype,
    log_widths: np.ndarray | None,
) -> Expectation:
    last, arrays = _last.get(owner), parameters.arrays
    if log_widths is not None:
        arrays = (*arrays, log_widths)
    if (
        last is not None
        and (last.covariance_type, last.dtype) == (covariance_type, dtype)
        and len(last.arrays) == len(arrays)
        and all(map(np.array_equal, last.arrays, arrays))
    ):
        return last.expectation
    expectation = _prepared(covariance_type, parameters, dtype, log_widths)
    copies = [array.copy() for array in arrays]
    _last[owner] = _Last(covariance_type, np.dtype(dtype), copies, expectation)
    return expectation


@lru_cache(maxsize=16)
def _kept(
    kind: Any,
    covariance_type: str,
    dtype: np.dtype,
    noise: bytes | None,
    *keys: tuple[tuple[int, ...], bytes],
) -> Expectation:
    arrays = (np.frombuffer(values).reshape(shape) for shape, values in keys)
    log_widths = None if noise is None else np.frombuffer(noise)
    return _prepared(covariance_type, kind(*arrays), dtype, log_widths)


def _fingerprint(*arrays: ArrayLike) -> int:
    """Return a number that changes with any value, also where it is in place."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).data, found)
    return found


def _whole_number(n_samples: Any) -> int:
    """Require a number of rows, which may be a float."""
    whole = isinstance(n_samples, Integral) or float(n_samples).is_integer()
    if not whole or n_samples < 1:
        reason = (
            "It should be a whole number."
            if not whole
            else "The sampling requires at least one sample."
        )
        raise ValueError(f"Invalid value for 'n_samples': {n_samples} . {reason}")
    return int(n_samples)


def draw(
    weights: np.ndarray,
    means: np.ndarray,
    color: Callable[[int, np.ndarray], np.ndarray],
    n_samples: int,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows and their components; `color` gives noise, (d, b), a covariance."""
    labels = rng.choice(len(weights), size=n_samples, p=weights / weights.sum())
    X = rng.standard_normal((n_samples, means.shape[1]))
    for k in np.unique(labels):
        rows = labels == k
        X[rows] = means[k] + color(k, X[rows].T).T
    return X, labels


def _of_likelihood(mixture: FittedMixture) -> bool:
    """Whether the parameters are estimates, by maximum likelihood."""
    return mixture._by_likelihood


def _sampled_support(
    covariance_type: str,
    parameters: Parameters,
    n_samples: int,
    rng: np.random.RandomState,
) -> Sampled:
    """Return the support by draws of the density."""
    structure = SHAPES[covariance_type]
    rows = max(1, SAMPLED_VALUES // parameters.shape[1])
    # Of the density, not by `sample`, which goes by edited covariances.
    color = partial(structure.color, parameters.precisions_cholesky)
    weights, means = parameters.weights, parameters.means
    parts = (
        draw(weights, means, color, min(rows, n_samples - start), rng)[0]
        for start in range(0, n_samples, rows)
    )
    at = partial(expectation_at, covariance_type, parameters)
    log_density = [
        evaluate_array(Data(X, False), at, write_log_density, ()) for X in parts
    ]
    return Sampled(np.sort(np.concatenate(log_density)))


class FittedMixture(
    Joint,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    DensityMixin,
    BaseEstimator,
):
    """The methods of a mixture that need its parameters, and not how it was fitted.

    A subclass has the parameters `covariance_type` and `random_state`, and calls
    `_set_parameters`.
    """

    covariance_type: CovarianceType
    random_state: RandomState

    weights_: np.ndarray
    means_: np.ndarray
    covariances_: np.ndarray
    precisions_: np.ndarray
    precisions_cholesky_: np.ndarray
    n_parameters_: int
    labels_: np.ndarray
    n_features_in_: int
    feature_names_in_: np.ndarray

    _by_likelihood = True

    def __sklearn_tags__(self) -> Tags:
        """Say that NaN is a missing value."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are parameters, and not only the first rows of a stream."""
        return hasattr(self, "means_")

    def _check_is_fitted(self) -> None:
        """Require parameters, and the structure that they were made with."""
        # Asked first, as scikit-learn's check takes as long as a row does.
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self, msg=self._why_unfitted())
        # Attributes may have been set by hand.
        before = getattr(self, "_fitted_type", self.covariance_type)
        if self.covariance_type != before:
            raise ValueError(
                f"covariance_type has changed from {before!r} to "
                f"{self.covariance_type!r} since the mixture was fitted. Call fit, or "
                "set it back."
            )

    def _why_unfitted(self) -> str | None:
        """Return what there is to be said beyond scikit-learn's words."""
        return None

    def _set_parameters(self, parameters: Parameters, covariances: np.ndarray) -> None:
        self.__dict__.update(self._parameter_attributes(parameters, covariances))
        self.n_parameters_ = self._n_parameters()

    def _parameter_attributes(
        self, parameters: Parameters, covariances: np.ndarray
    ) -> dict[str, Any]:
        """Return the fitted attributes that make a mixture of these parameters."""
        structure = SHAPES[self.covariance_type]
        with np.errstate(over="ignore", under="ignore"):
            precisions = structure.precisions(parameters.precisions_cholesky)
        limit = np.finfo(precisions.dtype).max
        return {
            "_fitted_type": self.covariance_type,
            "weights_": parameters.weights,
            "means_": parameters.means,
            "covariances_": covariances,
            "precisions_cholesky_": parameters.precisions_cholesky,
            "precisions_": np.clip(precisions, -limit, limit),
            "_as_fitted": _fingerprint(covariances, parameters.precisions_cholesky),
        }

    def _parameters(self) -> Parameters:
        """Return the parameters of the density, from attributes set by hand too.

        `precisions_cholesky_` may be any square root of the precisions then, or be
        missing.
        """
        structure = SHAPES[self.covariance_type]
        if hasattr(self, "precisions_cholesky_") or not hasattr(self, "covariances_"):
            roots = np.asarray(self.precisions_cholesky_, dtype=float)
            cholesky = structure.upper_factor(roots)
        else:
            covariances = np.asarray(self.covariances_, dtype=float)
            cholesky, failed = structure.factor(covariances)
            if failed.any():
                raise ValueError(
                    f"'{self.covariance_type} covariance' should be symmetric, "
                    "positive-definite"
                )
        return Parameters(
            np.asarray(self.weights_, dtype=float),
            np.asarray(self.means_, dtype=float),
            cholesky,
        )

    def _covariances_by_hand(self) -> np.ndarray | None:
        """Return `covariances_`, unless the factor stands for them.

        It does in the attributes that a fit has set, and has twice the range. Of
        others scikit-learn's `sample` takes the covariances, whatever the factor.
        """
        covariances = getattr(self, "covariances_", None)
        if covariances is None:
            return None
        cholesky = getattr(self, "precisions_cholesky_", None)
        if cholesky is not None:
            as_fitted = getattr(self, "_as_fitted", None)
            if as_fitted == _fingerprint(covariances, cholesky):
                return None
        return np.asarray(covariances, dtype=float)

    def _expectation(self, dtype: np.dtype) -> Expectation:
        """Return the kernels that score and label blocks in a floating-point type."""
        return self._density(dtype)

    def _density(self, dtype: np.dtype) -> Expectation:
        """Return those of the density that `sample` draws from."""
        background = self._background
        log_widths = None if background is None else background.log_widths
        parameters = self._parameters()
        return expectation_at(self.covariance_type, parameters, dtype, log_widths, self)

    @property
    def _background(self) -> Background | None:
        """Return where noise is, if there is any."""
        return background_of(self)

    def _evaluate(
        self,
        X: ArrayLike,
        shape: tuple[int, ...],
        write: Callable[[Expectation, np.ndarray, Block, Workspace], None],
        dtype: Any = None,
    ) -> np.ndarray:
        """Return an array (n_samples, *shape) that `write` has filled by blocks."""
        self._check_is_fitted()
        return evaluate_rows(self, X, self._expectation, write, shape, dtype)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        log_prob : ndarray or Dask array of shape (n_samples,)
            Log-density at each row, in nats; always finite. Lazy, as all predictions,
            if X is a Dask array or DataFrame.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.score_samples([[-2.0], [1.0]]).round(3)
        array([-1.38 , -1.401])
        """
        return self._evaluate(X, (), write_log_density)

    def component_log_density(self, X: ArrayLike) -> np.ndarray:
        """Log-density of each component at each row, without its weight.

        log N(x | μ_k, Σ_k). With the logarithms of the weights added, the logarithm of
        the sum of exponentials over components is `score_samples`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        log_prob : ndarray or Dask array of shape (n_samples, n_components)
            Log-densities, in nats; always finite. Lazy, as all predictions, if X is a
            Dask array or DataFrame.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.component_log_density([[-2.0], [1.0]]).round(3)
        array([[ -0.226,  -4.044],
               [-18.226,  -1.044]])
        """
        self._check_is_fitted()
        return self._evaluate(X, (len(self.means_),), _write_component_log_density)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Posterior probability of each component, given each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        resp : ndarray or Dask array of shape (n_samples, n_components)
            Probabilities; each row sums to one, however far it is from the data. With
            `noise` there is one more column, the last, for it.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.predict_proba([[-2.0], [-1.0]]).round(3)
        array([[0.951, 0.049],
               [0.263, 0.737]])
        """
        self._check_is_fitted()
        return self._evaluate(X, (self._n_features_out,), _write_responsibilities)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Turn rows into features: their posterior probabilities.

        So that a mixture may be a step of a pipeline, as a k-means clustering.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        resp : ndarray, DataFrame or Dask array of shape (n_samples, n_components)
            Those of `predict_proba`. A DataFrame after
            ``set_output(transform="pandas")``, with columns `gaussianmixture0` and
            so on. With `noise` there is one more, the last, of the next number.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.transform([[-2.0], [-1.0]]).round(3)
        array([[0.951, 0.049],
               [0.263, 0.737]])
        >>> mixture.get_feature_names_out()
        array(['gaussianmixture0', 'gaussianmixture1'], dtype=object)
        """
        return self.predict_proba(X)

    @property
    def _n_features_out(self) -> int:
        """Number of columns of `transform`."""
        return len(self.means_) + (self._background is not None)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Label each row with its most probable component.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        labels : ndarray or Dask array of shape (n_samples,)
            Indices of components; −1 for `noise`.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.predict([[-2.0], [1.0]])
        array([0, 1])
        """
        return self._evaluate(X, (), _write_labels, dtype=np.intp)

    def _label(self, blocks: Blocks) -> None:
        """Set `labels_`, if the rows of a fit are in memory."""
        self.__dict__.pop("labels_", None)
        if isinstance(blocks, ArrayBlocks) and not is_mapped(blocks.X):
            labels = np.empty(blocks.n_samples, np.int32)
            at = self._expectation(blocks.dtype)
            write = partial(_write_labels, at)
            # By their features alone, as `predict`.
            unknown = replace(blocks, known=None)
            self.labels_ = unknown.fill(labels, write, at.values_per_sample)

    def _totals(
        self,
        X: ArrayLike,
        sample_weight: Any,
        fold: Callable[[Expectation, Blocks], Totals] = scored,
        labels: Any = None,
    ) -> Totals:
        """Fold the data into totals."""
        self._check_is_fitted()
        K = len(self.means_)
        with open_blocks(
            self, X, sample_weight, reset=False, labels=labels, n_components=K
        ) as blocks:
            return fold(self._expectation(blocks.dtype), blocks)

    def score(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mean log-likelihood of the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        log_likelihood : float
            (Weighted) mean of `score_samples`, in nats per sample.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> round(mixture.score([[-2.0], [1.0]]), 2)
        -1.39
        >>> round(mixture.score([[-2.0], [1.0]], sample_weight=[1, 0]), 2)
        -1.38
        """
        totals = self._totals(X, sample_weight)
        return totals.loglik / totals.weight

    @available_if(_of_likelihood)
    def bic(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> float:
        """Bayesian information criterion: the lower the better.

        −2ℓ + p log N, with ℓ the total log-likelihood, p the number of free
        parameters and N the sum of the weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        labels : array-like of shape (n_samples,), default=None
            Known components, as in `fit`: then that is of what is known, too.

        Returns
        -------
        bic : float
            The criterion; ``inf`` if it is beyond the range of floats, as for rows
            1e154 standard deviations away from all components.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> round(mixture.bic([[-2.0], [0.0], [1.0]]), 2)
        13.85
        """
        return self._bic(self._totals(X, sample_weight, labels=labels))

    def _bic(self, totals: Totals) -> float:
        penalty = self._n_parameters() * math.log(totals.weight)
        return -2 * totals.loglik + penalty

    @available_if(_of_likelihood)
    def aic(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> float:
        """Akaike information criterion, −2ℓ + 2p: the lower the better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        labels : array-like of shape (n_samples,), default=None
            Known components, as in `fit`: then that is of what is known, too.

        Returns
        -------
        aic : float
            The criterion.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> round(mixture.aic([[-2.0], [0.0], [1.0]]), 2)
        18.36
        """
        totals = self._totals(X, sample_weight, labels=labels)
        return -2 * totals.loglik + 2 * self._n_parameters()

    @available_if(_of_likelihood)
    def icl(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> float:
        """Integrated completed likelihood: the lower the better.

        The BIC plus −2 Σ_i v_i max_k log r_ik, a price on components that overlap
        (Biernacki, Celeux & Govaert 2000), for choosing a number of clusters rather
        than of components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        labels : array-like of shape (n_samples,), default=None
            Known components, as in `fit`: then that is of what is known, too.

        Returns
        -------
        icl : float
            The criterion.

        References
        ----------
        C. Biernacki, G. Celeux and G. Govaert (2000). Assessing a mixture model for
        clustering with the integrated completed likelihood. IEEE TPAMI 22(7), 719-725.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> round(mixture.icl([[-2.0], [0.0], [1.0]]), 2)
        13.96
        """
        totals = self._totals(X, sample_weight, classified, labels)
        return self._bic(totals) - 2 * totals.certainty

    def _n_parameters(self) -> int:
        self._check_is_fitted()
        return SHAPES[self.covariance_type].n_free(*np.shape(self.means_))

    def sample(
        self,
        n_samples: int = 1,
        random_state: RandomState = None,
        given: Given | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw from the mixture, in random order.

        Where attributes have been set or edited by hand, from `weights_`, `means_` and
        `covariances_`, as scikit-learn's. All other methods, the density and what
        follows from it, go by `precisions_cholesky_` if it is there.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; a float must be a whole number.

        random_state : int, RandomState instance or None, default=None
            Seed. None: the estimator's `random_state`.

        given : mapping, or array-like of shape (n_features,), default=None
            Values that some features have in all rows, as in `conditional`; the others
            are drawn from their law given these.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows.

        y : ndarray of shape (n_samples,)
            The component that each row was drawn from; −1 for `noise`, which is drawn
            evenly from the region of the data of the fit.

        Raises
        ------
        ValueError
            If `n_samples` is less than one, or not a whole number; if `given` has an
            unknown feature, an infinite value, or a value for every feature.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> X, y = mixture.sample(3, random_state=0)
        >>> X.shape, y
        ((3, 1), array([1, 1, 1]))
        """
        self._check_is_fitted()
        n_samples = _whole_number(n_samples)
        if given is not None:
            return self._sample_given(n_samples, random_state, given)
        rng = check_random_state(
            self.random_state if random_state is None else random_state
        )
        structure = SHAPES[self.covariance_type]
        by_hand = self._covariances_by_hand()
        color = (
            partial(structure.color, self._parameters().precisions_cholesky)
            if by_hand is None
            else partial(structure.draw, by_hand)
        )
        weights = np.asarray(self.weights_, dtype=float)
        means = np.asarray(self.means_, dtype=float)
        background = self._background
        if background is None:
            return draw(weights, means, color, n_samples, rng)
        noise = rng.uniform(size=n_samples) < max(1 - weights.sum(), 0.0)
        X, labels = draw(weights, means, color, n_samples, rng)
        X[noise] = background.draw(int(noise.sum()), rng)
        return X, np.where(noise, -1, labels)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted mixture to a file, for `skem.load`.

        The file is JSON: the class, the parameters of the estimator and the fitted
        attributes, in full precision. It holds no code, and no data but the parameters.
        It is written as a whole or not at all.

        Parameters
        ----------
        path : str or path-like
            The file, which is replaced if it is there.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        NotImplementedError
            If the class is none of those that :func:`skem.load` knows, or if a
            parameter cannot be written, such as a `RandomState`.

        OSError
            If the file cannot be written.

        See Also
        --------
        skem.load : Read the file.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import skem
        >>> mixture = skem.GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = pathlib.Path(directory) / "mixture.json"
        ...     mixture.save(path)
        ...     skem.load(path).weights_
        array([0.3, 0.7])
        """
        save_mixture(self, path)

    def summary(
        self, X: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> MixtureSummary:
        """Say what there is to be said about the mixture, and how it fits data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Data, usually those of the fit. None: what is known without data.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        summary : MixtureSummary
            Prints as tables, in notebooks as HTML. Its attributes are `weights`,
            `means`, `standard_deviations`, `correlations`, `n_parameters`,
            `feature_names`, `covariance_type`, and `overlap`: the Bhattacharyya
            coefficients [1]_ of all pairs of components, 1 for equal densities and 0
            for separate ones; after a fit, `lower_bound` and `converged`; and with X,
            `n_samples`, `sizes` and `effective_sizes` (sums of labels and of
            responsibilities), `log_likelihood`, `bic`, `aic`, `icl`, and the
            `entropy` of the responsibilities, in nats. What is not known is None.

        Raises
        ------
        ValueError
            If X has infinite values, or not the features of the fit; if weights
            are negative, all zero, or given without X.

        References
        ----------
        .. [1] K. Fukunaga (1990). Introduction to Statistical Pattern Recognition,
           2nd edition, section 3.4. Academic Press.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> summary = GaussianMixture(2, n_init=5, random_state=0).fit(X).summary(X)
        >>> summary.sizes
        array([175.,  97.])
        >>> print(round(summary.bic, 1), round(summary.overlap[0, 1], 4))
        2322.2 0.0025
        """
        self._check_is_fitted()
        if X is None and sample_weight is not None:
            raise ValueError("`sample_weight` are weights of X, which is None.")
        structure, parameters = SHAPES[self.covariance_type], self._parameters()
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"x{j}" for j in range(parameters.shape[1])]
        summary = MixtureSummary(
            covariance_type=self.covariance_type,
            feature_names=tuple(map(str, names)),
            n_parameters=self._n_parameters(),
            weights=parameters.weights,
            means=parameters.means,
            standard_deviations=structure.standard_deviations(
                parameters.precisions_cholesky, parameters.shape
            ),
            correlations=correlations(structure, parameters),
            overlap=bhattacharyya(structure, parameters),
            lower_bound=getattr(self, "lower_bound_", None),
            converged=getattr(self, "converged_", None),
            noise_weight=getattr(self, "noise_weight_", None),
        )
        if X is None:
            return summary
        with open_blocks(self, X, sample_weight, reset=False) as blocks:
            found = agreement(self._expectation(blocks.dtype), blocks)
            return summary.on_data(found, blocks.total_weight)

    @available_if(_of_likelihood)
    def standard_errors(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        method: ErrorMethod = "sandwich",
        n_boot: int = 200,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        labels: ArrayLike | None = None,
    ) -> StandardErrors:
        """Estimate standard errors of the weights, means and covariances.

        By default from the sandwich A⁻¹ B A⁻¹, with A minus the Hessian of the
        log-likelihood, and B = Σ_i v_i s_i s_iᵀ the sum of outer products of the
        gradients s of the rows' log-densities [1]_ [2]_. It is right for large samples,
        in which every component has many rows, whether the model is right or not: then
        the parameters are those of the nearest mixture. Both matrices are exact [3]_,
        and found in one pass over the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data of the fit. Of Dask collections, blocks are computed where they
            are, as in a fit.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight is the same as repeating the row:
            weights count observations, and do not tell their precision.

        method : {'sandwich', 'hessian', 'opg', 'bootstrap'}, default='sandwich'
            'hessian' is A⁻¹ and 'opg', the outer product of gradients, B⁻¹. Both
            suppose that the model is right; then A⁻¹ varies less from sample to sample
            than the sandwich, and B⁻¹ is larger in small samples. 'bootstrap' is the
            standard deviation over refits to random weights of the rows [4]_, for small
            samples. Each refit starts from the parameters of this mixture, so that
            components keep their numbers. It takes arrays, and no Dask collections.

        n_boot : int, default=200
            Number of refits of the bootstrap, at least two. Its errors have a relative
            standard error of about 1/√(2 n_boot).

        random_state : int, RandomState instance or None, default=None
            Seed of the bootstrap. None: the estimator's `random_state`.

        n_jobs : int or None, default=None
            The number of refits at a time, in processes of joblib.

        labels : array-like of shape (n_samples,), default=None
            The known components that the fit was given.

        Returns
        -------
        errors : StandardErrors
            Named tuple of `weights`, `means` and `covariances`, in the shapes of
            `weights_`, `means_` and `covariances_`, float64; the entries of a
            covariance matrix have an error each. Infinite where the data tell nothing
            about a parameter: for a component without data, if there are fewer rows
            than parameters, or where the log-likelihood has no maximum in it. A weight
            of zero or one is on its bound, and has error zero. Its method
            `confidence_interval` gives intervals.

        Raises
        ------
        ValueError
            If X has infinite values, or not the features of the fit; if weights
            are negative or all zero; if `method` is not one of the four; if X is a
            Dask collection for the bootstrap; if there is `noise`, or parameters were
            `fixed` in the fit, for another method than the bootstrap.

        Notes
        -----
        The matrices are those of the likelihood, and the penalty of `reg_covar` is left
        out. Where it is all that holds a covariance, the data tell nothing about it.

        References
        ----------
        .. [1] H. White (1982). Maximum likelihood estimation of misspecified models.
           Econometrica 50(1), 1-25.
        .. [2] G. McLachlan and D. Peel (2000). Finite Mixture Models, section 2.15.
           Wiley.
        .. [3] T. A. Louis (1982). Finding the observed information matrix when using
           the EM algorithm. JRSS B 44(2), 226-233.
        .. [4] M. A. Newton and A. E. Raftery (1994). Approximate Bayesian inference
           with the weighted likelihood bootstrap. JRSS B 56(1), 3-48.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = GaussianMixture(2, n_init=5, random_state=0).fit(X)
        >>> mixture.means_.round(2)
        array([[ 4.29, 79.97],
               [ 2.04, 54.48]])
        >>> errors = mixture.standard_errors(X)
        >>> errors.means.round(2)
        array([[0.03, 0.46],
               [0.03, 0.6 ]])
        >>> errors.confidence_interval(0.95).means.upper.round(2)
        array([[ 4.35, 80.87],
               [ 2.09, 55.65]])
        """
        self._check_arguments(
            "standard_errors",
            method=method,
            n_boot=n_boot,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        self._check_is_fitted()
        structure, parameters = SHAPES[self.covariance_type], self._parameters()
        noise = self._background is not None
        given = getattr(self, "_n_given", 0) > 0
        if method != "bootstrap" and (noise or given):
            raise ValueError(
                f"Of a mixture with {'noise' if noise else 'fixed parameters'}, "
                "standard errors are those of the bootstrap: pass method='bootstrap'."
            )
        if method == "bootstrap":
            if is_dask(X):
                raise ValueError(
                    "The bootstrap needs the rows in an array, and X is a Dask "
                    "collection. Take another method."
                )
            X, _ = check_data(self, X, reset=False)
            seed = self.random_state if random_state is None else random_state
            weight = check_sample_weight(sample_weight, X)
            errors = weighted_bootstrap(self, X, weight, labels, n_boot, seed, n_jobs)
        else:
            # The work is one product per block, and threads of our own would need an
            # information matrix each.
            K = len(parameters.means)
            blocks = unthreaded_blocks(self, X, sample_weight, labels, K)
            expectation = self._expectation(blocks.dtype)
            errors = standard_errors(structure, parameters, expectation, blocks, method)
        estimates = Estimates.of(
            self.weights_, self.means_, self.covariances_, structure.matrices
        )
        weights, means, covariances = errors
        return StandardErrors(weights, means, covariances, estimates)

    def support_probability(
        self,
        X: ArrayLike,
        n_samples: int = 100_000,
        random_state: RandomState = None,
    ) -> np.ndarray:
        """Mass of the mixture where its density is at most that at each row.

        A score for outliers, the smaller the more of one, with a meaning of its own:
        for draws of the fitted mixture it is uniform on [0, 1], so that the rows below
        0.01 are one in a hundred, whatever the mixture and the number of features. New
        rows are not draws of the fitted mixture, also where the model is right: with
        many parameters per row of the fit more of them are below 0.01. See the notes. A
        row is in the highest-density region of mass P [1]_ if its probability is at
        least 1 − P.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        n_samples : int, default=100_000
            Number of draws to compare with, where the mass has no closed form: with
            more than one feature and more than one component. The standard error is
            then at most 0.5/√n_samples, and a probability at least 1/(n_samples + 1).
            Otherwise nothing is drawn, and the mass is exact.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws. None: the estimator's `random_state`. With an int, they
            are made once and kept while the mixture and its parameters stay as they
            are.

        Returns
        -------
        prob : ndarray or Dask array of shape (n_samples,)
            Probabilities, which rise with `score_samples`; of rows with missing values,
            those of the density of what they have, and one for a row without any.

        Raises
        ------
        ValueError
            If X has infinite values, or not the features of the fit; if
            `n_samples` is less than one.

        Notes
        -----
        In simulations in which the model is right, of new rows 1.0 % were below 0.01
        after fits to 1000 rows of 2 features with two full components; 1.5 % after
        fits to 400 rows of 5 features with three; and 17 % after fits to 250 rows of 30
        features with two, where diagonal ones left 1.5 %. For a threshold that keeps
        its rate on new rows take :class:`MixtureOutlierDetector`.

        References
        ----------
        .. [1] R. J. Hyndman (1996). Computing and graphing highest density regions.
           The American Statistician 50(2), 120-126.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.support_probability([[0.5], [-1.0], [3.0]]).round(3)
        array([1.   , 0.11 , 0.007])
        """
        self._check_arguments(
            "support_probability", n_samples=n_samples, random_state=random_state
        )
        self._check_is_fitted()
        check_no_noise(self, "Regions of highest density")
        if is_dask(X):
            levels = evaluate_rows(self, X, self._density, write_log_density, ())
            # Made once, and not in each chunk.
            support = self._support(n_samples, random_state)
            below = partial(self._below, support, n_samples, random_state)
            X = check_dask_data(self, X, reset=False)
            return map_lazily(below, levels.astype(float), X)
        data = check_data(self, X, reset=False)
        levels = evaluate_array(data, self._density, write_log_density, ())
        support = self._support(n_samples, random_state)
        mass = self._below(
            support, n_samples, random_state, levels.astype(float), data.X
        )
        return like_given(X, mass)

    def _below(
        self,
        support: Support,
        n_samples: int,
        random_state: RandomState,
        levels: np.ndarray,
        X: np.ndarray,
    ) -> np.ndarray:
        """Return the mass below levels; of rows with gaps, that of what they have."""
        mass = support.below(levels)
        missing = np.isnan(X.T)
        found = np.flatnonzero(missing.any(axis=0))
        if not len(found):
            return mass
        patterns = Patterns.of(missing[:, found])
        structure, parameters = SHAPES[self.covariance_type], self._parameters()
        seed = self.random_state if random_state is None else random_state
        for p, observed in enumerate(patterns.observed):
            rows = found[patterns.order[slice(*patterns.starts[p : p + 2])]]
            if not observed.any():
                mass[rows] = 1.0
                continue
            own, marginal = marginal_parameters(structure, parameters, observed)
            of_these = self._support_of(own, marginal, n_samples, seed)
            mass[rows] = of_these.below(levels[rows])
        return mass

    def hdr_level(
        self,
        prob: float,
        n_samples: int = 100_000,
        random_state: RandomState = None,
    ) -> float:
        """Log-density on the border of the highest-density region of mass `prob`.

        The region, the smallest of that mass (Hyndman 1996), is where `score_samples`
        is at least the level: a contour to draw, or a threshold for outliers.

        Parameters
        ----------
        prob : float
            Mass of the region, between 0 and 1.

        n_samples : int, default=100_000
            Number of draws where there is no closed form, as in
            `support_probability`; the mass of the region then has a standard error
            of at most 0.5/√n_samples.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws. None: the estimator's `random_state`.

        Returns
        -------
        level : float
            Log-density, in nats.

        Raises
        ------
        ValueError
            If `prob` is not between 0 and 1, or `n_samples` less than one.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
        >>> border = mixture.score_samples([[1.959964]])
        >>> print(round(mixture.hdr_level(0.95), 4), border.round(4))
        -2.8397 [-2.8397]
        """
        self._check_arguments(
            "hdr_level", prob=prob, n_samples=n_samples, random_state=random_state
        )
        self._check_is_fitted()
        check_no_noise(self, "Regions of highest density")
        return self._support(n_samples, random_state).level(prob)

    def _check_arguments(self, of: str, **arguments: Any) -> None:
        """Check those of a method, called by the name of the class that users know."""
        validate_parameter_constraints(
            ARGUMENTS, arguments, f"{type(self).__name__}.{of}"
        )

    def _support_of(
        self, structure: Structure, parameters: Parameters, n_samples: int, seed: Any
    ) -> Support:
        """Return the support of a density, by draws where there is no closed form."""
        found = exact_support(structure, parameters)
        if found is None:
            rng = check_random_state(seed)
            found = _sampled_support(structure.name, parameters, n_samples, rng)
        return found

    def _support(self, n_samples: int, random_state: RandomState) -> Support:
        parameters = self._parameters()
        seed = self.random_state if random_state is None else random_state
        key = (self.covariance_type, n_samples, seed)
        # A generator and None are to give new draws each time.
        same = isinstance(seed, Integral) and n_samples <= MOST_KEPT
        found = kept_support(self, parameters, key) if same else None
        if found is None:
            structure = SHAPES[self.covariance_type]
            found = self._support_of(structure, parameters, n_samples, seed)
            if same:
                keep_support(self, parameters, key, found)
        return found

    def _bells(self, squares: np.ndarray) -> np.ndarray:
        """Densities (K, n) of one feature at squared distances, relative to peaks."""
        return np.exp(-0.5 * squares)

    def _peak_ratios(self) -> np.ndarray | float:
        """Peaks of these densities, in those of Gaussians."""
        return 1.0

    def _log_density(self, X: np.ndarray) -> np.ndarray:
        """Log-density of complete rows, without a check of their features' names."""
        return evaluate_array(Data(X, False), self._density, write_log_density, ())
