"""Marginals of a mixture, whatever the structure of its covariances.

A marginal of a Gaussian mixture is a Gaussian mixture with the same weights and the
sub-vectors and sub-matrices of the parameters; one of a t mixture has the same degrees
of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg.lapack import dtrtri

from skem._fitted.mixture import FittedMixture
from skem._inputs.array_api import numpy_of
from skem._inputs.validation import check_mixture
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.parameters import Parameters
from skem.core.student.parameters import StudentParameters
from skem.gaussian_mixture import GaussianMixture
from skem.student_mixture import StudentMixture

NEEDED = ("weights_", "means_", "precisions_cholesky_", "covariance_type")


def mixture_of(estimator: Any) -> Any:
    """Return a fitted Gaussian mixture, skem's or scikit-learn's, or a search's."""
    return check_mixture(
        estimator,
        "Gaussian mixture",
        NEEDED,
        other=("families_", "TableDisplay draws mixtures of tables."),
    )


def roots(estimator: Any) -> np.ndarray:
    """Return A with Σ = A Aᵀ for each component, shape (K, d, d)."""
    structure = SHAPES[estimator.covariance_type]
    # Of scikit-learn's mixtures too, which may have been built by hand.
    cholesky = structure.upper_factor(numpy_of(estimator.precisions_cholesky_, float))
    K, d = np.shape(estimator.means_)
    # Noise of unit covariance gets covariance Σ by the linear map A.
    return np.stack([structure.color(cholesky, k, np.eye(d)) for k in range(K)])


def marginal(
    estimator: Any, features: Sequence[int]
) -> GaussianMixture | StudentMixture:
    """Return the marginal mixture of some features, with full covariances."""
    chosen = list(features)
    means = numpy_of(estimator.means_, float)[:, chosen]
    return _of_roots(estimator, means, roots(estimator)[:, chosen])


def projected(estimator: Any, directions: np.ndarray) -> GaussianMixture:
    """Return the mixture of Vᵀ(x − μ), with μ the mean of the mixture."""
    means = numpy_of(estimator.means_, float)
    offsets = means - numpy_of(estimator.weights_, float) @ means
    rows = np.einsum("dp,kde->kpe", directions, roots(estimator))
    return _of_roots(estimator, offsets @ directions, rows)


def _of_roots(estimator: Any, means: np.ndarray, rows: np.ndarray) -> GaussianMixture:
    """Return a mixture with covariances A Aᵀ, for A (K, p, d)."""
    # Through factors, which have half the range of exponents of the covariances:
    # A Aᵀ = Rᵀ R for Aᵀ = Q R, and so U = R⁻¹.
    upper = np.asarray(np.linalg.qr(np.swapaxes(rows, 1, 2), mode="r"))
    sign = np.where(np.einsum("kii->ki", upper) < 0, -1.0, 1.0)
    upper = upper * sign[:, :, None]
    limit = np.finfo(float).max
    cholesky = np.stack([dtrtri(factor, lower=0)[0] for factor in upper])
    cholesky = np.clip(np.nan_to_num(cholesky, nan=0.0), -limit, limit)
    with np.errstate(over="ignore", under="ignore"):
        covariances = np.swapaxes(upper, 1, 2) @ upper
    weights = numpy_of(estimator.weights_, float)
    parameters = Parameters(weights, means, cholesky)
    mixture: GaussianMixture | StudentMixture
    if hasattr(estimator, "df_"):
        mixture = StudentMixture(len(weights), random_state=0)
        df = numpy_of(estimator.df_, float)
        parameters = StudentParameters.of(parameters, df)
    else:
        mixture = GaussianMixture(len(weights), random_state=0)
    mixture._set_parameters(parameters, np.clip(covariances, -limit, limit))
    mixture.n_features_in_ = means.shape[1]
    return mixture


def standard_deviations(mixture: FittedMixture) -> np.ndarray:
    """Return the standard deviation of each feature in each component, (K, d)."""
    structure = SHAPES[mixture.covariance_type]
    return structure.standard_deviations(
        mixture.precisions_cholesky_, mixture.means_.shape
    )
