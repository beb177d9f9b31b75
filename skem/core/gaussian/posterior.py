"""The posterior of a Bayesian mixture, as an E-step sees it.

q(θ) is a product of a posterior of the weights and of Gauss-Wishart ones, μ_k | Λ_k ~
N(m_k, (β_k Λ_k)⁻¹) and Λ_k ~ W(W_k, ν_k). An E-step at q has the kernel of the Gaussian
mixture with means m_k, precisions ν_k W_k, and other constants in place of log w_k
(Bishop 2006, Pattern Recognition and Machine Learning, section 10.2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from scipy.special import betaln, digamma, gammaln

from skem.core.gaussian.parameters import Parameters

LOG_2 = float(np.log(2))


@dataclass(frozen=True)
class Posterior(Parameters):
    """Parameters of q: E w_k, m_k, the factor U of ν_k W_k = U Uᵀ, and two more.

    - `log_effective`: what stands for log w_k, see `effective_log_weights`
    - `counts`: n_k, the weight of the rows that q has seen of each component

    All else that q has, such as β_k and ν_k, comes from the prior and the counts.
    """

    log_effective: np.ndarray
    counts: np.ndarray

    @property
    def log_weights(self) -> np.ndarray:
        """What stands for log w_k."""
        return self.log_effective

    def ordered(self, order: np.ndarray, cholesky: np.ndarray) -> Self:
        """Return the components in another order, with their factors in that order."""
        found = super().ordered(order, cholesky)
        return replace(
            found,
            log_effective=self.log_effective[order],
            counts=self.counts[order],
        )


def wishart_digammas(degrees: np.ndarray, n_features: int) -> np.ndarray:
    """Σ_i ψ((ν + 1 − i)/2), i = 1 … d."""
    halves = (np.asarray(degrees)[..., None] - np.arange(n_features)) / 2
    return np.asarray(digamma(halves).sum(axis=-1))


def effective_log_weights(
    expected: np.ndarray, precision: Any, degrees: Any, n_features: int
) -> np.ndarray:
    """E log w_k + ½ (E log|Λ_k| − log|ν_k W_k| − d/β_k).

    With log|U_k| and −½ (x − m_k)ᵀ ν_k W_k (x − m_k) it is E log w_k N(x | μ_k, Λ_k⁻¹),
    less (d/2) log 2π.
    """
    d, degrees = n_features, np.asarray(degrees, dtype=float)
    curvature = wishart_digammas(degrees, d) + d * (LOG_2 - np.log(degrees))
    return np.asarray(expected + 0.5 * (curvature - d / precision))


class WeightPrior(Protocol):
    """A prior of K weights, and their posterior for given counts.

    Of K components those that there are no counts of are empty, the last ones.
    """

    @property
    def concentration(self) -> float:
        """γ."""

    @property
    def truncation(self) -> int | None:
        """K; None for as many as there are counts of."""

    def update(self, counts: np.ndarray) -> Any:
        """Return the concentration of the posterior."""

    def expected(self, concentration: Any) -> np.ndarray:
        """E w_k, normalised."""

    def expected_log(self, concentration: Any) -> np.ndarray:
        """E log w_k."""

    def divergence(self, concentration: Any) -> Any:
        """KL divergence of the posterior from the prior."""


@dataclass(frozen=True)
class Dirichlet:
    """w ~ Dirichlet(γ, …, γ); a concentration is an array (…, K)."""

    concentration: float
    truncation: int | None = None

    def _total(self, concentration: np.ndarray) -> tuple[int, np.ndarray]:
        """K, and the sum of the concentrations, those of empty components too."""
        here = concentration.shape[-1]
        K = here if self.truncation is None else self.truncation
        total = concentration.sum(axis=-1, keepdims=True)
        return K, total + (K - here) * self.concentration

    def update(self, counts: np.ndarray) -> np.ndarray:
        return self.concentration + counts

    def expected(self, concentration: np.ndarray) -> np.ndarray:
        return concentration / concentration.sum(axis=-1, keepdims=True)

    def expected_log(self, concentration: np.ndarray) -> np.ndarray:
        _, total = self._total(concentration)
        return np.asarray(digamma(concentration) - digamma(total))

    def divergence(self, concentration: np.ndarray) -> Any:
        gamma, here = self.concentration, concentration.shape[-1]
        K, total = self._total(concentration)
        # Of those that are empty the terms are the same in both.
        prior = gammaln(K * gamma) - here * gammaln(gamma)
        own = gammaln(total[..., 0]) - gammaln(concentration).sum(axis=-1)
        expected = (concentration - gamma) * self.expected_log(concentration)
        return own - prior + expected.sum(axis=-1)


@dataclass(frozen=True)
class Sticks:
    """A Dirichlet process, truncated: w_k = v_k Π_{j<k} (1 − v_j), v_k ~ Beta(1, γ).

    A concentration is the pair of arrays (…, K) of Beta parameters. The sticks after
    the last one with rows change nothing before them.
    """

    concentration: float
    truncation: int | None = None

    def update(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        after = np.zeros_like(counts)
        # Summed from the last, so that little is not lost beside much.
        after[..., :-1] = np.cumsum(counts[..., :0:-1], axis=-1)[..., ::-1]
        return 1 + counts, self.concentration + after

    def expected(self, concentration: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        a, b = concentration
        left = np.ones_like(a)
        left[..., 1:] = np.cumprod((b / (a + b))[..., :-1], axis=-1)
        weights = a / (a + b) * left
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True))

    def _expected_logs(
        self, concentration: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """E log v and E log(1 − v)."""
        a, b = concentration
        total = digamma(a + b)
        return digamma(a) - total, digamma(b) - total

    def expected_log(self, concentration: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        broken, left = self._expected_logs(concentration)
        before = np.zeros_like(left)
        before[..., 1:] = np.cumsum(left[..., :-1], axis=-1)
        return np.asarray(broken + before)

    def divergence(self, concentration: tuple[np.ndarray, np.ndarray]) -> Any:
        (a, b), gamma = concentration, self.concentration
        broken, left = self._expected_logs(concentration)
        norms = betaln(1, gamma) - betaln(a, b)
        return (norms + (a - 1) * broken + (b - gamma) * left).sum(axis=-1)


WEIGHT_PRIORS: dict[str, type[Dirichlet] | type[Sticks]] = {
    "dirichlet_process": Sticks,
    "dirichlet_distribution": Dirichlet,
}
