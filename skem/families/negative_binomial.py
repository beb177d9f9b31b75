"""Counts that vary more than Poisson's: the negative binomial."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betainc, digamma, lambertw, xlog1py

from skem.families.column import OneColumn, mean_and_spread, observed, typical
from skem.families.family import LARGEST_COUNT, Kind, whole_numbers
from skem.families.far import LARGEST
from skem.families.model import Bounds, Laws, Look, Model, Seen, about_zero
from skem.families.saddle_point import stirling

LEAST_SIZE, MOST_SIZE = 1e-3, 1e5
POOLED = 64
"""Quantiles that stand for the pooled data."""
POISSON = 0.01
"""Share of Poisson's value that is missing where a series begins Newton's method."""
NEWTON_STEPS = 3


class NegativeBinomial(Kind):
    """Counts with mean μ and size s: their variance is μ + μ²/s."""

    name = "negative_binomial"
    positive_parameters = ("mean", "size")
    discrete = True
    bounds = Bounds("size", 1, LEAST_SIZE, MOST_SIZE)

    def check(self, x: np.ndarray) -> None:
        """Require whole numbers from 0."""
        whole_numbers(x)

    def look(self, look: Look) -> Model:
        """Return the model: ε pseudo-observations of the pooled counts."""
        x, v = observed(look)
        embedded = self.embed(x)
        place, kept = mean_and_spread(embedded, v), typical(v, x, embedded)
        x, v = x[kept], v[kept]
        order = np.argsort(x, kind="stable")
        places = (np.cumsum(v[order]) - v[order] / 2) / v.sum()
        chosen = np.searchsorted(places, (np.arange(POOLED) + 0.5) / POOLED)
        pooled = x[order][np.minimum(chosen, len(x) - 1)]
        least = max(float(np.average(x, weights=v)) * 1e-9, 1e-12)
        return NegativeBinomialModel(pooled, look.epsilon, place, least)

    def to_free(self, laws: Laws) -> np.ndarray:
        """[log μ, log s]."""
        return np.log(np.column_stack([laws["mean"], laws["size"]]))

    def from_free(self, free: np.ndarray) -> Laws:
        """Undo `to_free`."""
        mean, size = free.T
        low, high = np.log(LEAST_SIZE), np.log(MOST_SIZE)
        return {
            "mean": np.exp(np.clip(mean, -690, 690)),
            "size": np.exp(np.clip(size, low, high)),
        }

    def information(self, laws: Laws) -> np.ndarray:
        """Return that of the mean, and of what the step for the size maximises."""
        s, mean = laws["size"], laws["mean"]
        of_mean = mean / (1 + mean / s)
        of_size = np.maximum(s * np.log1p(mean / s) - of_mean, 1e-12)
        return np.column_stack([of_mean, of_size])

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Roots."""
        return np.sqrt(x)

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """Return that of counts up to x."""
        mean, size = laws["mean"][:, None], laws["size"][:, None]
        # SciPy 1.13 has no number for infinite ones.
        some = np.floor(np.clip(x, 0.0, LARGEST)) + 1
        return np.where(x < 0, 0.0, betainc(size, some, size / (size + mean)))

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw Poisson counts of gamma rates, none larger than columns may have."""
        mean, size = laws["mean"][k], laws["size"][k]
        rate = np.minimum(rng.gamma(size, mean / size, n), 1e17)
        return np.minimum(rng.poisson(rate), LARGEST_COUNT)

    def expected(self, laws: Laws) -> np.ndarray:
        """μ."""
        return laws["mean"]


@dataclass(frozen=True)
class NegativeBinomialModel(OneColumn):
    """Rows [mask, x]; sums Σ r [1, x, s (ψ(x + s) − ψ(s))].

    log Γ(x + s) − log Γ(s) = Σ_{j < x} log(j + s), and log(j + s) is at least
    s⁰/(j + s⁰) log s and a constant. With c the mean of what these add up to, the step
    solves s log(1 + μ/s) = c, with μ the mean: it never lowers the likelihood.
    """

    pooled: np.ndarray
    epsilon: float
    place: tuple[float, float]
    least: float
    unique: np.ndarray | None = None

    family = NegativeBinomial()
    linear = False
    n_rows = 3
    least_points = 2

    def of(self, values: np.ndarray) -> NegativeBinomialModel:
        """Return the model with the different counts, of which it makes tables."""
        return replace(self, unique=np.unique(np.nan_to_num(values)))

    def rows(self, values: np.ndarray) -> np.ndarray:
        """[mask, x, place of x in the table]."""
        assert self.unique is not None
        mask = ~np.isnan(values)
        x = np.where(mask, values, 0.0)
        return np.vstack([mask, x, np.searchsorted(self.unique, x)])

    def base(self, values: np.ndarray) -> np.ndarray:
        """−log(x! eˣ x⁻ˣ)."""
        return -stirling(np.nan_to_num(values[0]))

    def on_border(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Means of about zero, beside which no size is better than another."""
        low = (self.epsilon == 0) & about_zero(laws["mean"][:, None], counts)
        return np.repeat(low, 2, axis=1)

    def coefficients(self, laws: Laws) -> None:
        """Return None: log-densities are not linear."""

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """Log-densities less the base, from a table of the different counts."""
        assert self.unique is not None
        mask, _, place = rows
        found = _table(self.unique, laws).take(place.astype(np.intp), axis=1)
        return found if mask.all() else found * mask

    def sums(self, laws: Laws, rows: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Σ r [1, x, s (ψ(x + s) − ψ(s))]."""
        assert self.unique is not None
        mask, x, place = rows
        tables = _shares(self.unique, laws["size"])
        r = resp * mask
        rising = np.einsum("kb,kb->k", r, tables[:, place.astype(np.intp)])
        return np.stack([r.sum(axis=1), r @ x, rising], axis=1)

    def maximise(self, seen: Seen, previous: Laws | None) -> Laws:
        """Mean, and the size."""
        assert previous is not None
        sums = seen.sums
        prior = np.stack(
            [
                np.ones(len(sums)),
                np.full(len(sums), self.pooled.mean()),
                _shares(self.pooled, previous["size"]).mean(axis=1),
            ],
            axis=1,
        )
        n, first, rising = (sums + self.epsilon * prior).T
        there = n > 0
        n = np.where(there, n, 1.0)
        mean = np.maximum(first / n, self.least)
        size = solve_size(rising / n, mean)
        return {
            "mean": np.where(there, mean, previous["mean"]),
            "size": np.where(there, size, previous["size"]),
        }

    def start(self, rows: np.ndarray, resp: np.ndarray) -> Laws:
        """Start from moments."""
        r = resp * rows[0]
        n = np.maximum(r.sum(axis=1), 1e-300)
        mean = np.maximum(r @ rows[1] / n, self.least)
        more = np.maximum(r @ rows[1] ** 2 / n - mean**2 - mean, 1e-3 * mean)
        size = np.clip(mean**2 / more, 10 * LEAST_SIZE, MOST_SIZE / 10)
        start = {"mean": mean, "size": size}
        return self.maximise(Seen(self.sums(start, rows, resp), n, own=True), start)

    def penalty(self, laws: Laws) -> float:
        """−ε Σ_k mean log p_k of the pooled counts."""
        values = _table(self.pooled, laws) + self.base(self.pooled[None])
        return float(-self.epsilon * values.mean(axis=1).sum())


def _table(x: np.ndarray, laws: Laws) -> np.ndarray:
    """Return log p(x) + stirling(x), (K, n).

    That is stirling(x + s) − stirling(s) − log(1 + x/s) + s log((x + s)/(μ + s)) −
    x log(x (μ + s)/(μ (x + s))): no term is large where the probability is not small.
    """
    s, mean = laws["size"][:, None], laws["mean"][:, None]
    more = x + s
    found = stirling(more) - stirling(s) - np.log1p(x / s)
    found += s * (np.log(more) - np.log(mean + s))
    return found - xlog1py(x, s / mean * ((x - mean) / more))


def _shares(x: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return s (ψ(x + s) − ψ(s)) = Σ_{j < x} s/(j + s), (K, n)."""
    s = size[:, None]
    return s * (digamma(x + s) - digamma(s))


def solve_size(rising: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Solve s log(1 + μ/s) = c, which grows with s up to μ, within the bounds.

    With t = μ/s and y = c/μ it is log(1 + t) = y t, so that −y (1 + t) is the lower
    branch of Lambert's W at −y exp(−y). Where counts hardly vary more than Poisson's,
    that has few digits, and a series is near. Newton steps find the last ones.
    """
    least, most = mean / MOST_SIZE, mean / LEAST_SIZE
    y = np.clip(rising / mean, 1e-300, 1.0)
    gap = 1 - y
    far = -lambertw(-y * np.exp(-y), -1).real / y - 1
    t = np.clip(np.where(gap < POISSON, gap * (2 + 8 / 3 * gap), far), least, most)
    for _ in range(NEWTON_STEPS):
        slope = 1 / (1 + t) - y
        wrong = np.log1p(t) - y * t
        step = np.divide(wrong, slope, out=np.zeros(t.shape), where=slope < 0)
        t = np.clip(t - step, least, most)
    return mean / t
