"""Marginals of mixtures, as mixtures of some of the features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skem.core.gaussian.covariance import STRUCTURES, Structure
from skem.core.gaussian.parameters import Parameters


def marginal_parameters(
    structure: Structure, parameters: Parameters, observed: np.ndarray
) -> tuple[Structure, Parameters]:
    """Return the mixture of some features, of one variance too as one of several."""
    means, cholesky = parameters.means[:, observed], parameters.precisions_cholesky
    if structure.matrices:
        factor = marginal_factor(cholesky, observed)
        return structure, replace(parameters, means=means, precisions_cholesky=factor)
    sd = structure.standard_deviations(cholesky, parameters.shape)[:, observed]
    marginal = replace(parameters, means=means, precisions_cholesky=1 / sd)
    return STRUCTURES["diag"], marginal


def independent_part(
    structure: Structure, parameters: Parameters, features: np.ndarray
) -> Parameters:
    """Return the mixture of features that have no correlation with the others."""
    cholesky = parameters.precisions_cholesky[..., features]
    if structure.matrices:
        cholesky = cholesky[..., features, :]
    means = parameters.means[:, features]
    return replace(parameters, means=means, precisions_cholesky=cholesky)


def marginal_factor(cholesky: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the precision Cholesky factors of some features, from those of all."""
    rows = cholesky[..., ~observed, :]
    Q, _ = np.linalg.qr(np.swapaxes(rows, -1, -2))
    part = cholesky[..., observed, :]
    root = part - (part @ Q) @ np.swapaxes(Q, -1, -2)
    # With J the reversal of the order and (J A)ᵀ = Q R: J A Aᵀ J = Rᵀ R.
    R = np.linalg.qr(np.swapaxes(root[..., ::-1, :], -1, -2), mode="r")
    factor = np.swapaxes(R, -1, -2)[..., ::-1, ::-1]
    signs = np.sign(np.einsum("...ii->...i", factor))
    return factor * np.where(signs < 0, -1.0, 1.0)[..., None, :]
