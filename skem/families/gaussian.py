"""The Gaussian: one column, or a group of them with a covariance structure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import logsumexp, ndtr

from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.regularization import ScaleFreePenalty
from skem.core.mixture.em import EMMap
from skem.families.family import Kind, positive
from skem.families.gaussian_model import GaussianModel
from skem.families.logarithms import Logarithmic
from skem.families.model import Laws, Look, Model


class Gaussian(Kind):
    """Normal law of a column, or the joint one of a group of columns.

    Parameters
    ----------
    covariance_type : str, default='full'
        The structure of the covariances of the group, as in
        :class:`skem.GaussianMixture`. With 'diag' columns are independent given the
        component.

    Raises
    ------
    ValueError
        If there is no structure of that name.

    See Also
    --------
    skem.MixtureModel : Takes it for columns.

    Examples
    --------
    >>> from skem import MixtureModel
    >>> from skem.families.gaussian import Gaussian
    >>> model = MixtureModel(families=[(Gaussian("diag"), [0, 1])])
    """

    name = "gaussian"
    positive_parameters = ("standard_deviation",)
    multivariate = True

    def __init__(self, covariance_type: str = "full") -> None:
        if covariance_type not in SHAPES:
            raise ValueError(
                f"covariance_type must be one of {sorted(SHAPES)}; got "
                f"{covariance_type!r}."
            )
        self.covariance_type = covariance_type

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.covariance_type!r})"

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return what is Gaussian."""
        return x

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Undo `transform`."""
        return z

    def rise(self, resp: np.ndarray, offsets: np.ndarray, variances: np.ndarray) -> Any:
        """Return how far the transform of the mean is above the transformed mean.

        Of mixtures with weights (K, n), whose components have means at offsets
        (K, d, n) from the common one.
        """
        return 0.0

    def log_slope(self, x: np.ndarray) -> np.ndarray:
        """Log-derivative of `transform`."""
        return np.zeros(x.shape)

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """Φ((x − μ)/σ), of a column of its group."""
        mean, sd = laws["mean"][:, None], laws["standard_deviation"][:, None]
        with np.errstate(over="ignore"):
            return ndtr((x - mean) / sd)

    def look(self, look: Look) -> Model:
        """Return the model, its penalty on the scale of clusters."""
        X = np.ascontiguousarray(self.transform(look.values).T)
        missing = np.isnan(X)
        weight = np.where(missing.all(axis=1), 0.0, look.weight)
        blocks = ArrayBlocks(X, weight, Workers(), np.dtype(float), missing.any())
        structure = SHAPES[self.covariance_type]
        em = EMMap.prepare(blocks, structure, look.n_components, "auto")
        penalty = em.regularization
        assert isinstance(penalty, ScaleFreePenalty)
        if look.given:
            penalty = replace(penalty, epsilon=look.epsilon)
        return GaussianModel(self, structure, em.coordinates, penalty, X.shape[1])


class LogNormal(Gaussian):
    """Positive values, the logarithms of which are Gaussian.

    Parameters
    ----------
    covariance_type : str, default='full'
        Structure of the covariances of the logarithms, as for `GaussianMixture`.

    Raises
    ------
    ValueError
        If there is no structure of that name.
    """

    name = "lognormal"
    logarithms = ("mean", "standard_deviation")

    def check(self, x: np.ndarray) -> None:
        """Require positive values."""
        positive(x)

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Log x."""
        return np.log(x)

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """Φ((log x − μ)/σ), and zero of what is not positive."""
        return Logarithmic().cdf(laws, x)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Exp z, in the range of numbers."""
        return np.exp(np.clip(z, -700, 700))

    def rise(
        self, resp: np.ndarray, offsets: np.ndarray, variances: np.ndarray
    ) -> np.ndarray:
        """Log Σ_k r_k exp(μ_k + σ_k²/2), with μ_k about their mean."""
        return logsumexp(offsets + variances / 2, axis=0, b=resp[:, None])

    def log_slope(self, x: np.ndarray) -> np.ndarray:
        """−log x."""
        return -np.log(x)
