"""Student's t, for columns with heavy tails."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma, gammaln, stdtr

from skem.core.gamma import gamma_shape, same_variance, shape_information
from skem.core.gaussian.regularization import null_directions
from skem.families.column import OneColumn
from skem.families.family import Kind
from skem.families.far import FARTHEST, LARGEST
from skem.families.gaussian import Gaussian
from skem.families.gaussian_model import GaussianModel
from skem.families.model import (
    SMALLEST_COUNT,
    Bounds,
    Laws,
    Look,
    Model,
    Running,
    Seen,
)

LEAST_DF, MOST_DF = 1.0, 200.0
LOG_PI = float(np.log(np.pi))


class Student(Kind):
    """Location, scale and degrees of freedom ν of each component, from 1 to 200."""

    name = "student"
    positive_parameters = ("scale", "df")
    bounds = Bounds("df", 2, LEAST_DF, MOST_DF)

    def moved(self, laws: Laws, bound: float) -> Laws:
        """With the scale that keeps the variance, if there is one."""
        scale = laws["scale"] * np.sqrt(same_variance(laws["df"], bound))
        return {**super().moved(laws, bound), "scale": scale}

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """Return those of t distributions."""
        location, scale, df = (
            laws[name][:, None] for name in ("location", "scale", "df")
        )
        with np.errstate(over="ignore"):
            return stdtr(df, np.clip((x - location) / scale, -FARTHEST, FARTHEST))

    def look(self, look: Look) -> Model:
        """Take the coordinates, the widths and the penalty of a Gaussian."""
        model = Gaussian("diag").look(look)
        assert isinstance(model, GaussianModel)
        return StudentModel(model)

    def to_free(self, laws: Laws) -> np.ndarray:
        """[location, log scale, log ν]."""
        logs = np.log(np.column_stack([laws["scale"], laws["df"]]))
        return np.column_stack([laws["location"], logs])

    def from_free(self, free: np.ndarray) -> Laws:
        """Undo `to_free`."""
        location, log_scale, log_df = free.T
        df = np.clip(np.exp(np.clip(log_df, -50, 50)), LEAST_DF, MOST_DF)
        scale = np.exp(np.clip(log_scale, -300, 300))
        return {"location": location, "scale": scale, "df": df}

    def information(self, laws: Laws) -> np.ndarray:
        """Of the complete data, which know the precisions of samples."""
        of_df = shape_information(laws["df"] / 2)
        return np.column_stack([laws["scale"] ** -2.0, np.full(len(of_df), 2.0), of_df])


def squares_of(
    offsets: np.ndarray, rows: np.ndarray, scale: np.ndarray | float = 1.0
) -> np.ndarray:
    """Squares of offsets, and w²/12 where values are shared, by that of a scale."""
    squares = np.square(offsets / scale)
    if len(rows) > 2:
        squares += rows[2] / np.square(scale)
    return squares


@dataclass(frozen=True)
class StudentModel(OneColumn):
    """Rows [mask, z]; sums Σ r [1, u, u z, u z², log u − u], u = (ν + 1)/(ν + δ).

    EM of Peel & McLachlan (2000), with u the expected precision of a sample. Where
    values are shared, a third row has w²/12, which is added to z² and to the squares
    in δ.
    """

    gaussian: GaussianModel

    family = Student()
    linear = False
    n_temporary = 8
    least_points = 2

    @property
    def _target(self) -> float:
        """Λ, the variance that the penalty draws to."""
        return float(np.ravel(self.gaussian.penal.target)[0])

    @property
    def n_rows(self) -> int:
        """The mask, z, and w²/12 where values are shared."""
        return 2 + (self.gaussian.coordinates.ties is not None)

    def as_points(self) -> StudentModel:
        """Return the model that takes shared values for points."""
        gaussian = self.gaussian.as_points()
        return self if gaussian is self.gaussian else StudentModel(gaussian)

    def with_widths_of(self, other: StudentModel) -> StudentModel:
        """Return the model that gives shared values the widths that `other` found."""
        return StudentModel(self.gaussian.with_widths_of(other.gaussian))

    @property
    def bounds(self) -> Bounds | None:
        """None where all the data have one value, and nothing is free."""
        return None if self.gaussian.penal.pins else super().bounds

    def rows(self, values: np.ndarray) -> np.ndarray:
        """[mask, z, (w²/12)]."""
        coordinates = self.gaussian.coordinates
        mask = ~np.isnan(values)
        with np.errstate(over="ignore"):
            z = coordinates.load(values, np.empty(values.shape))
        z = np.clip(z, -LARGEST, LARGEST)
        rows = [mask, np.where(mask, z, 0.0)]
        squares = coordinates.squares(values)
        if squares is not None:
            rows.append(np.where(mask, squares, 0.0))
        return np.vstack(rows)

    def base(self, values: np.ndarray) -> np.ndarray:
        """Log-slope of the coordinates."""
        return self.gaussian.coordinates.log_slopes @ ~np.isnan(values)

    def coefficients(self, laws: Laws) -> None:
        """Return None: log-densities are not linear."""

    @staticmethod
    def _squares(laws: Laws, rows: np.ndarray) -> np.ndarray:
        """δ: squares of offsets, and w²/12, by the square of the scale."""
        offsets = rows[1] - laws["location"][:, None]
        return squares_of(offsets, rows, laws["scale"][:, None])

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """Log-densities."""
        df = laws["df"]
        norm = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * (np.log(df) + LOG_PI)
        norm -= np.log(laws["scale"])
        with np.errstate(over="ignore", divide="ignore"):
            squares = self._squares(laws, rows)
            tail = np.log1p(squares / df[:, None])
            if squares.max(initial=0.0) > FARTHEST:
                # One is nothing beside such squares, which may be out of range.
                offsets = np.abs(rows[1] - laws["location"][:, None])
                logs = (
                    np.log(np.minimum(offsets, LARGEST))
                    - np.log(laws["scale"])[:, None]
                )
                far = 2 * logs - np.log(df)[:, None]
                tail = np.where(squares > FARTHEST, far, tail)
        return rows[0] * (norm[:, None] - (df[:, None] + 1) / 2 * tail)

    def sums(self, laws: Laws, rows: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Σ r [1, u, u z, u z², log u − u] over what is there."""
        df = laws["df"][:, None]
        rows = np.vstack([rows[:1], np.clip(rows[1:2], -FARTHEST, FARTHEST), rows[2:]])
        with np.errstate(over="ignore"):
            u = (df + 1) / (df + self._squares(laws, rows))
        u = np.maximum(u, 1e-300)
        r, z = resp * rows[0], rows[1]
        ru = r * u
        offsets = z - laws["location"][:, None]
        squares = squares_of(offsets, rows)
        parts = [r, ru, ru * offsets, ru * squares, r * (np.log(u) - u)]
        return np.stack([part.sum(axis=1) for part in parts], axis=1)

    def maximise(self, seen: Seen, previous: Laws | None) -> Laws:
        """Moments with the weights u, and ν by the expected complete likelihood."""
        assert previous is not None
        n, u, first, second, logs = seen.sums.T
        penal = self.gaussian.penal
        moved = first / np.maximum(u, 1e-300)
        scatter = np.maximum(second - moved * first, 0.0)
        epsilon, target = penal.epsilon, self._target
        total = np.maximum(n + epsilon, 1e-300)
        variance = np.maximum((scatter + epsilon * target) / total, 1e-300)
        df = previous["df"]
        gap = logs / np.maximum(n, 1e-300)
        gap = gap + 1 + digamma((df + 1) / 2) - np.log((df + 1) / 2)
        there = n > SMALLEST_COUNT
        return self._pinned(
            {
                "location": np.where(
                    there, previous["location"] + moved, previous["location"]
                ),
                "scale": np.sqrt(variance),
                "df": np.where(there, degrees_of_freedom(gap), df),
            }
        )

    def _pinned(self, laws: Laws) -> Laws:
        """Give all components one shape where all the data have one value.

        Else the larger ones would be the narrower ones, and take all rows.
        """
        penal = self.gaussian.penal
        if not penal.pins:
            return laws
        shape = np.ones(len(laws["df"]))
        return {
            "location": laws["location"],
            "scale": np.sqrt(penal.floor) * shape,
            "df": MOST_DF * shape,
        }

    def pack(self, laws: Laws, base: Laws, counts: np.ndarray) -> np.ndarray:
        """√(n I) (φ − φ⁰); nothing where all the data have one value."""
        if self.gaussian.penal.pins:
            return np.empty(0)
        return super().pack(laws, base, counts)

    def unpack(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> Laws:
        """Undo `pack`."""
        if self.gaussian.penal.pins:
            return self._pinned(base)
        return super().unpack(vector, base, counts)

    def renewed(self, running: Running, share: float) -> StudentModel:
        """Return the model with so much of the penalty.

        It no longer pins what has had more values than one by now.
        """
        gaussian = self.gaussian.scaled(share)
        if gaussian.penal.pins:
            _, u, first, second, _ = running.sum(axis=0)
            u = max(u, 1e-300)
            null = null_directions(np.full(1, (second - first**2 / u) / u))
            gaussian = replace(gaussian, penal=replace(gaussian.penal, null=null))
        return StudentModel(gaussian)

    @staticmethod
    def _moved(sums: np.ndarray, by: np.ndarray, logs: np.ndarray) -> np.ndarray:
        """Return the sums about other locations, with logs per row added."""
        n, u, first, second, last = sums.T
        moved = second + 2 * by * first + by**2 * u
        return np.column_stack([n, u, first + by * u, moved, last + n * logs])

    @staticmethod
    def _expected(laws: Laws) -> np.ndarray:
        """E log u less the log of E u, (K,)."""
        half = (laws["df"] + 1) / 2
        return digamma(half) - np.log(half)

    def running(self, seen: Seen, laws: Laws) -> Running:
        """Σ r [1, u, u z, u z², E log u − u]: expectations of the complete data."""
        return self._moved(seen.sums, laws["location"], self._expected(laws))

    def settled(self, running: Running, counts: np.ndarray, previous: Laws) -> Laws:
        """M-step of running sums."""
        sums = self._moved(running, -previous["location"], -self._expected(previous))
        return self.maximise(Seen(sums, counts, own=True), previous)

    def start(self, rows: np.ndarray, resp: np.ndarray) -> Laws:
        """Start from moments, and four degrees of freedom."""
        r = resp * rows[0]
        n = np.maximum(r.sum(axis=1), 1e-300)
        location = r @ rows[1] / n
        variance = r @ squares_of(rows[1], rows) / n - location**2
        least = 1e-3 * self._target + 1e-12
        scale = np.sqrt(np.maximum(variance, least) / 2)
        start = {"location": location, "scale": scale, "df": np.full(len(n), 4.0)}
        return self.maximise(Seen(self.sums(start, rows, resp), n, own=True), start)

    def carried(self, laws: Laws, other: StudentModel) -> Laws:
        """Return laws in other coordinates as they are in these."""
        outer, coordinates = other.outward(laws), self.gaussian.coordinates
        location = coordinates.load(
            outer["location"][None], np.empty((1, len(laws["df"])))
        )
        scale = outer["scale"] * coordinates.slope[0]
        return {"location": location[0], "scale": scale, "df": laws["df"]}

    def penalty(self, laws: Laws) -> float:
        """(ε/2) Σ_k [Λ/σ² + log σ²], as a Gaussian's."""
        penal = self.gaussian.penal
        variance = laws["scale"] ** 2
        terms = self._target / variance + np.log(variance)
        return float(0.5 * penal.epsilon * terms.sum())

    def far(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> float:
        """In standard deviations or logarithms."""
        if not len(vector):
            return 0.0
        scale = self._scale(base, counts)
        moved = np.abs(vector.reshape(scale.shape)) / scale
        moved[:, 0] /= base["scale"]
        return float(moved.max())

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Standardised values, at most three deviations from the middle."""
        return np.clip(self.gaussian.embed(values), -3, 3)

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw from the component."""
        z = laws["location"][k] + laws["scale"][k] * rng.standard_t(laws["df"][k], n)
        return self.gaussian.outside(z[None])

    def filled(self, laws: Laws, values: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Complete by Σ r μ_k, which is the median where there is no mean."""
        mean = self.gaussian.outside((laws["location"] @ resp)[None])
        return np.where(np.isnan(values), mean, values)

    def n_free(self, n_components: int) -> int:
        """Three for each component; none where all the data have one value."""
        return 0 if self.gaussian.penal.pins else 3 * n_components

    def outward(self, laws: Laws) -> Laws:
        """Location, scale and ν in units of the column."""
        location = self.gaussian.outside(laws["location"][None])[0]
        scale = laws["scale"] / self.gaussian.coordinates.slope[0]
        return {"location": location, "scale": scale, "df": laws["df"]}

    def scaled(self, share: float) -> StudentModel:
        """Return the model with so much of the penalty."""
        return StudentModel(self.gaussian.scaled(share))


def degrees_of_freedom(gap: np.ndarray) -> np.ndarray:
    """Solve log(ν/2) − ψ(ν/2) + gap = 0 within the bounds."""
    return 2 * gamma_shape(-gap, LEAST_DF / 2, MOST_DF / 2)
