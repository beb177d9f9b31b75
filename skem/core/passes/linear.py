"""The E-step of log-densities that are linear in features T of rows, in NumPy.

As `forms.Expanded`, but for any coefficients: those of marginals, padded with zeros,
and of masks. And what such steps have in common on their way to statistics.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.products import sum_over_columns, times_block
from skem.core.gaussian.quadratic import Quadratic
from skem.core.gaussian.statistics import Statistics


class Linear(NamedTuple):
    """What rows of weights v have added up to, but for those that are left out.

    `loglik` is Σ v log p, (M,), and `sums` Σ v r T, (M, K, size). `lost` are the rows,
    of any of the mixtures, at which the density is not a number: where there are any,
    nothing else is of use.
    """

    loglik: np.ndarray
    sums: np.ndarray
    lost: np.ndarray


def linear_step(
    theta: np.ndarray,
    features: np.ndarray,
    weight: np.ndarray | None,
    workspace: Workspace,
) -> Linear:
    """Take the step with coefficients (M, K, size) and features (size, b)."""
    M, K, size = theta.shape
    b = features.shape[1]
    with np.errstate(all="ignore"):
        resp = workspace.array("logits", (M, K, b), np.float64)
        times_block(theta.reshape(-1, size), features, resp.reshape(-1, b))
        top = resp.max(axis=1, keepdims=True)
        resp -= top
        np.exp(resp, out=resp)
        total = resp.sum(axis=1, keepdims=True)
        log_norm = (np.log(total) + top)[:, 0]
        resp /= total
    v = np.ones(b) if weight is None else weight
    resp *= v
    sums = sum_over_columns(resp.reshape(-1, b), features).reshape(theta.shape)
    return Linear(
        log_norm @ v, sums, np.flatnonzero(~np.isfinite(log_norm).all(axis=0))
    )


class Step(Protocol):
    """A step that leaves rows to its caller."""

    def statistics(
        self, block: Block, workspace: Workspace
    ) -> tuple[Statistics, np.ndarray]:
        """Return the statistics of all rows but some, and which these are."""


def without(
    step: Step, block: Block, lost: np.ndarray, workspace: Workspace
) -> tuple[Statistics, np.ndarray]:
    """Take a step once more without the rows that were lost, sorted; return these, too.

    Those of one mixture of a stack are left out of all of them.
    """
    kept = np.delete(np.arange(block.data.shape[1]), lost)
    statistics, more = step.statistics(block.only(kept), workspace)
    return statistics, np.union1d(lost, kept[more])


def with_noise(
    theta: np.ndarray, parameters: Parameters, of_noise: np.ndarray | None
) -> np.ndarray:
    """Append coefficients of noise (…, size), without its weight, if there is noise."""
    if of_noise is None:
        return theta
    own = np.broadcast_to(of_noise, (*theta.shape[:-2], theta.shape[-1])).copy()
    own[..., 0] += parameters.log_noise_weight.reshape(-1)
    return np.concatenate([theta, own[..., None, :]], axis=-2)


def split_noise(sums: np.ndarray, *, noise: bool) -> tuple[np.ndarray, np.ndarray]:
    """Split sums (M, K, size) into those of components, and counts of noise."""
    if not noise:
        return sums, np.zeros(sums.shape[:-2])
    return sums[..., :-1, :], sums[..., -1, 0]


def about_means(
    quadratic: Quadratic,
    parameters: Parameters,
    loglik: np.ndarray,
    sums: tuple[np.ndarray, ...],
    noise: np.ndarray,
) -> Statistics:
    """Return statistics about the means, of arrays of all components.

    Of counts (G, 1), first moments (G, d) and second ones, packed.
    """
    shape = parameters.shape
    return Statistics(
        loglik.reshape(shape[:-2])[()],
        np.concatenate(sums, axis=1).reshape(*shape[:-1], -1),
        parameters.means,
        quadratic,
        noise.reshape(shape[:-2])[()],
    )
