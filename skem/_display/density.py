"""What is drawn of a density: where to look, its curves, regions and histogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skem._display.marginal import standard_deviations
from skem._fitted.mixture import FittedMixture
from skem.core.gaussian.storage import TINY

LEVEL_DRAWS = 20_000
"""Draws behind the levels: a mass of 0.5 is met with a standard error of 0.0035."""
IN_VIEW = 3.0
"""Standard deviations about each mean that are in view."""
AXIS_POINTS = 240
"""Points of an axis that are spread over the components, at about this number."""
MOST_BINS = 100
DECADES = 1e6
"""How far a density is in view below its top, where its axis is logarithmic."""
DRAWABLE = 1e300
"""Numbers are not drawn beyond this: checks for infinities add them up."""
RESOLUTION = 1e-11
"""Least width of a view relative to its place, for axes that are true to a pixel."""
RESOLVED = 1e3
"""Bins as wide as this many steps of the data need not be aligned with the steps."""


def within_limit(factor: float | np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return a product within what can be drawn."""
    with np.errstate(over="ignore"):
        return np.clip(factor * values, -DRAWABLE, DRAWABLE)


def drawable(X: np.ndarray) -> np.ndarray:
    """Return data in float64, within what can be drawn."""
    return np.clip(X.astype(float), -DRAWABLE, DRAWABLE)


def view(mixture: FittedMixture, j: int, x: np.ndarray | None) -> tuple[float, float]:
    """Return limits of feature j that show each component, and the data if given."""
    means, deviations = mixture.means_[:, j], standard_deviations(mixture)[:, j]
    present = mixture.weights_ > 0
    spread = within_limit(IN_VIEW, deviations)
    low, high = (means - spread)[present].min(), (means + spread)[present].max()
    if x is not None:
        # Data further out get a margin of a fiftieth.
        margin = max(x.max() / 50 - x.min() / 50, 0.0)
        low, high = min(low, x.min() - margin), max(high, x.max() + margin)
    low, high = np.clip([low, high], -DRAWABLE, DRAWABLE)
    # Limits that rounding has made equal would have no scale.
    width = RESOLUTION * max(abs(low), abs(high)) + TINY
    if high - low < width:
        low, high = low - width, high + width
    return float(low), float(high)


def positive(
    limits: tuple[float, float], mixture: FittedMixture, j: int, x: np.ndarray | None
) -> tuple[float, float]:
    """Return limits for a logarithmic axis: from the least positive value, or mean."""
    low, high = limits
    values = np.append(mixture.means_[:, j], [] if x is None else x)
    values = values[values > 0]
    return (float(values.min()) / 1.1, high) if low <= 0 < len(values) else limits


