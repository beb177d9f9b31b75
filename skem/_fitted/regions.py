"""Regions of highest density: the mass of a mixture below a level."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skem._fitted.density import write_log_density
from skem._fitted.kept import kept
from skem._fitted.sampling import Sampling, check_n_draws, colored, draw
from skem._fitted.support import (
    MOST_KEPT,
    Sampled,
    Support,
    exact_support,
)
from skem._inputs.array_api import like_given
from skem._inputs.blocks import evaluate_array, evaluate_rows
from skem._inputs.dask import check_dask_data, map_lazily
from skem._inputs.frames import is_dask
from skem._inputs.typing import RandomState
from skem._inputs.validation import (
    Data,
    check_data,
    seed_of,
)
from skem.core.gaussian.covariance import SHAPES, Structure
from skem.core.gaussian.far import without_empty
from skem.core.gaussian.marginals import marginal_parameters
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters
from skem.core.incomplete.patterns import Patterns

WHOLE = slice(None)
"""All of the features."""
SAMPLED_VALUES = 2**20
"""Numbers that are drawn at a time, where only their density is wanted."""


class Regions(Sampling):
    """Says how unusual rows are, by the mass of what is less dense."""

    def support_probability(
        self,
        X: ArrayLike,
        n_samples: int = 100_000,
        random_state: RandomState = None,
    ) -> np.ndarray:
        """Probability that a draw of the mixture has a lower density than each row.

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
            more than one feature and more than one component, or with `noise`. The
            standard error is then at most 0.5/√n_samples, and a probability at least
            1/(n_samples + 1). Otherwise nothing is drawn, and the mass is exact.

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
            `n_samples` is less than one, or not a whole number.

        Notes
        -----
        In simulations in which the model is right, of new rows 1.0 % were below 0.01
        after fits to 1000 rows of 2 features with two full components; 1.5 % after
        fits to 400 rows of 5 features with three; and 17 % after fits to 250 rows of 30
        features with two, where diagonal ones left 1.5 %. For a threshold that keeps
        its rate on new rows take :class:`MixtureOutlierDetector`.

        With `noise` no density is below that of the noise alone, which much of the
        region has to the last digit. The probability there is the mass of all of it: a
        row among the noise is nothing unusual.

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
        self._check_arguments("support_probability", random_state=random_state)
        self._check_is_fitted()
        n_samples = check_n_draws(n_samples)
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
        structure, parameters = SHAPES[self.covariance_type], self._parameters()
        seed = seed_of(self, random_state)
        for observed, places in Patterns.of(missing[:, found]):
            rows = found[places]
            if not observed.any():
                mass[rows] = 1.0
                continue
            own, marginal = marginal_parameters(structure, parameters, observed)
            null = None
            if self._null is not None:
                null = self._null.marginal(np.flatnonzero(observed))
            of_these = self._support_of(own, marginal, n_samples, seed, null, observed)
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
            If `prob` is not between 0 and 1, or `n_samples` is less than one or not a
            whole number.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
        >>> border = mixture.score_samples([[1.959964]])
        >>> print(round(mixture.hdr_level(0.95), 4), border.round(4))
        -2.8397 [-2.8397]
        """
        self._check_arguments("hdr_level", prob=prob, random_state=random_state)
        self._check_is_fitted()
        n_samples = check_n_draws(n_samples)
        return self._support(n_samples, random_state).level(1 - prob)

    def _support_of(
        self,
        structure: Structure,
        parameters: Parameters,
        n_samples: int,
        seed: Any,
        null: NullSpace | None,
        observed: slice | np.ndarray = WHOLE,
    ) -> Support:
        """Return the support of a density, by draws where there is no closed form.

        It is that of some features, `observed`, with what they have of a `null` space.
        """
        background, q = self._background, 0 if null is None else null.size
        found = None if background else exact_support(structure, parameters, q)
        if found is not None:
            return found
        rng = check_random_state(seed)
        rows = max(1, SAMPLED_VALUES // parameters.shape[1])
        # Of the density, not by `sample`, which goes by edited covariances.
        color = colored(structure, parameters.precisions_cholesky, null)
        weights, means = parameters.weights, parameters.means
        log_widths = None if background is None else background.log_widths[observed]
        weighed = without_empty(structure, parameters)
        at = partial(self._density_at, structure, weighed, log_widths, null)
        log_density = []
        for start in range(0, n_samples, rows):
            X, labels = draw(weights, means, color, min(rows, n_samples - start), rng)
            X = self._stretched(X, labels, rng, parameters)
            if background is not None:
                noise = rng.uniform(size=len(X)) < parameters.noise_weight
                X[noise] = background.draw(int(noise.sum()), rng)[:, observed]
            data = Data(X, False)
            log_density.append(evaluate_array(data, at, write_log_density, ()))
        return Sampled(np.sort(np.concatenate(log_density)))

    def _support(self, n_samples: int, random_state: RandomState) -> Support:
        parameters = self._parameters()
        seed = seed_of(self, random_state)
        noise = self._background
        region = None if noise is None else (*noise.log_widths, *noise.corner)
        key = (self.covariance_type, n_samples, seed, region)

        def make() -> Support:
            structure = SHAPES[self.covariance_type]
            return self._support_of(structure, parameters, n_samples, seed, self._null)

        # A generator and None are to give new draws each time.
        if isinstance(seed, Integral) and n_samples <= MOST_KEPT:
            return kept(self, "support", key, parameters.arrays, make)
        return make()

    def _bells(self, squares: np.ndarray) -> np.ndarray:
        """Densities (K, n) of one feature at squared distances, relative to peaks."""
        return np.exp(-0.5 * squares)

    def _peak_ratios(self) -> np.ndarray | float:
        """Peaks of these densities, in those of Gaussians."""
        return 1.0
