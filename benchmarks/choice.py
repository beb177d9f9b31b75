"""Whether the choice of a selection depends on the seed, or on the range of K."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_linnerud, load_wine

from benchmarks.data import overlapping_sample, real_data
from benchmarks.timing import TINY, Report
from skem import GaussianMixtureIC

TITLE = "Whether the choice depends on the seed, or on the range of K"
SEEDS = range(2 if TINY else 5)
NARROW, WIDE = (2, 3) if TINY else (6, 9)
"""Largest numbers of components."""
TIE = 0.5
"""Difference of BIC up to which two candidates are as good."""


class Choice(NamedTuple):
    """What was chosen, and its BIC."""

    n_components: int
    covariance_type: str
    bic: float

    @property
    def name(self) -> str:
        return f"{self.n_components} {self.covariance_type}"


def data_sets() -> dict[str, np.ndarray]:
    """Real and simulated data, twenty of them."""
    real = real_data()
    if TINY:
        return {"acidity": real["acidity"]}
    rng = np.random.default_rng(0)
    curved = rng.normal(size=(400, 2))
    curved[:, 1] += curved[:, 0] ** 2
    return {
        **real,
        "iris, petals": real["iris"][:, 2:],
        "wine, 4 features": load_wine().data[:, [0, 6, 9, 12]],
        "cancer, worst": load_breast_cancer().data[:, 20:],
        "digits, 3 directions": real["digits"][:, :3],
        "diabetes": load_diabetes().data,
        "linnerud": load_linnerud().target,
        "overlapping, 200 × 2": overlapping_sample(200, 2, 3, 2.0, seed=1),
        "overlapping, 500 × 3": overlapping_sample(500, 3, 4, 1.2, seed=2),
        "overlapping, 1000 × 5": overlapping_sample(1000, 5, 5, 1.0, seed=3),
        "overlapping, 2000 × 2": overlapping_sample(2000, 2, 6, 2.0, seed=4),
        "curved, 400 × 2": curved,
        "skew, 300 × 1": rng.lognormal(size=(300, 1)),
        "heavy tails, 400 × 3": rng.standard_t(4, size=(400, 3)),
    }


def choice(X: np.ndarray, most: int, seed: int) -> Choice:
    model = GaussianMixtureIC(range(1, most + 1), random_state=seed).fit(X)
    return Choice(model.n_components_, model.covariance_type_, model.criterion_)


def compare(report: Report) -> None:
    """Add the section to a page."""
    report.line(f"\n## {TITLE}\n")
    report.line(
        f"The choice among K = 1 to {NARROW} and among K = 1 to {WIDE} with four "
        f"structures, by BIC, for {len(SEEDS)} seeds. Same: seeds with the commonest "
        f"choice. Ties: other seeds whose choice has a BIC within {TIE} of it. Same in "
        "both: seeds that choose from the wide range what they choose from the narrow "
        "one; a choice beyond the narrow range counts if its BIC is lower. "
        f"Spread: of the BIC of the choice over seeds. {date.today().isoformat()}."
    )
    report.table(
        "data",
        f"choice, K ≤ {NARROW}",
        "same",
        "ties",
        f"choice, K ≤ {WIDE}",
        "same",
        "ties",
        "same in both",
        "spread",
    )
    totals = np.zeros(5, int)
    sets = data_sets()
    for name, X in sets.items():
        ranges = [[choice(X, most, seed) for seed in SEEDS] for most in (NARROW, WIDE)]
        cells, counts = [], []
        for found in ranges:
            common, same = Counter(each.name for each in found).most_common(1)[0]
            bic = min(each.bic for each in found if each.name == common)
            ties = sum(
                each.name != common and abs(each.bic - bic) <= TIE for each in found
            )
            others = {each.name for each in found} - {common}
            cells += [", ".join([f"**{common}**", *sorted(others)]), same, ties]
            counts += [same, ties]
        kept = sum(agree(*pair) for pair in zip(*ranges, strict=True))
        spread = max(np.ptp([each.bic for each in found]) for found in ranges)
        report.row(f"{name}", *cells, kept, f"{spread:.2f}")
        totals += [*counts, kept]
    whole = len(SEEDS) * len(sets)
    report.row(f"all, of {whole}", "", *totals[:2], "", *totals[2:4], totals[4], "")


def agree(narrow: Choice, wide: Choice) -> bool:
    """Tell whether the choice from the wide range is that from the narrow one."""
    if wide.n_components > NARROW:
        return wide.bic < narrow.bic
    return wide.name == narrow.name
