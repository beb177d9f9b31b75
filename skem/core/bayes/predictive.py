"""The posterior predictive density of a Bayesian mixture: Student-t components.

With μ, Λ ~ Gauss-Wishart(m, β, W, ν) a new row has the density of a multivariate t with
ν + 1 − d degrees of freedom, location m and shape matrix (1 + β)/(β (ν + 1 − d)) W⁻¹
(Bishop 2006, equation 10.82).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaln, logsumexp

from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import LOG_2PI
from skem.core.gaussian.marginals import marginal_parameters
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters


@dataclass(frozen=True)
class PredictiveMixture:
    """Weights E w_k, and what turns a Gaussian of precision ν W into a t.

    Directions in which the data have no variance are no dimensions of it.

    - `peaks`: log-densities of the Gaussian components at their means, (K,)
    - `degrees`: ν + 1 − d of each t
    - `widening`: its shape matrix in units of the covariance (ν W)⁻¹
    """

    weights: np.ndarray
    peaks: np.ndarray
    degrees: np.ndarray
    widening: np.ndarray
    dimensions: int

    @classmethod
    def of(
        cls,
        structure: Structure,
        parameters: Parameters,
        precision: np.ndarray,
        degrees: np.ndarray,
        null: NullSpace | None = None,
    ) -> PredictiveMixture:
        """Take β (K,) and ν, (K,) or a single one."""
        K, d = parameters.shape
        d -= 0 if null is None else null.size
        degrees = np.broadcast_to(degrees, K).astype(float)
        freedom = degrees + 1 - d
        widening = degrees * (1 + precision) / (precision * freedom)
        peaks = _peaks(structure, parameters)
        return cls(parameters.weights, peaks, freedom, widening, d)

    def marginal(
        self,
        structure: Structure,
        parameters: Parameters,
        observed: np.ndarray,
        null: NullSpace | None = None,
    ) -> PredictiveMixture:
        """Return the density of some features, of the same parameters as `of`.

        Each t has the degrees of freedom and the widening that it has with all of them.
        """
        dimensions = int(np.count_nonzero(observed))
        peaks = np.zeros_like(self.peaks)
        if dimensions:
            own, marginal = marginal_parameters(structure, parameters, observed)
            peaks = _peaks(own, marginal)
        dimensions -= 0 if null is None else int(null.within(observed))
        return replace(self, peaks=peaks, dimensions=dimensions)

    def log_density(self, gaussian: np.ndarray) -> np.ndarray:
        """Log-density (b,) of rows at which the Gaussian components have (K, b)."""
        d, freedom = self.dimensions, self.degrees[:, None]
        widening = self.widening[:, None]
        with np.errstate(over="ignore", divide="ignore"):
            distances = np.maximum(2 * (self.peaks[:, None] - gaussian), 0) / widening
            tails = -0.5 * (freedom + d) * np.log1p(distances / freedom)
            log_weights = np.log(self.weights)[:, None]
        norms = gammaln((freedom + d) / 2) - gammaln(freedom / 2)
        norms = norms - 0.5 * d * (np.log(freedom / 2) + np.log(widening))
        # (df π)^(−d/2) |Σ|^(−½) in terms of the Gaussian's peak |U| (2π)^(−d/2).
        return np.asarray(
            logsumexp(log_weights + self.peaks[:, None] + norms + tails, axis=0)
        )


def _peaks(structure: Structure, parameters: Parameters) -> np.ndarray:
    K, d = parameters.shape
    log_det = structure.log_det(parameters.precisions_cholesky, d)
    return np.broadcast_to(log_det - 0.5 * d * LOG_2PI, K)
