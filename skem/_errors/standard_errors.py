"""Standard errors of a mixture's parameters, from scores and their information."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np

from skem._errors.groups import GroupSums
from skem._errors.information import Spread, rows_of, warn_of_few_rows
from skem._errors.scores import SQRT2, ScoredRows, Scores, ScoreSums
from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.mixture.kernel import Kernel

METHODS = ("sandwich", "hessian", "opg", "survey")
"""Which matrices are inverted: see `standard_errors`."""


def standard_errors(
    scores: Scores,
    expectation: Kernel,
    blocks: Blocks,
    method: str,
    features: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    *,
    elsewhere: bool = False,
) -> tuple[np.ndarray, ...]:
    """Return those of weights, means and covariances, by one of `METHODS`.

    And after these those of degrees of freedom, of t components. With `features`, by
    index, the scores and the expectation are of these, and the others have no errors.
    It has been said if the mixture is `elsewhere`, at no maximum.

    With s the score of a sample of weight v, B = Σ v s sᵀ, and A, minus the Hessian of
    the log-likelihood, is the information of complete data less the missing one,
    Σ v Cov_r h (Louis 1982). The covariance of the estimates is A⁻¹ B A⁻¹, and if the
    model is right A⁻¹ and B⁻¹ as well. Of a survey, in which v says how many others a
    sample stands for, B = Σ v² s sᵀ: then the scale of weights is of no effect. Of
    `groups` that samples were drawn in, numbers from 0 on, it is of the sums of v s.
    """
    # Weights relative to their mean: sums of squares stay in range.
    mean, survey = blocks.total_weight / blocks.n_observed, method == "survey"
    sums_of_groups = None if groups is None else GroupSums(groups, scores.n_rows)

    def kernel(block: Block, workspace: Workspace) -> ScoreSums:
        if features is not None:
            block = block._replace(data=block.data[features])
        resp, whole = scores.evaluated(expectation, block, workspace)
        root = 1.0 if block.weight is None else np.sqrt(block.weight / mean)
        own = np.arange(block.start, block.stop)
        if not block.incomplete:
            return of_rows(whole, resp, root, own, workspace)
        roots = np.broadcast_to(root, len(resp[0]))
        free = block._replace(known=None)
        parts = (
            of_rows(
                whole.completed(rows),
                resp[:, rows.order],
                roots[rows.order],
                own[rows.order],
                workspace,
            )
            for rows in expectation.whitened(free, workspace)
        )
        return reduce(add, parts)

    def of_rows(
        data: ScoredRows,
        resp: np.ndarray,
        root: np.ndarray | float,
        rows: np.ndarray,
        workspace: Workspace,
    ) -> ScoreSums:
        columns = scores.complete(data, resp, workspace)
        columns *= root
        product = columns @ columns.T
        missing = scores.missing(columns, product, data, resp, root, workspace)
        K = len(scores.root_weights)
        columns[:K] -= scores.root_weights[:, None] * root
        roots = np.broadcast_to(root, len(resp[0]))
        if sums_of_groups is not None:
            sums_of_groups.add(rows, columns * roots)
        elif survey:
            weighted = columns * roots
            product = weighted @ weighted.T
        else:
            product[:K] = columns[:K] @ columns.T
            product[:, :K] = product[:K].T
        counts = resp @ np.square(roots)
        scales = counts[: len(scores.parameters.weights)]
        if data.scale is not None:
            scales = (resp[: len(scales)] * data.scale) @ np.square(roots)
        return ScoreSums(product, missing, counts, columns @ roots, scales)

    sums = blocks.fold(kernel, scores.n_rows + expectation.values_per_sample)
    if sums_of_groups is not None:
        sums = replace(sums, scores=sums_of_groups.products)

    def errors_by(method: str) -> tuple[np.ndarray, ...]:
        own = scores if method == "opg" else _with_information(scores, sums)
        return _public(own, Spread.of(method, own, sums))

    found = errors_by(method)
    if not elsewhere:
        warn_of_few_rows(
            found, partial(errors_by, "hessian"), partial(rows_of, scores, sums)
        )
    if features is not None:
        weights, means, covariances, *more = found
        axes = 2 if scores.structure.matrices else 1
        means = _placed(means, features, blocks.n_features, 1)
        covariances = _placed(covariances, features, blocks.n_features, axes)
        found = weights, means, covariances, *more
    if survey or groups is not None:
        return found
    return tuple(errors / np.sqrt(mean) for errors in found)


def _with_information(scores: Scores, sums: ScoreSums) -> Scores:
    """Return scores that hold coordinates of which the Hessian has no information."""
    while scores.may_hold:
        inverse = Spread.of("hessian", scores, sums).inverses[0]
        held = scores.beside(inverse.unknown, inverse.units)
        if held is scores:
            break
        scores = held
    return scores


def _placed(
    values: np.ndarray, features: np.ndarray, n_features: int, axes: int
) -> np.ndarray:
    """Put values of some features at their places in the last axes, and zeros else."""
    found = np.zeros(values.shape[: values.ndim - axes] + (n_features,) * axes)
    places: Any = np.ix_(*[features] * axes)
    found[(..., *places)] = values
    return found


def _public(scores: Scores, spread: Spread) -> tuple[np.ndarray, ...]:
    """Map steps to the public parameters by the delta method."""
    structure, parameters = scores.structure, scores.parameters
    cholesky, (K, d) = parameters.precisions_cholesky, parameters.shape
    root = scores.root_weights
    # The differential of the softmax of log w + a / √w.
    softmax = np.diag(root) - np.outer(root**2, root)
    weights = spread.errors(slice(len(root)), partial(np.matmul, softmax))
    if not scores.noise:
        weights = np.where(scores.fixed_weights, 0.0, weights)
    means = [
        spread.errors(scores.means(k), partial(structure.color, cholesky, k))
        for k in range(K)
    ]
    covariances = [
        spread.errors(scores.covariance(row), partial(np.matmul, slope))
        for row, slope in enumerate(_covariance_slopes(scores))
    ]
    shaped = structure.quadratic.unpack(np.stack(covariances), d)
    found = (weights[:K], np.stack(means), shaped.reshape(structure.shape(K, d)))
    return found + scores.errors_of_degrees(spread.errors)


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
