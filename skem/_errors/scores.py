"""Scores of a mixture's parameters, one column for each row of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from skem._errors.layout import NO_WEIGHT, Layout
from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.storage import SQRT2
from skem.core.incomplete.completed import Whitened
from skem.core.mixture.kernel import Kernel

Push = Callable[[np.ndarray], np.ndarray]
"""Maps columns of steps in some coordinates to other parameters."""
Errors = Callable[[slice, Push], np.ndarray]
"""Errors of what is made of steps in the coordinates of a slice."""

MOST_DEVIATIONS = 1e50
"""Standard deviations from a mean: the fourth power, summed, is still a number, also
divided by a small count."""


class Widths(NamedTuple):
    """w²/12 of the values of rows, (d, b), in coordinates of a slope (d,)."""

    squares: np.ndarray
    slope: np.ndarray

    @classmethod
    def of(cls, coordinates: Coordinates, data: np.ndarray) -> Widths | None:
        """Return those of raw data (d, b), or None."""
        squares = coordinates.squares(data)
        if squares is None:
            return None
        return cls(np.broadcast_to(squares, data.shape), coordinates.slope)

    def axes(self, structure: Structure, cholesky: np.ndarray, k: int) -> np.ndarray:
        """Return the unit of each feature, whitened by a component, (d, d)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return _bounded(structure.whiten(cholesky, k, np.diag(1 / self.slope)))


class ScoredRows(NamedTuple):
    """Rows of a block: (d, b), or completed by each component where some are missing.

    `widths` are those of values that rows share, if any have one. `scale` (K, b) are
    the expected scales u of t components, and `n_observed` what each row has of the
    features.
    """

    of: np.ndarray | Whitened
    widths: Widths | None = None
    scale: np.ndarray | None = None
    n_observed: np.ndarray | None = None

    def completed(self, rows: Whitened) -> ScoredRows:
        """Return some of the rows, completed."""
        found, order = self._replace(of=rows), rows.order
        if self.widths is not None:
            squares = self.widths.squares[:, order]
            found = found._replace(widths=self.widths._replace(squares=squares))
        if self.scale is not None and self.n_observed is not None:
            found = found._replace(
                scale=self.scale[:, order], n_observed=self.n_observed[order]
            )
        return found


