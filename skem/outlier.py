"""Detect outliers at a rate of false alarms that is kept on new rows."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state

from skem._estimators.calibration import (
    cut,
    draws_for,
    held_out_support,
    parts,
    peak,
    support,
    threshold,
)
from skem._estimators.component_choice import (
    INNER_CONSTRAINTS,
    WithMixture,
    fit_mixture,
)
from skem._fitting.fitting import unchanged_on_error
from skem._inputs.sklearn import Interval, fit_context
from skem._inputs.typing import Auto, AutoOrAll, CovarianceType, RandomState
from skem._inputs.validation import check_sample_weight
from skem.gaussian_mixture import GaussianMixture

LEVEL = 5
"""Times as many draws for a level as for the mass beyond one."""


class MixtureOutlierDetector(WithMixture, OutlierMixin, BaseEstimator):
    """Outliers of a Gaussian mixture, with a rate of false alarms for new rows.

    An outlier is a row outside of the mixture's highest-density region [1]_ of a mass
    near ``1 - false_alarm_rate``. What mass that is, is calibrated by rows that were
    held out [2]_: a region of the mass itself leaves out more of the new rows, as the
    mixture is fitted to others.

    Outliers among the training rows are a part of the law of which the rate is kept: a
    wide component takes them up, and most of them are not labelled. If there are some,
    give their share as `contamination`, or fit a `GaussianMixture` with ``noise=True``,
    which labels them −1.

    Parameters
    ----------
    n_components : int or 'auto', default='auto'
        The number of components of the mixture. 'auto' is that with the lowest BIC of
        1 to 9.

    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ..., 'auto', \
    'all'}, default='full'
        The structure of the covariances, as in `GaussianMixture`. 'auto' is that of the
        first four with the lowest BIC, and 'all' that of all fourteen shapes.

    false_alarm_rate : float, default=0.01
        The share of new rows, of the law of the training rows, that are to be labelled
        as outliers. Not used if `contamination` is given.

    contamination : float, default=None
        The share of the training rows to label as outliers, as in scikit-learn's
        detectors. A clump of equal errors is a component of the law, and no outlier,
        whatever their share: look for small components in ``mixture_.weights_``.

    random_state : int, RandomState instance or None, default=None
        Seed of the fit, of the folds and of the draws that masses are measured by.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The mixture of all rows.

    n_components_ : int
        The number of its components.

    offset_ : float
        Log-density on the border of the region: ``decision_function`` is
        ``score_samples`` less this, for rows with all values.

    support_threshold_ : float
        Probability that a draw of the mixture is outside of the region: a row is an
        outlier if its support probability is lower. It is mostly below
        `false_alarm_rate`, and 0 where it is too small for a number.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    GaussianMixture.support_probability : The probability itself, of the fitted and not
        of the true mixture: more than 1 % of new rows are below 0.01.

    Notes
    -----
    Ten fits, each without a tenth of the rows, tell how much farther out new rows are.
    Where the rows held out have fewer than 100 alarms, their mean distance is compared
    with that of draws, as if of one Gaussian [3]_; with more alarms, or if these
    contradict it, alarms are counted. The number of components is chosen once, from all
    rows.

    For 400 rows of 5 features and two components, a right model, about 92 of 100
    detectors for a `false_alarm_rate` of 1 % have a rate on new rows from 0.7 to 1.5 %.
    Of regions of the mass of 99 % half do (``python -m benchmarks.estimators``).
    What is left is the chance of the training rows.

    A row with missing values, NaN, is judged by the mixture of the features that it
    has, at a threshold of the same mass.

    References
    ----------
    .. [1] R. J. Hyndman (1996). Computing and graphing highest density regions. The
       American Statistician 50(2), 120-126.
    .. [2] J. Lei, J. Robins and L. Wasserman (2013). Distribution-free prediction sets.
       JASA 108(501), 278-287.
    .. [3] T. W. Anderson (2003). An Introduction to Multivariate Statistical Analysis,
       3rd edition, section 5.2. Wiley.

    Examples
    --------
    >>> from skem import MixtureOutlierDetector
    >>> from skem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> detector = MixtureOutlierDetector(2, random_state=0).fit(X)
    >>> detector.predict([[2.0, 55.0], [3.0, 50.0]])
    array([ 1, -1])
    """

    mixture_: GaussianMixture
    n_components_: int
    offset_: float
    support_threshold_: float

    _in_file: ClassVar[dict[str, str]] = {
        "offset_": "float",
        "support_threshold_": "share",
        "_below_peak": "float",
        "_draws": "draws",
        "_seed": "seed",
    }

    _parameter_constraints: dict = INNER_CONSTRAINTS | {
        "false_alarm_rate": [Interval(Real, 0, 0.5, closed="neither")],
        "contamination": [Interval(Real, 0, 0.5, closed="right"), None],
    }

    def __init__(
        self,
        n_components: int | Auto = "auto",
        *,
        covariance_type: CovarianceType | AutoOrAll = "full",
        false_alarm_rate: float = 0.01,
        contamination: float | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.false_alarm_rate = false_alarm_rate
        self.contamination = contamination
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the mixture, and find the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `GaussianMixture.fit`.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError
            As in `GaussianMixture.fit`. The estimator then stays as it was.

        Warns
        -----
        UserWarning
            As in `GaussianMixture.fit`, and in `GaussianMixtureIC.fit` where something
            is chosen.

        Examples
        --------
        >>> from skem import MixtureOutlierDetector
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> detector = MixtureOutlierDetector(2, random_state=0).fit(X)
        >>> detector.support_threshold_ < detector.false_alarm_rate
        True
        """
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(self, X: Any, sample_weight: Any) -> None:
        X = self._check_rows(X, reset=True)
        weight = check_sample_weight(sample_weight, X)
        rng = check_random_state(self.random_state)
        self.mixture_ = fit_mixture(
            X,
            self.n_components,
            self.covariance_type,
            rng.randint(2**31 - 1),
            weight,
            getattr(self, "feature_names_in_", None),
        )
        self.n_components_ = len(self.mixture_.weights_)
        self._seed = rng.randint(2**31 - 1)
        self._levels: dict[str, float] = {}
        weight = np.ones(len(X)) if weight is None else weight.astype(float)
        X, weight = X[weight > 0], weight[weight > 0]
        rate = self.false_alarm_rate if self.contamination is None else 0.01
        self._draws = draws_for(rate)
        if self.contamination is None:
            u, below = held_out_support(self.mixture_, X, weight, self._draws, rng)
            _, dimensions = self.mixture_._dimensions
            self.support_threshold_ = threshold(u, weight, rate, max(1, dimensions))
            self._below_peak = cut(below, weight, rate)
            self.offset_ = self._level(self.mixture_)
        elif np.isnan(X).any():
            # The draws that levels are of: with others some rows would cross them.
            u, below = support(self.mixture_, X, LEVEL * self._draws, self._seed)
            self.support_threshold_ = cut(u, weight, self.contamination)
            self._below_peak = cut(below, weight, self.contamination)
            self.offset_ = self._level(self.mixture_)
        else:
            scores = self.mixture_._log_density(X).astype(float)
            self.offset_ = cut(scores, weight, self.contamination)
            mass = self.mixture_._support(self._draws, self._seed).below
            self.support_threshold_ = float(mass(np.array([self.offset_]))[0])
            self._below_peak = self.offset_ - peak(self.mixture_)
        # By that of the fit all draws would be the same.
        self.mixture_.set_params(random_state=self.random_state)

    def _become(self, inner: list[Any]) -> None:
        super()._become(inner)
        self._levels = {}

    def _level(self, mixture: GaussianMixture) -> float:
        """Return the log-density below which a mixture has the mass of outliers."""
        if self.support_threshold_ == 0:
            # Where the mass is no number, by how far it is below the peak.
            return peak(mixture) + self._below_peak
        support = mixture._support(LEVEL * self._draws, self._seed)
        return support.level(self.support_threshold_)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Log-density of each row; of its observed features where values are missing.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Log-densities, in nats.

        Examples
        --------
        >>> from skem import MixtureOutlierDetector
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> detector = MixtureOutlierDetector(2, random_state=0).fit(X)
        >>> detector.score_samples([[2.0, 55.0], [3.0, 50.0]]).round(1)
        array([ -3.3, -11.7])
        """
        return self._scores(X)[0]

    def _scores(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return log-densities, and the level of each row."""
        self._check_is_fitted()
        X = self._check_rows(X)
        scores, levels = np.empty((2, len(X)))
        for pattern, rows, part, log_density in parts(self.mixture_, X):
            scores[rows] = log_density
            if part is self.mixture_:
                levels[rows] = self.offset_
            elif part is None:
                # Nothing is observed that could be unusual.
                levels[rows] = -1.0
            else:
                if pattern not in self._levels:
                    self._levels[pattern] = self._level(part)
                levels[rows] = self._levels[pattern]
        return scores, levels

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Log-density of each row, less that on the border: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        decision : ndarray of shape (n_samples,)
            In nats.

        Examples
        --------
        >>> from skem import MixtureOutlierDetector
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> detector = MixtureOutlierDetector(2, random_state=0).fit(X)
        >>> detector.decision_function([[2.0, 55.0], [3.0, 50.0]]) > 0
        array([ True, False])
        """
        scores, levels = self._scores(X)
        return scores - levels

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Label each row: 1 for an inlier, −1 for an outlier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            1 or −1.

        Examples
        --------
        >>> from skem import MixtureOutlierDetector
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> detector = MixtureOutlierDetector(2, random_state=0).fit(X)
        >>> detector.predict([[2.0, 55.0], [3.0, 50.0]])
        array([ 1, -1])
        """
        return np.where(self.decision_function(X) < 0, -1, 1)