def axis_points(
    mixture: FittedMixture, j: int, limits: tuple[float, float], n: int
) -> np.ndarray:
    """Return points of an axis: evenly spread, and more about narrow components."""
    means, deviations = mixture.means_[:, [j]], standard_deviations(mixture)[:, [j]]
    offsets = np.linspace(-IN_VIEW, IN_VIEW, max(5, AXIS_POINTS // len(means)) | 1)
    about = (means + within_limit(offsets, deviations)).ravel()
    inside = about[(about > limits[0]) & (about < limits[1])]
    return np.union1d(np.linspace(*limits, n), inside)


def curves(mixture: FittedMixture, j: int, x: np.ndarray) -> np.ndarray:
    """w_k p_k(x_j) of each component, shape (K, len(x))."""
    deviations = standard_deviations(mixture)[:, [j]]
    with np.errstate(over="ignore", under="ignore"):
        z = (x - mixture.means_[:, [j]]) / deviations
        return peaks(mixture, j)[:, None] * mixture._bells(z**2)


def peaks(mixture: FittedMixture, j: int) -> np.ndarray:
    """w_k p_k(μ_kj) of each component."""
    with np.errstate(over="ignore"):
        density = 1 / standard_deviations(mixture)[:, j] / np.sqrt(2 * np.pi)
        density = density * mixture._peak_ratios()
    return mixture.weights_ * np.minimum(density, DRAWABLE)


def levels(mixture: FittedMixture, mass: Sequence[float]) -> np.ndarray:
    """Return the log-densities above which regions have the given masses.

    The region of highest density of mass m is {x: log p(x) ≥ l} with l the
    (1 − m)-quantile of log p(X) for X from the mixture (Hyndman 1996).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        X, _ = mixture.sample(LEVEL_DRAWS, random_state=0)
    # A draw that is out of range may be NaN, as a difference of such numbers.
    X = np.clip(np.nan_to_num(X, nan=DRAWABLE), -DRAWABLE, DRAWABLE)
    return np.quantile(mixture.score_samples(X), 1 - np.asarray(mass))


def log_density_grid(
    mixture: FittedMixture, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Log p on a grid, shape (len(y), len(x))."""
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    return mixture.score_samples(grid.reshape(-1, 2)).reshape(len(y), len(x))


def histogram(
    x: np.ndarray, edges: np.ndarray, sample_weight: np.ndarray | None
) -> np.ndarray:
    """Return the heights of a histogram with area one, or zero if it has no data."""
    counts, _ = np.histogram(x, edges, weights=sample_weight)
    counts = counts / max(counts.sum(), TINY)
    with np.errstate(over="ignore"):
        return np.minimum(counts / np.diff(edges), DRAWABLE)


def bin_edges(
    mixture: FittedMixture, j: int, x: np.ndarray, sample_weight: np.ndarray | None
) -> np.ndarray:
    """Return edges of equal bins, as wide as is best if the mixture is the truth.

    The mean squared error is least for the width (6 / (N ∫ p'(x)² dx))^⅓ (Scott
    1979); a rule that takes the data for one normal would hide the components. But
    there are 2 N^⅓ bins at the least, to show where the mixture is not the truth.
    Widths are multiples of the step of rounded data, so that bins have equal chances.
    """
    low, high = float(x.min()), float(x.max())
    if not high > low:
        half = max(standard_deviations(mixture)[:, j].min() / 2, 1e-7 * abs(low))
        return np.array([low - half, low + half])
    n = effective_size(x, sample_weight)
    width = (6 / n) ** (1 / 3) * _smoothness(mixture, j)
    fewest, most = min(2 * n ** (1 / 3), MOST_BINS), MOST_BINS
    bounds = high / most - low / most, high / fewest - low / fewest
    width = float(np.clip(width, *bounds))
    step = float(np.diff(np.unique(x)).min())
    if step > width / RESOLVED:
        width = step * max(1.0, np.rint(width / step))
        low, high = low - step / 2, high + step / 2
    n_bins = int(np.ceil((high / width - low / width) * (1 - 1e-9)))
    edges = low + width * np.arange(n_bins + 1)
    edges[-1] = max(edges[-1], high)
    return edges


def effective_size(x: np.ndarray, sample_weight: np.ndarray | None) -> float:
    """Return the number of rows that weights stand for.

    Their sum, as weights are counts; if they are normalised, Kish's (Σv)² / Σv².
    """
    if sample_weight is None:
        return float(len(x))
    total = sample_weight.sum()
    share = sample_weight / total
    return float(max(total, 1 / (share @ share)))


def _smoothness(mixture: FittedMixture, j: int) -> float:
    """(∫ p'²)^(−⅓), in the units of the feature.

    With s² = σ_k² + σ_l² and δ = μ_k − μ_l,
    ∫ p'² = Σ_kl w_k w_l N(δ | 0, s²) (s² − δ²) / s⁴.
    """
    deviations = standard_deviations(mixture)[:, j]
    unit = deviations.min()
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        s = np.hypot.outer(deviations / unit, deviations / unit)
        z = (
            np.subtract.outer(mixture.means_[:, j] / unit, mixture.means_[:, j] / unit)
            / s
        )
        z = np.clip(z, -40, 40)
        terms = np.exp(-0.5 * z**2) * (1 - z**2) / (np.sqrt(2 * np.pi) * s**3)
        roughness = mixture.weights_ @ terms @ mixture.weights_
    return float(unit * max(roughness, TINY) ** (-1 / 3))
