"""Methods of a Bayesian mixture that go by the posterior of its parameters."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skem._fitted.density import expectation_at
from skem._fitted.joint import Given
from skem._fitted.kept import kept
from skem._fitted.mixture import FittedMixture
from skem._inputs.blocks import evaluate_rows
from skem._inputs.typing import RandomState, WeightPriorType
from skem._inputs.validation import rng_of
from skem.core.bayes.predictive import PredictiveMixture
from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.covariance import STRUCTURES, Structure
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import WEIGHT_PRIORS, Posterior, effective_log_weights
from skem.core.incomplete.patterns import Patterns
from skem.core.mixture.kernel import Kernel


class FittedPosterior(FittedMixture):
    """The methods of a mixture of which the parameters have a posterior."""

    weight_concentration_prior_type: WeightPriorType

    weight_concentration_: np.ndarray | tuple[np.ndarray, np.ndarray]
    mean_precision_: np.ndarray
    degrees_of_freedom_: Any
    weight_concentration_prior_: float
    mean_precision_prior_: float

    _by_likelihood = False

    def _counts(self) -> np.ndarray:
        """Return n_k of the present posterior."""
        precision = np.asarray(self.mean_precision_, dtype=float)
        return np.maximum(precision - self.mean_precision_prior_, 0.0)

    def _posterior(self) -> Posterior:
        """Return q in units of the data, from attributes set by hand too."""
        parameters = self._parameters()
        kind = WEIGHT_PRIORS[self.weight_concentration_prior_type]
        concentration: Any = self.weight_concentration_
        if isinstance(concentration, tuple):
            concentration = tuple(np.asarray(x, dtype=float) for x in concentration)
        else:
            concentration = np.asarray(concentration, dtype=float)
        effective = effective_log_weights(
            kind(self.weight_concentration_prior_).expected_log(concentration),
            np.asarray(self.mean_precision_, dtype=float),
            np.asarray(self.degrees_of_freedom_, dtype=float),
            self._dimensions[1],
        )
        return Posterior(
            parameters.weights,
            parameters.means,
            parameters.precisions_cholesky,
            effective,
            self._counts(),
        )

    def _expectation(self, dtype: np.dtype) -> Kernel:
        names = (
            *("weight_concentration_prior_", "mean_precision_"),
            *("mean_precision_prior_", "degrees_of_freedom_"),
        )
        concentration = getattr(self, "weight_concentration_", None)
        if not isinstance(concentration, tuple):
            concentration = (concentration,)
        return kept(
            self,
            ("posterior", dtype),
            (self.covariance_type, self.weight_concentration_prior_type),
            (*self._values_of_density(), *map(vars(self).get, names), *concentration),
            lambda: expectation_at(self.covariance_type, self._posterior(), dtype),
        )

    def _student(self) -> PredictiveMixture:
        return PredictiveMixture.of(
            STRUCTURES[self.covariance_type],
            self._parameters(),
            np.asarray(self.mean_precision_, dtype=float),
            np.asarray(self.degrees_of_freedom_, dtype=float),
            self._null,
        )

    def score_samples(
        self, X: ArrayLike, posterior_predictive: bool = False
    ) -> np.ndarray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        posterior_predictive : bool, default=False
            Whether to return the log-density of the posterior predictive distribution,
            a mixture of multivariate Student-t's. False: as scikit-learn,
            log Σ_k exp E log w_k N(x | μ_k, Λ_k⁻¹), which is less.

        Returns
        -------
        log_prob : ndarray or Dask array of shape (n_samples,)
            In nats; always finite.

        Examples
        --------
        >>> from skem import BayesianGaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = BayesianGaussianMixture(2, random_state=0).fit(X)
        >>> mixture.score_samples([[2.0, 54.0], [3.0, 70.0]]).round(2)
        array([-3.47, -7.73])
        >>> mixture.score_samples(
        ...     [[2.0, 54.0], [3.0, 70.0]], posterior_predictive=True
        ... ).round(2)
        array([-3.46, -7.54])
        """
        if not posterior_predictive:
            return super().score_samples(X)
        self._check_is_fitted()
        structure = STRUCTURES[self.covariance_type]
        how = self._student(), structure, self._parameters(), self._null
        write = partial(_write_predictive, *how)
        return evaluate_rows(self, X, self._density, write, ())

    def sample(
        self,
        n_samples: int = 1,
        random_state: RandomState = None,
        given: Given | None = None,
        *,
        posterior_predictive: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw from the mixture, in random order.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; a float must be a whole number.

        random_state : int, RandomState instance or None, default=None
            Seed. None: the estimator's `random_state`.

        given : mapping, or array-like of shape (n_features,), default=None
            Values of features, or a row with NaN where there is none: the others are
            drawn from their law given these, from the Gaussians.

        posterior_predictive : bool, default=False
            Whether to draw from the posterior predictive distribution. False: as
            scikit-learn, from the Gaussians of `weights_`, `means_` and `covariances_`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows.

        y : ndarray of shape (n_samples,)
            The component that each row was drawn from.

        Raises
        ------
        ValueError
            If `n_samples` is less than one, or not a whole number; if `given` is not
            as above, or comes with `posterior_predictive`.

        Examples
        --------
        >>> from skem import BayesianGaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = BayesianGaussianMixture(2, random_state=0).fit(X)
        >>> rows, labels = mixture.sample(3, random_state=0, posterior_predictive=True)
        >>> rows.shape, labels.shape
        ((3, 2), (3,))
        """
        if not posterior_predictive:
            return super().sample(n_samples, random_state, given)
        if given is not None:
            raise ValueError("given needs posterior_predictive=False")
        rng = rng_of(self, random_state)
        X, labels = super().sample(n_samples, rng)
        student, means = self._student(), np.asarray(self.means_, dtype=float)
        freedom = student.degrees[labels]
        stretch = np.sqrt(student.widening[labels] * freedom / rng.chisquare(freedom))
        return means[labels] + stretch[:, None] * (X - means[labels]), labels


def _write_predictive(
    student: PredictiveMixture,
    structure: Structure,
    parameters: Parameters,
    null: NullSpace | None,
    expectation: Kernel,
    out: np.ndarray,
    block: Block,
    ws: Workspace,
) -> None:
    info = np.finfo(out.dtype)
    gaussian = expectation.component_log_density(block, ws)
    if block.incomplete:
        log_density = np.empty(len(out))
        for observed, rows in Patterns.of(np.isnan(block.data)):
            marginal = student.marginal(structure, parameters, observed, null)
            log_density[rows] = marginal.log_density(gaussian[:, rows])
    else:
        log_density = student.log_density(gaussian)
    out[:] = np.clip(log_density, info.min, info.max)
