"""Draws from a mixture."""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np

from skem._fitted.joint import Given, Joint
from skem._inputs.array_api import like_given, numpy_of
from skem._inputs.typing import RandomState
from skem._inputs.validation import rng_of
from skem.core.gaussian.covariance import SHAPES, Structure
from skem.core.gaussian.nullspace import Color, NullSpace
from skem.core.gaussian.parameters import Parameters, shares


def check_n_draws(n_samples: Any) -> int:
    """Require a number of draws, which may be a float."""
    number = isinstance(n_samples, Real)
    whole = number and (
        isinstance(n_samples, Integral) or float(n_samples).is_integer()
    )
    if not whole or n_samples < 1:
        reason = (
            "It should be a whole number."
            if not whole
            else "The sampling requires at least one sample."
        )
        shown = n_samples if number else repr(n_samples)
        raise ValueError(f"Invalid value for 'n_samples': {shown} . {reason}")
    return int(n_samples)


def colored(
    structure: Structure, cholesky: np.ndarray, null: NullSpace | None
) -> Color:
    """Return what gives noise the covariances, and no part in a null space."""
    color = partial(structure.color, cholesky)
    return color if null is None else null.without(color)


def draw(
    weights: np.ndarray,
    means: np.ndarray,
    color: Color,
    n_samples: int,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows and their components; `color` gives noise, (d, b), a covariance."""
    labels = rng.choice(len(weights), size=n_samples, p=shares(weights))
    X = rng.standard_normal((n_samples, means.shape[1]))
    for k in np.unique(labels):
        rows = labels == k
        X[rows] = means[k] + color(k, X[rows].T).T
    return X, labels


class Sampling(Joint):
    """Draws rows, also those that have given values."""

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
            evenly from its box.

        Raises
        ------
        ValueError
            If `n_samples` is less than one, or not a whole number; if `given` has an
            unknown feature, an infinite value, or a value for every feature.

        NotImplementedError
            If `given` is, and there is `noise` in a box along principal axes.

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
        n_samples = check_n_draws(n_samples)
        if given is None:
            drawn = self._sample(n_samples, random_state)
        else:
            drawn = self._sample_given(n_samples, random_state, given)
        X, labels = (like_given(self.means_, each) for each in drawn)
        return X, labels

    def _sample(
        self, n_samples: int, random_state: RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows and their components."""
        rng = rng_of(self, random_state)
        structure = SHAPES[self.covariance_type]
        by_hand = self._covariances_by_hand()
        color: Color
        if by_hand is None:
            cholesky = self._parameters().precisions_cholesky
            color = colored(structure, cholesky, self._null)
        else:
            color = partial(structure.draw, by_hand)
        weights = numpy_of(self.weights_, float)
        means = numpy_of(self.means_, float)
        background = self._background
        noise = np.zeros(n_samples, bool)
        if background is not None:
            noise = rng.uniform(size=n_samples) < max(1 - weights.sum(), 0.0)
        X, labels = draw(weights, means, color, n_samples, rng)
        X = self._stretched(X, labels, rng)
        if background is None:
            return X, labels
        X[noise] = background.draw(int(noise.sum()), rng)
        return X, np.where(noise, -1, labels)

    def _stretched(
        self,
        X: np.ndarray,
        labels: np.ndarray,
        rng: np.random.RandomState,
        parameters: Parameters | None = None,
    ) -> np.ndarray:
        """Turn Gaussian rows into those of the components, of parameters or its own."""
        return X
