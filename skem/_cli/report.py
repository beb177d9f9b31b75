"""The report: what was tried, and a summary of the mixture that was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from skem._cli.table import Table
from skem._describe import model
from skem._text import Column, count, paragraph, table
from skem.model_selection import NEAR, GaussianMixtureIC

MOST_NAMES = 12
BEST = "<- best"
NOT_ELIGIBLE = "not eligible"


def report(
    data: Table, selection: GaussianMixtureIC, seconds: float, notes: Sequence[str]
) -> str:
    """Return the whole report."""
    summary = replace(
        selection.best_estimator_.summary(data.values), feature_names=data.names
    )
    remarks = [*_not_eligible(selection), *notes, *_not_converged(selection)]
    sections = [
        paragraph(_title(data)),
        "Candidates, of which the lowest BIC is best\n\n" + _candidates(selection),
        *map(paragraph, remarks),
        f"Best: {summary}",
        paragraph(_effort(selection, seconds)),
    ]
    return "\n\n".join(sections) + "\n"


def _title(data: Table) -> str:
    n, d = data.values.shape
    names = ", ".join(data.names[:MOST_NAMES]) + (", ..." if d > MOST_NAMES else "")
    missing = int(np.isnan(data.values).sum())
    gaps = f", {count(missing, 'missing value')}" if missing else ""
    return f"{data.title}: {count(n, 'row')}, {count(d, 'column')} ({names}){gaps}"


def _candidates(selection: GaussianMixtureIC) -> str:
    results = selection.results_
    shapes = results["param_covariance_type"].tolist()
    marks = ["" if eligible else NOT_ELIGIBLE for eligible in results["eligible"]]
    best = selection.best_index_
    marks[best] = ", ".join(filter(None, [BEST, marks[best]]))
    width = max(map(len, marks))
    columns = [Column("K", list(map(str, results["param_n_components"])))]
    if len(set(shapes)) > 1:
        columns.append(Column("covariance", shapes))
    columns += [
        Column("log-likelihood", list(map("{:.2f}".format, results["log_likelihood"]))),
        Column("parameters", list(map(str, results["n_parameters"]))),
        Column("BIC", list(map("{:.2f}".format, results["bic"]))),
        Column("", [mark.ljust(width) for mark in marks]),
    ]
    return table(columns)


def _not_eligible(selection: GaussianMixtureIC) -> Iterator[str]:
    """Tell why some candidates are not eligible, each reason once."""
    results = selection.results_
    reasons = " ".join(dict.fromkeys(results["warning"][~results["eligible"]].tolist()))
    if not results["eligible"].any():
        yield f"No candidate is eligible, and the best of them is shown: {reasons}"
    elif reasons:
        yield f"Not eligible, whatever the BIC: {reasons}"


def _not_converged(selection: GaussianMixtureIC) -> Iterator[str]:
    results = selection.results_
    left = ~results["converged"] & np.isfinite(results["criterion"])
    if left.any():
        names = map(
            model,
            results["param_n_components"][left],
            results["param_covariance_type"][left],
        )
        steps = count(selection.max_iter, "step")
        yield (
            f"Not converged in {steps}, so the likelihood may still rise: "
            f"{'; '.join(names)}."
        )


def _effort(selection: GaussianMixtureIC, seconds: float) -> str:
    values = selection.results_["criterion"]
    # The start is evaluated too, which is no step.
    passes = count(selection.best_estimator_.n_iter_ + 1, "pass", "passes")
    text = (
        f"{count(len(values), 'model')} fitted in "
        f"{seconds:.{2 if seconds < 10 else 0}f} s, with the search for starts. The "
        f"last run of the best one took {passes} over the data."
    )
    far = 2 * NEAR
    if (values > selection.criterion_ + far).any():
        text += (
            f" Those with a BIC more than {far:.0f} above the best one's were sought "
            "less thoroughly: some may have a higher log-likelihood than is shown."
        )
    return text
