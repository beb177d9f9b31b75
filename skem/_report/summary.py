"""What is to be said about a fitted mixture, as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import entr

from skem._report.describe import describe
from skem._report.text import as_html, as_text
from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import scoring_coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.expectation import Expectation
from skem.core.mixture.totals import Totals


@dataclass(frozen=True, eq=False, repr=False)
class MixtureSummary:
    """What `summary` returns: numbers as attributes, tables when it is printed.

    Those that need data are None in a summary without.

    Attributes
    ----------
    covariance_type : str
        The structure of the covariances.

    feature_names : tuple of str
        Names of the features: those seen in `fit`, or x0, x1, ...

    n_parameters : int
        Number of free parameters.

    weights : ndarray of shape (n_components,)
        Weights.

    means : ndarray of shape (n_components, n_features)
        Means.

    standard_deviations : ndarray of shape (n_components, n_features)
        Marginal standard deviations.

    correlations : ndarray
        The different correlation matrices: of shape (n_components, n_features,
        n_features), (1, n_features, n_features) if the covariance is shared, and
        (0, n_features, n_features) if features are uncorrelated by assumption.

    overlap : ndarray of shape (n_components, n_components)
        Bhattacharyya coefficients ∫ √(p_j p_k) of the components' densities: 1 if two
        are the same, 0 if they are apart.

    lower_bound : float or None
        `lower_bound_`, None if the mixture was not fitted to data.

    converged : bool or None
        `converged_`, None if the mixture was not fitted to data.

    noise_weight : float or None
        `noise_weight_`, None if there is no noise.

    n_samples : float or None
        Number of rows N, or sum of their weights.

    sizes : ndarray of shape (n_components,) or None
        Number of rows, or sum of their weights, of which each component is the most
        probable.

    effective_sizes : ndarray of shape (n_components,) or None
        Sums of the (weighted) responsibilities.

    log_likelihood : float or None
        Total log-likelihood, in nats.

    bic, aic, icl : float or None
        As the methods of these names; the lower the better.

    entropy : float or None
        −Σ v r log r of the responsibilities, in nats: from 0, where every row has but
        one possible component, to N log K.

    df : ndarray of shape (n_components,) or None
        Degrees of freedom of t components; `standard_deviations` are then those of
        the scale matrices.
    """

    covariance_type: str
    feature_names: tuple[str, ...]
    n_parameters: int
    weights: np.ndarray
    means: np.ndarray
    standard_deviations: np.ndarray
    correlations: np.ndarray
    overlap: np.ndarray
    lower_bound: float | None
    converged: bool | None
    noise_weight: float | None = None
    n_samples: float | None = None
    sizes: np.ndarray | None = None
    effective_sizes: np.ndarray | None = None
    log_likelihood: float | None = None
    bic: float | None = None
    aic: float | None = None
    icl: float | None = None
    entropy: float | None = None
    df: np.ndarray | None = None

    def on_data(self, found: Agreement, total: float) -> MixtureSummary:
        """Add what is known of data with total weight N."""
        totals = found.totals
        bic = -2 * totals.loglik + self.n_parameters * math.log(total)
        return replace(
            self,
            n_samples=total,
            sizes=found.sizes,
            effective_sizes=found.effective_sizes,
            log_likelihood=totals.loglik,
            bic=bic,
            aic=-2 * totals.loglik + 2 * self.n_parameters,
            icl=bic - 2 * totals.certainty,
            entropy=found.entropy,
        )

    def __str__(self) -> str:
        return "\n\n".join(map(as_text, describe(self)))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        tables = "\n".join(map(as_html, describe(self)))
        return f'<section class="skem-summary">\n{tables}\n</section>'


def correlations(structure: Structure, parameters: Parameters) -> np.ndarray:
    """Return the different correlation matrices: (K, d, d), (1, d, d) or (0, d, d)."""
    _, d = parameters.shape
    cholesky = parameters.precisions_cholesky
    if not structure.matrices:
        return np.empty((0, d, d))
    deviations = structure.standard_deviations(cholesky, parameters.shape)
    cholesky = cholesky.reshape(-1, d, d)
    # Of features in units of their deviations, the covariances are the correlations.
    inverse = np.linalg.inv(cholesky * deviations[: len(cholesky), :, None])
    return np.swapaxes(inverse, 1, 2) @ inverse


def bhattacharyya(structure: Structure, parameters: Parameters) -> np.ndarray:
    """Bhattacharyya coefficients of all pairs of components, (K, K).

    With Σ = (Σ_j + Σ_k)/2 and δ = μ_j − μ_k, minus the logarithm of a coefficient is
    ⅛ δᵀΣ⁻¹δ + ½ log(|Σ| / √(|Σ_j| |Σ_k|)).
    """
    coordinates = scoring_coordinates(structure, parameters, np.dtype(float))
    inward = coordinates.inward(structure, parameters)
    K, d = inward.shape
    covariances = structure.covariances(inward.precisions_cholesky)
    log_det = np.broadcast_to(structure.log_det(inward.precisions_cholesky, d), K)
    overlap = np.eye(K)
    for j in range(K):
        middle = covariances
        if not structure.shared:
            middle = covariances[j] / 2 + covariances / 2
        cholesky, _ = structure.factor(middle)
        with np.errstate(over="ignore"):
            offsets = structure.whiten_rows(cholesky, inward.means - inward.means[j])
            distances = np.square(offsets).sum(axis=1) / 8
        # log|U| is −½ log|Σ|.
        distances += (log_det + log_det[j]) / 2 - structure.log_det(cholesky, d)
        overlap[j, j + 1 :] = np.exp(-np.maximum(distances, 0.0))[j + 1 :]
    return np.maximum(overlap, overlap.T)


@dataclass(frozen=True)
class Agreement:
    """Sums over data of what a summary says of them; adding joins two parts of it."""

    totals: Totals
    entropy: float
    sizes: np.ndarray
    effective_sizes: np.ndarray

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.totals + other.totals,
            self.entropy + other.entropy,
            self.sizes + other.sizes,
            self.effective_sizes + other.effective_sizes,
        )


def agreement(expectation: Expectation, blocks: Blocks) -> Agreement:
    """Evaluate the mixture on data, in one pass."""
    K = len(expectation.form.parameters.weights)

    def kernel(block: Block, workspace: Workspace) -> Agreement:
        log_density, log_largest, resp = expectation.classified(block, workspace)
        weight = np.ones(len(log_density)) if block.weight is None else block.weight
        return Agreement(
            Totals.of(block, log_density, log_largest),
            float(entr(resp).sum(axis=0) @ weight),
            # Without noise, the last row.
            np.bincount(resp.argmax(axis=0), weights=weight, minlength=K)[:K],
            resp[:K] @ weight,
        )

    found = blocks.fold(kernel, 2 * expectation.values_per_sample)
    return replace(found, totals=found.totals.finite())