@dataclass(frozen=True)
class Scores(Layout):
    """∂ log p(x) / ∂θ at parameters θ, one column for each sample.

    With responsibilities r and y = Uᵀ(x − μ), the rows are (r − w)/√w for each
    component, r y for each mean, and r (q(y) − E q) for each covariance, with q the
    structure's statistic. Entries of q that have a logarithm for a coordinate,
    √2 log C_ii, are divided by √2.

    Noise, if there is any, has the last of the weights.
    """

    def held(
        self,
        expectation: Kernel,
        blocks: Blocks,
        features: np.ndarray | None,
        unit: float = 1.0,
    ) -> Self:
        """Return those that hold what the data cannot tell from a bound: nothing."""
        return self

    @property
    def may_hold(self) -> bool:
        """Whether there are coordinates that may be held without information."""
        return False

    def beside(self, unknown: np.ndarray, units: np.ndarray) -> Self:
        """Hold the coordinate that directions without information are about, if any.

        `units` make coordinates comparable.
        """
        return self

    def evaluated(
        self, expectation: Kernel, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, ScoredRows]:
        """Return responsibilities, and the rows with what else is known of them."""
        widths = Widths.of(expectation.coordinates, block.data)
        resp = expectation.responsibilities(block, workspace)
        return resp, ScoredRows(block.data, widths)

    def complete(
        self, data: ScoredRows, resp: np.ndarray, workspace: Workspace
    ) -> np.ndarray:
        """Return Σ_k r_k h_k for a block (d, b), with responsibilities (K, b).

        With h_k the score of a sample from component k, but for the constant −√w in
        the rows of the weights.
        """
        scores = workspace.array("scores", (self.n_rows, len(resp[0])), float)
        root = self.root_weights[:, None]
        scores[: len(root)] = resp / np.where(root > 0, root, np.inf)
        scores[len(root) :] = 0
        for k, r in enumerate(resp[: len(self.parameters.weights)]):
            y, q = self._of_component(data, k, workspace)
            np.multiply(y, r, out=scores[self.means(k)])
            q *= r
            scores[self.covariance(min(k, self.n_covariances - 1))] += q
        return scores

    def missing(
        self,
        complete: np.ndarray,
        product: np.ndarray,
        data: ScoredRows,
        resp: np.ndarray,
        root: np.ndarray | float,
        workspace: Workspace,
    ) -> np.ndarray:
        """Return Σ v Cov_r h, which is not known as the labels are not.

        From `complete` times `root`, the roots of v, and the product with its
        transpose. Differences of large numbers are avoided: a row far from all
        components has one label for certain, and misses nothing.
        """
        missing = -product
        others = sums_of_others(resp)
        for k, r in enumerate(resp):
            own = self.own(k)
            # r(1 − r) h hᵀ.
            columns = complete[own] * np.sqrt(
                others[k] / np.where(r > NO_WEIGHT, r, np.inf)
            )
            missing[np.ix_(own, own)] = columns @ columns.T
        if self.structure.shared:
            self._miss_shared(missing, complete, data, resp, root, workspace)
        weight = resp[: len(self.parameters.weights)] * np.square(root)
        if isinstance(data.of, Whitened):
            scaled = weight if data.scale is None else weight * data.scale
            self._miss_values(missing, data, data.of, weight, scaled)
        self._miss_scales(missing, data, weight, workspace)
        return missing

    def _miss_scales(
        self,
        missing: np.ndarray,
        data: ScoredRows,
        weight: np.ndarray,
        workspace: Workspace,
    ) -> None:
        """Add what is missing as nothing but Gaussians have the scale of a row."""

    def _miss_values(
        self,
        missing: np.ndarray,
        data: ScoredRows,
        rows: Whitened,
        weight: np.ndarray,
        scaled: np.ndarray,
    ) -> None:
        """Add Σ v r Cov(h | x_O), as values are missing, for v r (K, b).

        Of y ~ N(m, C), with moments of up to four factors (Isserlis). `scaled` are
        v r u, with u one but for t components, whose covariance is C/u.
        """
        quadratic, d = self.structure.quadratic, len(rows.means[0])
        # q(x) = linear · vec(x xᵀ), in the units of the coordinates.
        units = np.eye(d * d).reshape(-1, d, d)
        linear = quadratic.of_matrices((units + np.swapaxes(units, 1, 2)) / 2).T
        linear = linear * np.where(self.logarithmic, 1 / SQRT2, 1.0)[:, None]
        for k, (m, each) in enumerate(zip(rows.means, rows.covariances, strict=True)):
            own, q = self.means(k), self.covariance(min(k, self.n_covariances - 1))
            for p, C in enumerate(each):
                here = rows.of_row == p
                v, some = scaled[k, here], m[:, here]
                count, first, second = v.sum(), some @ v, (some * v) @ some.T
                if data.widths is not None:
                    axes = self._axes(data.widths, k)
                    axes = axes - C @ axes
                    second += axes * (data.widths.squares[:, here] @ v) @ axes.T
                whole = weight[k, here].sum()
                # Cov(y_a, y_b y_c) and Cov(y_a y_b, y_c y_e), by symmetry doubled.
                third = 2 * np.einsum("ac,b->abc", C, first)
                fourth = 2 * whole * np.einsum("ac,be->abce", C, C)
                fourth += 4 * np.einsum("ac,be->abce", second, C)
                cross = third.reshape(d, -1) @ linear.T
                missing[own, own] += count * C
                missing[own, q] += cross
                missing[q, own] += cross.T
                missing[q, q] += linear @ fourth.reshape(d * d, -1) @ linear.T

    def _miss_shared(
        self,
        missing: np.ndarray,
        complete: np.ndarray,
        data: ScoredRows,
        resp: np.ndarray,
        root: np.ndarray | float,
        workspace: Workspace,
    ) -> None:
        """Fill in what is missing about a covariance that components share."""
        rows = self.covariance(0)
        missing[rows, rows] = 0
        for k, r in enumerate(resp):
            if k < len(self.parameters.weights):
                _, q = self._of_component(data, k, workspace)
            else:
                q = np.zeros(complete[rows].shape)
            q *= root
            q -= complete[rows]
            own = self.own(k)
            missing[own, rows] = complete[own] @ q.T
            missing[rows, own] = missing[own, rows].T
            missing[rows, rows] += (r * q) @ q.T

    def of_complete_data(self, counts: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Return the diagonal information of labelled samples, counts of each label.

        `scales` (K,) are what rows count for a location: their number, but of t
        components.

        In natural parameters, to which these coordinates are equal to first order, it
        is Σ v r Cov(h) under the model, whatever the samples are.
        """
        d = self.parameters.means.shape[1]
        free, squares = self.free_weights, np.square(self.root_weights)
        # Rows of components whose weights are free, relative to these weights.
        share = squares[free].sum()
        totals = np.full(len(squares), counts[free].sum() / share if share > 0 else 0.0)
        if self.noise_apart:
            # What makes it all rows in the direction of noise.
            rest = counts.sum() - squares[-1] * totals[-1]
            totals[-1] = rest / max(squares[:-1].sum(), NO_WEIGHT)
        variances = np.where(self.logarithmic, self.expected[:, 0], 1.0)
        counts = counts[: len(self.parameters.weights)]
        of_covariances = [counts.sum()] if self.structure.shared else counts
        return np.concatenate(
            [
                np.where(squares > 0, totals, 0.0),
                np.repeat(scales, d),
                self._of_degrees(counts),
                np.outer(of_covariances, variances).ravel(),
            ]
        )

    def _of_degrees(self, counts: np.ndarray) -> np.ndarray:
        """Return the information on degrees of freedom."""
        return np.empty(0)

    def errors_of_degrees(self, errors: Errors) -> tuple[np.ndarray, ...]:
        """Return the errors of degrees of freedom, if there are any."""
        return ()

    def scatter(self, gradient: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return U₀ᵀ W U₀ from the sums of the scores of covariances."""
        units = np.where(self.logarithmic, SQRT2, 1.0)
        gradient = gradient[self.covariance(0).start :].reshape(len(counts), -1)
        sums = gradient * units + counts[:, None] * self.expected[:, 0]
        return self.structure.quadratic.unpack(sums, self.parameters.shape[1])

    def _of_component(
        self, data: ScoredRows, k: int, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return u y, and u q(y) − E q in the units of the coordinates.

        Of incomplete rows, what is expected given what was observed.
        """
        quadratic, of = self.structure.quadratic, data.of
        y, q = self._moments(data, k, workspace)
        if data.scale is not None:
            q *= data.scale[k]
            y = y * data.scale[k]
        if isinstance(of, Whitened):
            q += quadratic.of_matrices(of.covariances[k])[of.of_row].T
        q -= self.expected
        q *= np.where(self.logarithmic, 1 / SQRT2, 1.0)[:, None]
        return y, q

    def _moments(
        self, data: ScoredRows, k: int, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return y and q(y), on the average over the widths of values."""
        quadratic, of = self.structure.quadratic, data.of
        y = of.means[k] if isinstance(of, Whitened) else self._whitened(of, k)
        y = _bounded(y)
        q = workspace.array("q", (len(self.expected), y.shape[1]), float)
        quadratic.expand(y, q)
        if data.widths is not None:
            axes, squares = self._axes(data.widths, k), data.widths.squares
            if isinstance(of, Whitened):
                for p, C in enumerate(of.covariances[k]):
                    here = of.of_row == p
                    q[:, here] += self._expanded(axes - C @ axes) @ squares[:, here]
            else:
                q += self._expanded(axes) @ squares
            np.clip(q, -(MOST_DEVIATIONS**2), MOST_DEVIATIONS**2, out=q)
        return y, q

    def _expanded(self, y: np.ndarray) -> np.ndarray:
        out = np.empty((len(self.expected), y.shape[1]))
        self.structure.quadratic.expand(y, out)
        return out

    def _axes(self, widths: Widths, k: int) -> np.ndarray:
        return widths.axes(self.structure, self.parameters.precisions_cholesky, k)

    def _whitened(self, rows: np.ndarray, k: int) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            centred = rows - self.parameters.means[k, :, None]
            cholesky = self.parameters.precisions_cholesky
            return self.structure.whiten(cholesky, k, centred)


def _bounded(y: np.ndarray) -> np.ndarray:
    return np.clip(
        np.nan_to_num(y, nan=MOST_DEVIATIONS), -MOST_DEVIATIONS, MOST_DEVIATIONS
    )


@dataclass(frozen=True)
class ScoreSums:
    """What samples add to the matrices, v their weights."""

    scores: np.ndarray
    """Σ v s sᵀ."""
    missing: np.ndarray
    """Σ v Cov_r h."""
    counts: np.ndarray
    """Σ v r."""
    gradient: np.ndarray
    """Σ v s."""
    scales: np.ndarray
    """Σ v r u."""

    def __add__(self, other: ScoreSums) -> ScoreSums:
        return ScoreSums(
            self.scores + other.scores,
            self.missing + other.missing,
            self.counts + other.counts,
            self.gradient + other.gradient,
            self.scales + other.scales,
        )


def sums_of_others(resp: np.ndarray) -> np.ndarray:
    """Return 1 − r, to relative precision."""
    others = np.zeros(resp.shape)
    others[1:] += np.cumsum(resp[:-1], axis=0)
    others[:-1] += np.cumsum(resp[:0:-1], axis=0)[::-1]
    return others
