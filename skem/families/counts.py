"""Counts: Poisson."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from skem.families.family import Family, Laws, whole_numbers

LEAST_RATE = 1e-300


class Poisson(Family):
    """Counts with rate λ: T(x) = x, η = log λ, A = λ."""

    name = "poisson"
    discrete = True

    def check(self, x: np.ndarray) -> None:
        """Require whole numbers from 0."""
        whole_numbers(x)

    def statistics(self, x: np.ndarray) -> np.ndarray:
        """Return x."""
        return x[None]

    def log_base(self, x: np.ndarray) -> np.ndarray:
        """−log x!."""
        return -gammaln(x + 1)

    def natural(self, laws: Laws) -> tuple[np.ndarray, np.ndarray]:
        """Log λ and λ."""
        return np.log(laws["rate"])[:, None], laws["rate"]

    def estimate(self, means: np.ndarray) -> Laws:
        """λ is the mean."""
        return {"rate": np.maximum(means[:, 0], LEAST_RATE)}

    def to_free(self, laws: Laws) -> np.ndarray:
        """Log λ."""
        return np.log(laws["rate"])[:, None]

    def from_free(self, free: np.ndarray) -> Laws:
        """Undo `to_free`."""
        return {"rate": np.exp(np.clip(free[:, 0], -690, 690))}

    def information(self, laws: Laws) -> np.ndarray:
        """λ, about log λ."""
        return laws["rate"][:, None]

    def embed(self, x: np.ndarray) -> np.ndarray:
        """2√x has a variance of about one, whatever λ (Anscombe)."""
        return 2 * np.sqrt(x + 0.375)

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw counts; beyond what fits an integer, their normal limit."""
        rate = laws["rate"][k]
        if rate < 1e17:
            return rng.poisson(rate, n)
        return np.floor(rng.normal(rate, np.sqrt(rate), n))

    def expected(self, laws: Laws) -> np.ndarray:
        """λ."""
        return laws["rate"]
