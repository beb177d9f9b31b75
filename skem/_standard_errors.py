"""Standard errors of a mixture's parameters, from scores and their information.

The scores are taken in coordinates in which the information of a sample with known
labels is diagonal: log-weights, whitened means U⁻ᵀ a, and the log-Cholesky coordinates
of `Structure.to_chart`. Whatever the units and the conditioning of the covariances, the
information matrix is then as well-conditioned as the mixture's overlap lets it be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import add

import numpy as np

from skem._tangent import Tangent
from skem.core.blocks import Block, Blocks
from skem.core.completed import Whitened
from skem.core.covariance import Structure
from skem.core.expectation import Expectation
from skem.core.parameters import Parameters
from skem.core.threads import Workspace

Push = Callable[[np.ndarray], np.ndarray]
"""Maps columns of steps in some coordinates to other parameters."""
METHODS = ("sandwich", "hessian", "opg")
"""Which matrices are inverted: see `standard_errors`."""
SQRT2 = float(np.sqrt(2))
FARTHEST = 1e50
"""Standard deviations from a mean: the fourth power, summed, is still a number, also
divided by a small count."""
NO_WEIGHT = 1e-100
"""Weights below this are taken for zero, and are not estimated."""
LARGEST = 1e250
"""More than the ratio of two informations, with room to be multiplied."""
UNKNOWN = 1e-6
"""Share of a parameter's gradient in directions without information, from which on
the parameter is not identified."""


@dataclass(frozen=True)
class Scores:
    """∂ log p(x) / ∂θ at parameters θ, one column for each sample.

    With responsibilities r and y = Uᵀ(x − μ), the rows are (r − w)/√w for each
    component, r y for each mean, and r (q(y) − E q) for each covariance, with q the
    structure's statistic. Entries of q that have a logarithm for a coordinate,
    √2 log C_ii, are divided by √2.
    """

    structure: Structure
    parameters: Parameters

    @cached_property
    def expected(self) -> np.ndarray:
        """E q(y) for y of covariance one, shape (size, 1)."""
        d = self.parameters.means.shape[1]
        return self.structure.quadratic.weighted_sum(np.eye(d), np.ones(d))[:, None]

    @property
    def logarithmic(self) -> np.ndarray:
        """Which coordinates of a covariance are logarithms, shape (size,)."""
        return self.expected[:, 0] > 0

    @cached_property
    def root_weights(self) -> np.ndarray:
        """√w, shape (K,)."""
        weights = self.parameters.weights / self.parameters.weights.sum()
        return np.sqrt(np.where(weights < NO_WEIGHT, 0.0, weights))

    @property
    def n_covariances(self) -> int:
        """Number of covariances that are free."""
        return 1 if self.structure.shared else len(self.parameters.weights)

    def means(self, k: int) -> slice:
        """Return the rows of a component's mean."""
        K, d = self.parameters.shape
        return slice(K + k * d, K + (k + 1) * d)

    def covariance(self, row: int) -> slice:
        """Return the rows of a covariance."""
        K, d = self.parameters.shape
        size = len(self.expected)
        return slice(K + K * d + row * size, K + K * d + (row + 1) * size)

    @property
    def n_rows(self) -> int:
        """Number of coordinates, one more than there are free parameters."""
        return self.covariance(self.n_covariances - 1).stop

    def complete(
        self, data: np.ndarray | Whitened, resp: np.ndarray, workspace: Workspace
    ) -> np.ndarray:
        """Return Σ_k r_k h_k for a block (d, b), with responsibilities (K, b).

        With h_k the score of a sample from component k, but for the constant −√w in
        the rows of the weights.
        """
        scores = workspace.array("scores", (self.n_rows, len(resp[0])), float)
        root = self.root_weights[:, None]
        scores[: len(root)] = resp / np.where(root > 0, root, np.inf)
        scores[self.covariance(0).start :] = 0
        for k, r in enumerate(resp):
            y, q = self._of_component(data, k, workspace)
            np.multiply(y, r, out=scores[self.means(k)])
            q *= r
            scores[self.covariance(min(k, self.n_covariances - 1))] += q
        return scores

    @cached_property
    def tangent(self) -> Tangent | None:
        """What is free of the covariances, where something is asked of them."""
        if self.structure.constraint is None:
            return None
        cholesky, (_, d) = self.parameters.precisions_cholesky, self.parameters.shape
        # The unit of all of them has no effect, and may be at the end of the range.
        return Tangent(self.structure, cholesky / np.abs(cholesky).max(), d)

    def own(self, k: int) -> np.ndarray:
        """Return the rows that belong to one component alone."""
        parts = [slice(k, k + 1), self.means(k)]
        if not self.structure.shared:
            parts.append(self.covariance(k))
        return np.r_[tuple(parts)]

    def missing(
        self,
        complete: np.ndarray,
        product: np.ndarray,
        data: np.ndarray | Whitened,
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
        others = _sums_of_others(resp)
        for k, r in enumerate(resp):
            own = self.own(k)
            # r(1 − r) h hᵀ.
            columns = complete[own] * np.sqrt(
                others[k] / np.where(r > NO_WEIGHT, r, np.inf)
            )
            missing[np.ix_(own, own)] = columns @ columns.T
        if self.structure.shared:
            self._miss_shared(missing, complete, data, resp, root, workspace)
        if isinstance(data, Whitened):
            self._miss_values(missing, data, resp * np.square(root))
        return missing

    def _miss_values(
        self, missing: np.ndarray, rows: Whitened, weight: np.ndarray
    ) -> None:
        """Add Σ v r Cov(h | x_O), as values are missing, for v r (K, b).

        Of y ~ N(m, C), with moments of up to four factors (Isserlis).
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
                v, some = weight[k, here], m[:, here]
                count, first, second = v.sum(), some @ v, (some * v) @ some.T
                # Cov(y_a, y_b y_c) and Cov(y_a y_b, y_c y_e), by symmetry doubled.
                third = 2 * np.einsum("ac,b->abc", C, first)
                fourth = 2 * count * np.einsum("ac,be->abce", C, C)
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
        data: np.ndarray | Whitened,
        resp: np.ndarray,
        root: np.ndarray | float,
        workspace: Workspace,
    ) -> None:
        """Fill in what is missing about a covariance that components share."""
        rows = self.covariance(0)
        missing[rows, rows] = 0
        for k, r in enumerate(resp):
            _, q = self._of_component(data, k, workspace)
            q *= root
            q -= complete[rows]
            own = self.own(k)
            missing[own, rows] = complete[own] @ q.T
            missing[rows, own] = missing[own, rows].T
            missing[rows, rows] += (r * q) @ q.T

    def of_complete_data(self, counts: np.ndarray) -> np.ndarray:
        """Return the diagonal information of labelled samples, counts of each label.

        In natural parameters, to which these coordinates are equal to first order, it
        is Σ v r Cov(h) under the model, whatever the samples are.
        """
        d = self.parameters.means.shape[1]
        total = counts.sum()
        variances = np.where(self.logarithmic, self.expected[:, 0], 1.0)
        of_covariances = [total] if self.structure.shared else counts
        return np.concatenate(
            [
                np.where(self.root_weights > 0, total, 0.0),
                np.repeat(counts, d),
                np.outer(of_covariances, variances).ravel(),
            ]
        )

    def scatter(self, gradient: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return U₀ᵀ W U₀ from the sums of the scores of covariances."""
        units = np.where(self.logarithmic, SQRT2, 1.0)
        gradient = gradient[self.covariance(0).start :].reshape(len(counts), -1)
        sums = gradient * units + counts[:, None] * self.expected[:, 0]
        return self.structure.quadratic.unpack(sums, self.parameters.shape[1])

    def _of_component(
        self, data: np.ndarray | Whitened, k: int, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return y, and q(y) − E q in the units of the coordinates.

        Of incomplete rows, what is expected given what was observed.
        """
        quadratic = self.structure.quadratic
        if isinstance(data, Whitened):
            y = np.clip(np.nan_to_num(data.means[k], nan=FARTHEST), -FARTHEST, FARTHEST)
        else:
            y = self._whitened(data, k)
        q = workspace.array("q", (len(self.expected), y.shape[1]), float)
        quadratic.expand(y, q)
        if isinstance(data, Whitened):
            q += quadratic.of_matrices(data.covariances[k])[data.of_row].T
        q -= self.expected
        q *= np.where(self.logarithmic, 1 / SQRT2, 1.0)[:, None]
        return y, q

    def _whitened(self, data: np.ndarray, k: int) -> np.ndarray:
        cholesky = self.parameters.precisions_cholesky
        with np.errstate(over="ignore", invalid="ignore"):
            centred = data - self.parameters.means[k, :, None]
            y = self.structure.whiten(cholesky, k, centred)
        return np.clip(np.nan_to_num(y, nan=FARTHEST), -FARTHEST, FARTHEST)


@dataclass(frozen=True)
class Sums:
    """What samples add to the matrices, v their weights."""

    scores: np.ndarray
    """Σ v s sᵀ."""
    missing: np.ndarray
    """Σ v Cov_r h."""
    counts: np.ndarray
    """Σ v r."""
    gradient: np.ndarray
    """Σ v s."""

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.scores + other.scores,
            self.missing + other.missing,
            self.counts + other.counts,
            self.gradient + other.gradient,
        )


@dataclass(frozen=True)
class InverseInformation:
    """Steps whose outer products sum to the inverse information.

    `steps` has one column for each direction in which there is information, scaled by
    its standard error, and `unknown` one for each direction without. `unit` is the
    standard error of each coordinate by itself, and makes directions comparable.
    """

    steps: np.ndarray
    unknown: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, information: np.ndarray, diagonal: np.ndarray) -> InverseInformation:
        """Split the directions of a matrix that may be singular, or not definite.

        `diagonal` is the information that coordinates are measured by.
        """
        unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        # Then eigenvalues do not depend on units or sizes.
        eigenvalues, vectors = np.linalg.eigh(unit[:, None] * information * unit)
        largest = max(np.abs(eigenvalues).max(), 1.0)
        known = eigenvalues > len(unit) * np.finfo(float).eps * largest
        vectors *= unit[:, None]
        steps = vectors[:, known] / np.sqrt(eigenvalues[known])
        return cls(steps, vectors[:, ~known], unit)

    def between(self, information: np.ndarray) -> np.ndarray:
        """Return steps of A⁻¹ B A⁻¹, with A the own information and B another."""
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = self.steps.T @ information @ self.steps
        ratio = np.clip(np.nan_to_num(ratio, nan=LARGEST), -LARGEST, LARGEST)
        eigenvalues, vectors = np.linalg.eigh(ratio)
        return self.steps @ (vectors * np.sqrt(np.maximum(eigenvalues, 0.0)))

    def misses(self, rows: slice, push: Push) -> np.ndarray:
        """Whether what `push` makes of steps depends on what is not known."""
        with np.errstate(over="ignore", invalid="ignore"):
            lost = _norms(push(self.unknown[rows]))
            whole = _norms(push(np.diag(self.unit[rows])))
        return lost > UNKNOWN * whole


@dataclass(frozen=True)
class Spread:
    """Steps whose outer products sum to the covariance of the estimates.

    They are infinite where one of the matrices tells nothing.
    """

    steps: np.ndarray
    inverses: tuple[InverseInformation, ...]

    @classmethod
    def of(cls, method: str, scores: Scores, sums: Sums) -> Spread:
        """Invert what the method says."""
        # Σ (r − w) is zero: log-weights have a common constant that is of no effect on
        # the weights. Information about it, which is also of none, makes the matrices
        # regular. In that of complete data, N(1 − √w √wᵀ), it leaves N on the diagonal.
        root, total = scores.root_weights, sums.counts.sum()
        K = len(root)
        outer = sums.scores
        outer[:K, :K] += np.outer(root, root) * total
        complete = np.diag(scores.of_complete_data(sums.counts))
        missing, tangent = sums.missing, scores.tangent
        if tangent is not None:
            before = scores.covariance(0).start
            columns = tangent.columns(before)
            outer = columns.T @ outer @ columns
            missing = columns.T @ missing @ columns
            scatter = scores.scatter(sums.gradient, sums.counts)
            complete = columns.T @ complete @ columns
            complete[before:, before:] = tangent.information(scatter, sums.counts)
        by_scores = InverseInformation.of(outer, np.diagonal(outer))
        if method == "opg":
            return cls(by_scores.steps, (by_scores,))
        observed = InverseInformation.of(complete - missing, np.diagonal(complete))
        if method == "hessian":
            return cls(observed.steps, (observed,))
        return cls(observed.between(outer), (observed, by_scores))

    def errors(self, rows: slice, push: Push) -> np.ndarray:
        """Return standard errors of what `push` makes of steps in some coordinates."""
        # Parameters may be out of the floating-point range.
        with np.errstate(over="ignore", invalid="ignore"):
            errors = _norms(push(self.steps[rows]))
        misses = [inverse.misses(rows, push) for inverse in self.inverses]
        return np.where(np.any(misses, axis=0), np.inf, errors)


def _norms(rows: np.ndarray) -> np.ndarray:
    """Return the norms of rows, of any magnitude."""
    rows = np.nan_to_num(rows, nan=np.finfo(float).max)
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0.0)
    relative = rows / np.where(largest > 0, largest, 1.0)
    return largest[..., 0] * np.linalg.norm(relative, axis=-1)


def _sums_of_others(resp: np.ndarray) -> np.ndarray:
    """Return 1 − r, to relative precision."""
    others = np.zeros(resp.shape)
    others[1:] += np.cumsum(resp[:-1], axis=0)
    others[:-1] += np.cumsum(resp[:0:-1], axis=0)[::-1]
    return others


def standard_errors(
    structure: Structure,
    parameters: Parameters,
    expectation: Expectation,
    blocks: Blocks,
    method: str,
) -> tuple[np.ndarray, ...]:
    """Return those of weights, means and covariances, by one of `METHODS`.

    With s the score of a sample of weight v, B = Σ v s sᵀ, and A, minus the Hessian of
    the log-likelihood, is the information of complete data less the missing one,
    Σ v Cov_r h (Louis 1982). The covariance of the estimates is A⁻¹ B A⁻¹, and if the
    model is right A⁻¹ and B⁻¹ as well.
    """
    scores = Scores(structure, parameters)
    # Weights relative to their mean: sums of squares stay in range.
    mean = blocks.total_weight / blocks.n_observed

    def kernel(block: Block, workspace: Workspace) -> Sums:
        resp = expectation.responsibilities(block, workspace)
        root = 1.0 if block.weight is None else np.sqrt(block.weight / mean)
        if not block.incomplete:
            return of_rows(block.data, resp, root, workspace)
        roots = np.broadcast_to(root, len(resp[0]))
        parts = (
            of_rows(rows, resp[:, rows.order], roots[rows.order], workspace)
            for rows in expectation.whitened(block, workspace)
        )
        return reduce(add, parts)

    def of_rows(
        data: np.ndarray | Whitened,
        resp: np.ndarray,
        root: np.ndarray | float,
        workspace: Workspace,
    ) -> Sums:
        columns = scores.complete(data, resp, workspace)
        columns *= root
        product = columns @ columns.T
        missing = scores.missing(columns, product, data, resp, root, workspace)
        K = len(resp)
        columns[:K] -= scores.root_weights[:, None] * root
        product[:K] = columns[:K] @ columns.T
        product[:, :K] = product[:K].T
        roots = np.broadcast_to(root, len(resp[0]))
        counts = resp @ np.square(roots)
        return Sums(product, missing, counts, columns @ roots)

    sums = blocks.fold(kernel, scores.n_rows + expectation.values_per_sample)
    found = _public(scores, Spread.of(method, scores, sums))
    return tuple(errors / np.sqrt(mean) for errors in found)


def _public(scores: Scores, spread: Spread) -> tuple[np.ndarray, ...]:
    """Map steps to the public parameters by the delta method."""
    structure, parameters = scores.structure, scores.parameters
    cholesky, (K, d) = parameters.precisions_cholesky, parameters.shape
    root = scores.root_weights
    # The differential of the softmax of log w + a / √w.
    softmax = np.diag(root) - np.outer(root**2, root)
    weights = spread.errors(slice(K), partial(np.matmul, softmax))
    means = [
        spread.errors(scores.means(k), partial(structure.color, cholesky, k))
        for k in range(K)
    ]
    slopes, tangent = _covariance_slopes(scores), scores.tangent
    rows = [scores.covariance(row) for row in range(len(slopes))]
    if tangent is not None:
        # Each covariance depends on all that is free.
        slopes = slopes @ tangent.jacobian
        rows = len(rows) * [slice(rows[0].start, None)]
    covariances = [
        spread.errors(its_rows, partial(np.matmul, slope))
        for its_rows, slope in zip(rows, slopes, strict=True)
    ]
    shaped = structure.quadratic.unpack(np.stack(covariances), d)
    return weights, np.stack(means), shaped.reshape(structure.shape(K, d))


def _covariance_slopes(scores: Scores) -> np.ndarray:
    """Return ∂Σ/∂t for the coordinates t of each covariance, (rows, size, size).

    A central difference of step one is exact up to a factor: along a logarithm √2 log C
    Σ is a constant plus C², and along the others it is quadratic.
    """
    structure, cholesky = scores.structure, scores.parameters.precisions_cholesky
    n_rows, size = scores.n_covariances, len(scores.expected)

    def packed(step: np.ndarray) -> np.ndarray:
        moved = structure.from_chart(cholesky, np.broadcast_to(step, (n_rows, size)))
        covariances = structure.covariances(moved)
        return structure.quadratic.pack(
            covariances[None] if structure.shared else covariances
        )

    slopes = np.empty((n_rows, size, size))
    factors = np.where(scores.logarithmic, SQRT2 / (2 * np.sinh(SQRT2)), 0.5)
    with np.errstate(over="ignore", invalid="ignore"):
        for j, (step, factor) in enumerate(zip(np.eye(size), factors, strict=True)):
            slopes[:, :, j] = factor * (packed(step) - packed(-step))
    # Covariances out of the floating-point range, with room to be multiplied.
    limit = np.finfo(float).max * 1e-20
    return np.clip(np.nan_to_num(slopes, nan=limit), -limit, limit)
