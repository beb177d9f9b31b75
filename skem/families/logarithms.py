"""Positive values by their logarithms, one column by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtr

from skem.families.column import (
    ColumnModel,
    mean_and_spread,
    observed,
    typical,
    widths_at,
    widths_of,
)
from skem.families.family import Family
from skem.families.model import Laws, Look, Model, Seen

SMALLEST_DEVIATION = 1e-6
"""Deviation of logarithms, at least, in units of that of all the data."""


class LogModel(ColumnModel):
    """Rows [mask, y, y²] of standardised logarithms y, in which `pooled` is, too."""

    def rows(self, values: np.ndarray) -> np.ndarray:
        """[mask, mask · y, mask · y²]."""
        mask = ~np.isnan(values[0])
        mean, spread = self.place
        y = np.zeros(len(mask))
        y[mask] = (np.log(values[0, mask]) - mean) / spread
        squares = y**2
        if self.widths is not None:
            logs = np.log(values[0, mask])
            squares[mask] += (widths_at(self.widths, logs) / spread) ** 2
        return np.stack([mask, y, squares])

    def _standard(self, laws: Laws) -> Laws:
        mean, spread = self.place
        return {
            "mean": (laws["mean"] - mean) / spread,
            "standard_deviation": laws["standard_deviation"] / spread,
        }

    def _theta(self, laws: Laws) -> np.ndarray:
        theta = super()._theta(self._standard(laws))
        theta[:, 0] -= np.log(self.place[1])
        return theta

    def maximise(self, seen: Seen, previous: Laws | None) -> Laws:
        """Mean and deviation of logarithms."""
        found, (mean, spread) = super().maximise(seen, previous), self.place
        return {
            "mean": mean + spread * found["mean"],
            "standard_deviation": spread * found["standard_deviation"],
        }

    def on_border(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Deviations that are as small as can be: all values are one."""
        small = self._standard(laws)["standard_deviation"] < 2 * SMALLEST_DEVIATION
        return np.column_stack([np.zeros(len(small), bool), small])

    def penalty(self, laws: Laws) -> float:
        """Of standardised logarithms."""
        return super().penalty(self._standard(laws))


class Logarithmic(Family):
    """A log-normal column: mean μ and deviation σ of logarithms l, T(x) = [l, l²]."""

    name = "lognormal"
    positive_parameters = ("standard_deviation",)
    logarithms = ("mean", "standard_deviation")
    _model = LogModel

    def check(self, x: np.ndarray) -> None:
        """Take any positive values."""

    def look(self, look: Look) -> Model:
        """Return the model, of standardised logarithms."""
        x, v = observed(look)
        logs = np.log(x)
        mean, spread = place = mean_and_spread(logs, v)
        kept = typical(v, x, logs)
        y = (logs[kept] - mean) / spread
        squares, widths = y**2, widths_of(replace(look, values=np.log(look.values)))
        if widths is not None:
            squares = squares + (widths_at(widths, logs[kept]) / spread) ** 2
        pooled = np.stack([y, squares]) @ (v[kept] / v[kept].sum())
        return replace(self.seen(pooled, look.epsilon, place), widths=widths)

    def statistics(self, x: np.ndarray) -> np.ndarray:
        """[l, l²]."""
        return np.stack([np.log(x), np.log(x) ** 2])

    def log_base(self, x: np.ndarray) -> np.ndarray:
        """−l."""
        return -np.log(x)

    def natural(self, laws: Laws) -> tuple[np.ndarray, np.ndarray]:
        """[μ/σ², −1/(2 σ²)] and μ²/(2 σ²) + log σ √(2π)."""
        mean, sd = laws["mean"], laws["standard_deviation"]
        norm = 0.5 * (mean / sd) ** 2 + np.log(sd) + 0.5 * np.log(2 * np.pi)
        return np.column_stack([mean / sd**2, -0.5 / sd**2]), norm

    def estimate(self, means: np.ndarray) -> Laws:
        """Mean and deviation."""
        mean = means[:, 0]
        variance = np.maximum(means[:, 1] - mean**2, SMALLEST_DEVIATION**2)
        return {"mean": mean, "standard_deviation": np.sqrt(variance)}

    def to_free(self, laws: Laws) -> np.ndarray:
        """[μ, log σ], which are orthogonal."""
        return np.column_stack([laws["mean"], np.log(laws["standard_deviation"])])

    def from_free(self, free: np.ndarray) -> Laws:
        """Undo `to_free`."""
        deviation = np.exp(np.clip(free[:, 1], -690, 690))
        return {"mean": free[:, 0], "standard_deviation": deviation}

    def information(self, laws: Laws) -> np.ndarray:
        """[1/σ², 2]."""
        precision = 1 / laws["standard_deviation"] ** 2
        return np.column_stack([precision, np.full(len(precision), 2.0)])

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Logarithms."""
        return np.log(x)

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """Φ((log x − μ)/σ), and zero of what is not positive."""
        mean, sd = laws["mean"][:, None], laws["standard_deviation"][:, None]
        with np.errstate(divide="ignore", over="ignore"):
            return ndtr((np.log(np.maximum(x, 0.0)) - mean) / sd)

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw from it."""
        logs = rng.normal(laws["mean"][k], laws["standard_deviation"][k], n)
        return np.exp(np.clip(logs, -690, 690))

    def expected(self, laws: Laws) -> np.ndarray:
        """Exp (μ + σ²/2)."""
        logs = laws["mean"] + laws["standard_deviation"] ** 2 / 2
        return np.exp(np.minimum(logs, 700))
