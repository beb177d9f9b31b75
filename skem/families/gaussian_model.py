"""A group of Gaussian columns that has seen the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.chart import Chart
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.degeneracy import scarce
from skem.core.gaussian.far import LOG_2PI
from skem.core.gaussian.marginals import independent_part
from skem.core.gaussian.maximisation import maximise
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.quadratic import Pairs, Squares, diagonal_positions
from skem.core.gaussian.regularization import ScaleFreePenalty
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.storage import diagonals
from skem.core.gaussian.ties import root_without
from skem.core.incomplete.expectation import Incomplete
from skem.core.passes.forms import CONDITION, NEGLIGIBLE, condition
from skem.families.far import LARGEST, Expansion, expanded, shrunk
from skem.families.model import SMALLEST_COUNT, Laws, Model, Running, Seen

if TYPE_CHECKING:
    from skem.families.gaussian import Gaussian

WELL_CONDITIONED = CONDITION[np.dtype(float)]
LOWEST = -1e300
"""Log-densities are at least this."""


@dataclass(frozen=True)
class GaussianModel(Model):
    """Rows [z, q(z)] of standardised values, with masks where values are missing.

    Laws are those of z: "means" and "cholesky", the precision Cholesky factors.
    Incomplete rows of a structure of matrices are completed by each component, as
    `GaussianMixture` does it.
    """

    family: Gaussian
    structure: Structure
    coordinates: Coordinates
    penal: ScaleFreePenalty
    d: int
    incomplete: bool = False
    steps: np.ndarray | None = None
    """What variances (d,) have of the width of steps, where values are points."""

    @property
    def linear(self) -> bool:
        """Whether log-densities are linear in the rows."""
        return not (self.incomplete and self.structure.matrices)

    @property
    def apart(self) -> bool:
        """Whether components have covariances of their own, without conditions."""
        return not self.structure.shared and self.structure.constraint is None

    @property
    def _quadratic(self) -> Pairs | Squares:
        return Pairs() if self.structure.matrices else Squares()

    @property
    def n_rows(self) -> int:
        """Rows of features."""
        if not self.linear:
            return self.d
        masks = self.d if self.incomplete else 0
        return masks + self.d + self._quadratic.size(self.d)

    def of(self, values: np.ndarray) -> GaussianModel:
        """Return the model as it is for values that may be missing."""
        return replace(self, incomplete=bool(np.isnan(values).any()))

    def as_points(self) -> GaussianModel:
        """Return the model that takes shared values for points."""
        if self.coordinates.ties is None:
            return self
        ties = self.coordinates.ties
        steps = ties.steps if self.structure.matrices and ties.steps.any() else None
        points = replace(self.coordinates, ties=None)
        return replace(self, coordinates=points, steps=steps)

    def _as_recorded(self, laws: Laws) -> Parameters:
        """Parameters for slopes, which the width of steps would make too small."""
        found = self._parameters(laws)
        if self.steps is None:
            return found
        roots = np.diag(np.sqrt(self.steps))
        if self.penal.null is not None:
            roots = roots - self.penal.null @ roots
        factor = found.precisions_cholesky
        rest = root_without(np.swapaxes(factor, -1, -2) @ roots)
        inverse = np.swapaxes(np.linalg.inv(rest), -1, -2)
        return replace(found, precisions_cholesky=factor @ inverse)

    def with_widths_of(self, other: GaussianModel) -> GaussianModel:
        """Return the model that gives shared values the widths that `other` found."""
        there = self.coordinates.with_widths_of(other.coordinates)
        return replace(self, coordinates=there)

    def rows(self, values: np.ndarray) -> np.ndarray:
        """[mask, z, q(z)], or the values where patterns are needed."""
        values = self.family.transform(values)
        if not self.linear:
            return self._near(values)
        d = self.d
        rows = np.zeros((self.n_rows, values.shape[1]))
        own = rows[d:] if self.incomplete else rows
        with np.errstate(over="ignore", invalid="ignore"):
            z = self.coordinates.load(values, own[:d])
            squares = self.coordinates.squares(values)
            if self.incomplete:
                mask = ~np.isnan(values)
                rows[:d] = mask
                z[~mask] = 0
                squares = None if squares is None else np.where(mask, squares, 0.0)
            z[:] = shrunk(z)
            self._quadratic.expand(z, own[d:])
        if squares is not None:
            self._quadratic.add_squares(own[d:], squares)
        return rows

    def _near(self, values: np.ndarray) -> np.ndarray:
        """Move transformed values that are too far to where squares are in range."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = np.nan_to_num(self._loaded(values), nan=0.0, posinf=LARGEST)
            near = shrunk(z)
        if near is z:
            return values
        moved = (near != z).any(axis=0) & ~np.isnan(values)
        return np.where(moved, self._values(near), values)

    def _loaded(self, values: np.ndarray) -> np.ndarray:
        """Coordinates of transformed values."""
        return self.coordinates.load(values, np.empty(values.shape))

    def base(self, values: np.ndarray) -> np.ndarray:
        """Log-slopes of the coordinates and of the transform, where values are."""
        seen = ~np.isnan(values)
        slope = np.where(seen, self.family.log_slope(values), 0.0).sum(axis=0)
        if self.linear:
            slope += self.coordinates.log_slopes @ seen
        return slope

    def _parameters(self, laws: Laws) -> Parameters:
        """Parameters with weights of one."""
        means = laws["means"]
        return Parameters(np.ones(len(means)), means, laws["cholesky"])

    def _precisions(self, laws: Laws) -> np.ndarray:
        shape = laws["means"].shape
        if not self.structure.matrices:
            return self.structure.precision_diagonals(laws["cholesky"], shape)
        precisions = self.structure.precisions(laws["cholesky"])
        return np.broadcast_to(precisions, (*shape, self.d))

    def _peaks(self, laws: Laws) -> np.ndarray:
        """Log-densities at the means, (K,)."""
        log_det = self.structure.log_det(laws["cholesky"], self.d)
        return log_det - 0.5 * self.d * LOG_2PI + np.zeros(len(laws["means"]))

    def coefficients(self, laws: Laws) -> tuple[np.ndarray, np.ndarray] | None:
        """Of the expanded square, unless too many digits would be lost."""
        if not self.linear:
            return None
        if condition(self.structure, self._parameters(laws)) > WELL_CONDITIONED:
            return None
        means, precisions = laws["means"], self._precisions(laws)
        if self.structure.matrices:
            linear = (precisions @ means[..., None])[..., 0]
            quadratic = -Pairs().pack(precisions)
            quadratic[:, diagonal_positions(self.d)] *= 0.5
        else:
            linear, quadratic = precisions * means, -0.5 * precisions
        parts = [linear, quadratic]
        if not self.incomplete:
            constants = self._peaks(laws) - 0.5 * (means * linear).sum(axis=1)
            return np.hstack(parts), constants
        masks = 0.5 * (np.log(precisions) - LOG_2PI - means * linear)
        return np.hstack([masks, *parts]), np.zeros(len(means))

    def _split(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks, z, and the variances within shared values."""
        d = self.d
        masks = rows[:d] if self.incomplete else np.ones((d, 1))
        z, q = (rows[d:] if self.incomplete else rows)[:d], rows[-self._size :]
        if self.structure.matrices:
            q = q[diagonal_positions(d)]
        widths = q - z * z if self.coordinates.ties is not None else np.zeros((d, 1))
        return masks, z, widths

    @property
    def _size(self) -> int:
        return self._quadratic.size(self.d)

    def _whole(self, laws: Laws) -> Incomplete:
        return Incomplete(self.structure, self._parameters(laws), self.coordinates)

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """About each mean, or by patterns of what is missing."""
        if not self.linear:
            block = Block(0, rows.shape[1], rows, None, incomplete=True)
            found = self._whole(laws).component_log_density(block, Workspace())
            return np.maximum(found, LOWEST)
        masks, z, widths = self._split(rows)
        precisions = self._precisions(laws)
        out = np.empty((len(precisions), rows.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):
            for k, mean in enumerate(laws["means"]):
                y = z - mean[:, None] * masks
                own = precisions[k]
                if self.structure.matrices:
                    white = self.structure.whiten(laws["cholesky"], k, y)
                    out[k] = np.square(white).sum(axis=0) + np.diagonal(own) @ widths
                else:
                    norm = LOG_2PI - np.log(own)
                    out[k] = own @ (y * y + widths) + norm @ masks
        out *= -0.5
        if self.structure.matrices:
            out += self._peaks(laws)[:, None]
        return np.nan_to_num(np.maximum(out, LOWEST), nan=LOWEST)

    def expansion(self, laws: Laws, rows: np.ndarray) -> Expansion:
        """Expand the log-densities of rows that are far from the components."""
        parameters = self._parameters(laws)
        if self.linear:
            masks, z, widths = self._split(rows)
            seen = np.broadcast_to(masks > 0, z.shape)
            squares = np.broadcast_to(widths, z.shape)
            return expanded(self.structure, parameters, z, seen, squares)
        seen, z = ~np.isnan(rows), np.nan_to_num(self._loaded(rows))
        found = self.coordinates.squares(rows)
        squares = np.where(seen, 0.0 if found is None else found, 0.0)
        expansion = expanded(self.structure, parameters, z, seen, squares)
        return expansion._replace(C=expansion.C + self.coordinates.log_slopes @ seen)

    def sums(self, laws: Laws, rows: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Σ r [(1), y, q(y)] about the means."""
        if not self.linear:
            block = Block(0, rows.shape[1], rows, None, incomplete=True)
            return self._whole(laws).moments(block, resp, Workspace())
        masks, z, widths = self._split(rows)
        d = self.d
        out = np.empty((len(resp), d + d + self._size))
        for k, mean in enumerate(laws["means"]):
            y = z - mean[:, None] * masks
            out[k, :d] = (masks * resp[k]).sum(axis=1)
            out[k, d : 2 * d] = y @ resp[k]
            second = self._quadratic.weighted_sum(y, resp[k])
            self._quadratic.add_squares(second, (widths * resp[k]).sum(axis=1))
            out[k, 2 * d :] = second
        return out

    def maximise(self, seen: Seen, previous: Laws | None) -> Laws:
        """M-step of the structure, with the penalty."""
        return self._estimate(self._statistics(seen, previous), previous)

    def running(self, seen: Seen, laws: Laws) -> Running:
        """Statistics of the completed rows, about their means."""
        found = self._statistics(seen, laws)
        return found.about(found.means)

    def settled(self, running: Running, counts: np.ndarray, previous: Laws) -> Laws:
        """M-step of running statistics."""
        return self._estimate(running, previous)

    def renewed(self, running: Running, share: float) -> GaussianModel:
        """Return the model with the scale of the clusters that a stream has by now."""
        total = running.pooled().scatter()
        n = float(running.counts.sum())
        penal = self.penal.renewed(self.structure, running.scatter(), total, n, self.d)
        epsilon = self.penal.epsilon * share
        return replace(self, penal=replace(penal, epsilon=epsilon))

    def _statistics(self, seen: Seen, previous: Laws | None) -> Statistics:
        """Turn the sums of a pass into those of the core, of completed rows."""
        sums, counts, own = seen
        d = self.d
        reference = np.zeros((len(counts), d))
        if own:
            assert previous is not None
            reference = previous["means"]
        if self.linear:
            masked = self.incomplete or own
            observed = sums[:, :d] if masked else counts[:, None]
            first, second = (
                sums[:, -self._size - d : -self._size],
                sums[:, -self._size :],
            )
            if self.incomplete:
                first, second = self._completed(
                    first, second, observed, counts, reference, previous
                )
        else:
            counts, first, second = sums[:, 0], sums[:, 1 : 1 + d], sums[:, 1 + d :]
        if self.structure.quadratic.size(d) == 1 and self._size > 1:
            second = second.sum(axis=1, keepdims=True)
        return Statistics(
            0.0,
            np.hstack([counts[:, None], first, second]),
            reference,
            self.structure.quadratic,
        )

    def _estimate(self, statistics: Statistics, previous: Laws | None) -> Laws:
        before = None if previous is None else self._parameters(previous)
        return _laws_of(
            maximise(
                self.structure, self.penal, statistics, statistics.scatter(), before
            )
        )

    def _completed(
        self,
        first: np.ndarray,
        second: np.ndarray,
        observed: np.ndarray,
        counts: np.ndarray,
        reference: np.ndarray,
        previous: Laws | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add what is expected of missing values, of independent features."""
        lacking = counts[:, None] - observed
        if previous is None:
            # As if what is missing were as what is there, of each component.
            total = np.broadcast_to(counts[:, None], observed.shape)
            there = observed > NEGLIGIBLE * total
            share = np.divide(total, observed, out=np.zeros(total.shape), where=there)
            return first * share, second * share
        means = previous["means"] - reference
        variances = 1 / self._precisions(previous)
        return first + lacking * means, second + lacking * (means**2 + variances)

    def start(self, rows: np.ndarray, resp: np.ndarray) -> Laws:
        """M-step of labels; of incomplete rows with each feature by itself."""
        if self.linear:
            return super().start(rows, resp)
        K, d = len(resp), self.d
        z = self.coordinates.load(rows, np.empty(rows.shape))
        mask = ~np.isnan(z)
        z[~mask] = 0
        n = np.maximum(resp @ mask.T, 1e-300)
        means = resp @ z.T / n
        variances = np.maximum((resp @ (z * z).T + 0.1) / (n + 0.1) - means**2, 1e-3)
        spread = variances.mean(axis=0) if self.structure.shared else variances
        wide = np.eye(d) * np.sqrt(1 / spread)[..., None, :]
        start = {"means": means.reshape(K, d), "cholesky": wide}
        return self.maximise(Seen(self.sums(start, rows, resp), n, own=True), start)

    def carried(self, laws: Laws, other: GaussianModel) -> Laws:
        """Return laws in other coordinates as they are in these."""
        structure = self.structure
        outer = other.coordinates.outward(
            structure, other._parameters(laws), np.dtype(float)
        )
        return _laws_of(self.coordinates.inward(structure, outer))

    def penalty(self, laws: Laws) -> float:
        """(ε/2) Σ_k [tr(Λ Σ_k⁻¹) + log|Σ_k|]."""
        return float(self.penal.penalty(self.structure, self._parameters(laws)))

    def _restored(self, parameters: Parameters) -> Parameters:
        """Put back what no component may change: directions without any variance."""
        cholesky = self.penal.pinned(self.structure, parameters.precisions_cholesky)
        return replace(parameters, precisions_cholesky=cholesky)

    @property
    def _constants(self) -> np.ndarray:
        """Mask (d,) of columns that are constant, which have no coordinates."""
        constants = self.penal.constants
        return np.zeros(self.d, bool) if constants is None else constants > 0

    def _free(self, laws: Laws) -> Parameters:
        """Parameters of the other columns."""
        parameters, constants = self._parameters(laws), self._constants
        if not constants.any():
            return parameters
        return independent_part(self.structure, parameters, ~constants)

    def _chart(self, base: Laws, counts: np.ndarray) -> Chart:
        pins = self.penal.pins and not self._constants.any()
        counts = np.maximum(counts, SMALLEST_COUNT)
        place = replace(self._free(base), weights=counts / counts.sum())
        restored = self._restored if pins else None
        return Chart(self.structure, place, float(counts.sum()), restored)

    def pack(self, laws: Laws, base: Laws, counts: np.ndarray) -> np.ndarray:
        """Whitened means and log-Cholesky coordinates."""
        if self._constants.all():
            return np.empty(0)
        chart, free = self._chart(base, counts), self._free(laws)
        return chart.pack(replace(free, weights=chart.base.weights))[len(counts) :]

    def unpack(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> Laws:
        """Undo `pack`."""
        constants, free = self._constants, np.flatnonzero(~self._constants)
        whole = np.concatenate([np.zeros(len(counts)), vector])
        if not constants.any():
            return _laws_of(self._chart(base, counts).unpack(whole))
        means, cholesky = base["means"].copy(), np.zeros(base["cholesky"].shape)
        diagonal = diagonals(cholesky) if self.structure.matrices else cholesky
        diagonal[..., constants] = self.penal.floor**-0.5
        if len(free):
            found = self._chart(base, counts).unpack(whole)
            places: Any = np.ix_(free, free) if self.structure.matrices else (free,)
            means[:, free] = found.means
            cholesky[(..., *places)] = found.precisions_cholesky
        return {"means": means, "cholesky": cholesky}

    def far(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> float:
        """In standard deviations or logarithms."""
        if not len(vector):
            return 0.0
        whole = np.concatenate([np.zeros(len(counts)), vector])
        return self._chart(base, counts).farthest(whole)

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Standardised values, at zero where missing."""
        values = self.family.transform(values)
        z = self.coordinates.load(values, np.empty(values.shape))
        return np.nan_to_num(z, nan=0.0)

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw from the component."""
        noise = rng.standard_normal((self.d, n))
        z = self.structure.color(laws["cholesky"], k, noise)
        return self.outside(z + laws["means"][k][:, None])

    def _values(self, z: np.ndarray) -> np.ndarray:
        """Undo the coordinates."""
        with np.errstate(over="ignore"):
            return self.coordinates.raw(z)

    def outside(self, z: np.ndarray) -> np.ndarray:
        """Values of coordinates, (d, n), in the units of the columns."""
        return self.family.inverse(self._values(z))

    def filled(self, laws: Laws, values: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Complete by conditional means given the row.

        Each component completes the row, and these are averaged by the posterior.
        """
        raw = self.family.transform(values)
        block = Block(0, raw.shape[1], raw, None, incomplete=True)
        plain = Incomplete(
            self.structure,
            self._as_recorded(laws),
            replace(self.coordinates, ties=None),
        )
        found, slope = np.empty(values.shape), self.coordinates.slope[:, None]
        for rows, z, variances in plain.completions(block):
            r = resp[:, rows]
            mean = np.einsum("kb,kdb->db", r, z)
            with np.errstate(over="ignore"):
                offsets, variances = (z - mean) / slope, variances / slope / slope
            above = self.family.rise(r, offsets, variances)
            found[:, rows] = self.family.inverse(self._values(mean) + above)
        return np.where(np.isnan(values), found, values)

    def drawn(
        self,
        laws: Laws,
        values: np.ndarray,
        labels: np.ndarray,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        """Complete missing values by draws from laws without the width of steps."""
        if self.steps is not None:
            laws = {**laws, "cholesky": self._as_recorded(laws).precisions_cholesky}
            return replace(self, steps=None).drawn(laws, values, labels, rng)
        return super().drawn(laws, values, labels, rng)

    def given(
        self, laws: Laws, k: int, values: np.ndarray, draws: np.ndarray
    ) -> np.ndarray:
        """Return draws as they are given values: E(x | seen) + z − E(z | seen).

        Of log-normal columns those are logarithms of conditional means, which are above
        the means of logarithms by the same in both.
        """
        resp = np.zeros((len(laws["means"]), values.shape[1]))
        resp[k] = 1
        gaps = np.where(np.isnan(values), np.nan, draws)
        means, own = (self.filled(laws, each, resp) for each in (values, gaps))
        to = self.family.transform
        return self.family.inverse(to(means) + to(draws) - to(own))

    def n_free(self, n_components: int) -> int:
        """Means and covariances."""
        d = self.d - self.penal.n_null
        return n_components * d + self.structure.n_parameters(n_components, d)

    def outward(self, laws: Laws) -> Laws:
        """Means and covariances in units of what is Gaussian."""
        structure, dtype = self.structure, np.dtype(float)
        K = len(laws["means"])
        inner = replace(self._parameters(laws), weights=np.full(K, 1 / K))
        outer = self.coordinates.outward(structure, inner, dtype)
        return {
            "means": outer.means,
            "covariances": self.coordinates.covariances(structure, inner, dtype),
            "standard_deviations": structure.standard_deviations(
                laws["cholesky"], laws["means"].shape
            )
            / self.coordinates.slope,
        }

    def scaled(self, share: float) -> GaussianModel:
        """Return the model with so much of the penalty."""
        return replace(self, penal=self.penal.scaled(share))

    def scarce(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Mask of components of fewer rows than their covariances take."""
        total = float(counts.sum())
        weighted = replace(self._parameters(laws), weights=counts / total)
        return scarce(self.structure, weighted, total, self.penal.n_null)

    def ordered(self, laws: Laws, order: np.ndarray) -> Laws:
        """Return the components in another order."""
        return {
            "means": laws["means"][order],
            "cholesky": self.structure.ordered(laws["cholesky"], order),
        }


def _laws_of(parameters: Parameters) -> Laws:
    return {"means": parameters.means, "cholesky": parameters.precisions_cholesky}
