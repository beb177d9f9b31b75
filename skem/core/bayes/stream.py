"""Streams of a Bayesian mixture, with the bound of the posterior that there is.

L(q) = E log p(x, z | q) + H − KL(q ‖ p). The expectation is linear in the statistics,
and so is that of all batches at whatever q there is by now; H, the entropy of what the
responsibilities leave open, was added up at the q before each batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import log_constants
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.stream import Stream


def expected(
    structure: Structure, statistics: Statistics, parameters: Parameters
) -> float:
    """E log p(x, z) = Σ_k n_k c_k − ½ tr(Λ_k S_k), with S_k the scatter about m_k."""
    about, d = statistics.about(parameters.means), statistics.n_features
    scatter = about.quadratic.unpack(about.sums[:, 1 + d :], d)
    if structure.shared:
        scatter = scatter.sum(axis=0)
    trace = structure.trace_precision(parameters.precisions_cholesky, scatter)
    return float(about.counts @ log_constants(structure, parameters) - 0.5 * trace)


@dataclass(frozen=True)
class VariationalStream(Stream):
    """A posterior and the statistics that stand for what it has seen.

    `loglik` of the averages is E log p(x, z) + H, per row, at the posterior.
    """

    def _at(
        self, averages: Statistics, parameters: Parameters, before: Statistics
    ) -> Statistics:
        earlier = expected(self.structure, before, self.parameters)
        now = expected(self.structure, averages, parameters)
        return replace(averages, loglik=before.loglik - earlier + now)
