"""Model selection beside a loop over scikit-learn's fits: time, and BIC reached.

And whether the choice depends on the seed, or on the range of K.

python -m benchmarks.selection [synthetic real choice] [--no-save] [--tiny]
"""

from __future__ import annotations

import time
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.mixture import GaussianMixture as Peer

from benchmarks import choice
from benchmarks.data import COVARIANCE_TYPES, overlapping_sample, real_data
from benchmarks.timing import TINY, Report, chosen
from skem import GaussianMixture, GaussianMixtureIC

COMPONENTS = range(1, 3 if TINY else 16)
REAL = ("faithful",) if TINY else ("faithful", "iris", "cancer", "digits")
SLACK = 0.5
"""By how much a BIC may be larger and still count as no worse."""


class PeerCell(NamedTuple):
    """The peer's fit of one candidate."""

    seconds: float
    bic: float
    model: Peer

    def flaw(self, X: np.ndarray) -> str:
        """Say why the likelihood of such a fit has no bound but by the ridge, if so."""
        n, d = X.shape
        if n * self.model.weights_.min() < d + 1:
            return "few rows"
        if self.model.covariance_type in ("full", "tied"):
            least = np.linalg.eigvalsh(self.model.covariances_).min()
        else:
            least = self.model.covariances_.min()
        return "no width" if least < 2 * self.model.reg_covar else ""


def peer_cell(X: np.ndarray, K: int, covariance_type: str, n_init: int) -> PeerCell:
    begin = time.perf_counter()
    model = Peer(K, covariance_type=covariance_type, n_init=n_init, random_state=0).fit(
        X
    )
    seconds = time.perf_counter() - begin
    return PeerCell(seconds, model.bic(X), model)


def bic_from(X: np.ndarray, peer: Peer) -> float:
    """Return the BIC where skem's fit ends that starts from scikit-learn's."""
    model = GaussianMixture(
        peer.n_components,
        covariance_type=peer.covariance_type,
        weights_init=peer.weights_,
        means_init=peer.means_,
        precisions_init=peer.precisions_,
    )
    return float(model.fit(X).bic(X))


def compare(report: Report, name: str, X: np.ndarray, misses: list[tuple]) -> None:
    cells = [(K, shape) for K in COMPONENTS for shape in COVARIANCE_TYPES]
    # In turn, and the shorter job twice; the faster of its runs counts.
    runs = []
    for _ in range(2):
        begin = time.perf_counter()
        model = GaussianMixtureIC(COMPONENTS, random_state=0).fit(X)
        runs.append(time.perf_counter() - begin)
        if len(runs) == 1:
            single = [peer_cell(X, *cell, 1) for cell in cells]
    several = [peer_cell(X, *cell, 5) for cell in cells]
    ours = dict(
        zip(
            zip(
                model.results_["param_n_components"].tolist(),
                model.results_["param_covariance_type"].tolist(),
                strict=True,
            ),
            model.results_["bic"],
            strict=True,
        )
    )
    excess = [ours[cell] - peer.bic for cell, peer in zip(cells, several, strict=True)]
    d = X.shape[1]
    missed = [i for i, value in enumerate(excess) if value > SLACK]
    lost, flaws = 0, [several[i].flaw(X) for i in missed]
    for i, flaw in zip(missed, flaws, strict=True):
        K, shape = cells[i]
        short = ours[cells[i]] - bic_from(X, several[i].model)
        lost += short > SLACK
        gap = f"{short:+.1f}" if short > SLACK else ""
        misses.append((name, K, shape, f"{excess[i]:+.1f}", gap, flaw))
    seconds = min(runs)
    totals = [sum(cell.seconds for cell in table) for table in (single, several)]
    report.row(
        f"{name}, {len(X)} × {d}",
        *(f"{total:.2f}" for total in totals),
        f"{seconds:.2f}",
        *(f"{seconds / total:.0%}" for total in totals),
        f"{len(cells) - len(missed)}/{len(cells)}",
        sum(map(bool, flaws)),
        lost,
        f"{np.median(excess):+.1f}",
    )


def synthetic() -> dict[str, np.ndarray]:
    if TINY:
        return {"overlapping": overlapping_sample(300, 2, 3, 2.0, seed=1)}
    return {
        "overlapping": overlapping_sample(2000, 2, 6, 2.0, seed=1),
        "overlapping ": overlapping_sample(2000, 5, 5, 1.2, seed=2),
        "overlapping  ": overlapping_sample(2000, 10, 6, 0.9, seed=3),
        "large": overlapping_sample(50_000, 3, 7, 1.5, seed=4),
        "large ": overlapping_sample(50_000, 8, 6, 1.0, seed=5),
    }


def real() -> dict[str, np.ndarray]:
    data = real_data()
    return {name: data[name] for name in REAL}


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "selection",
        "Model selection",
        "All of K = 1 to 15 with four structures: one `GaussianMixtureIC` beside a "
        "loop over scikit-learn's `GaussianMixture` with default parameters, and with "
        "n_init=5. No worse: cells in which skem's BIC is at most "
        f"{SLACK} above that of n_init=5. Of the others, spurious are those in which a "
        "component of scikit-learn's has fewer than d + 1 effective samples (few rows) "
        "or rows of one value, and a variance that is no more than twice its reg_covar "
        "(no width): without that the likelihood of such fits has no bound. Search: "
        "those in which a "
        "fit of skem's that starts from scikit-learn's ends at a BIC that is lower by "
        f"more than {SLACK}: the search has missed it. In the rest the penalty rules "
        "it out. Excess: skem's BIC less scikit-learn's of n_init=5, median.",
    )
    report.table(
        "data",
        "scikit-learn s",
        "n_init=5 s",
        "skem s",
        "÷ scikit-learn",
        "÷ n_init=5",
        "no worse",
        "spurious",
        "search",
        "excess",
    )
    misses: list[tuple] = []
    parts = {"synthetic": synthetic, "real": real}
    asked = chosen([*parts, "choice"])
    for part in (part for part in parts if part in asked):
        for name, X in parts[part]().items():
            compare(report, name.strip(), X, misses)
    report.line("\n## Cells with a larger BIC than n_init=5")
    report.table("data", "K", "structure", "excess", "search", "scikit-learn's fit")
    for miss in misses:
        report.row(*miss)
    if "choice" in asked:
        choice.compare(report)
    report.save(choice.TITLE, alone=asked == ["choice"])


if __name__ == "__main__":
    main()
