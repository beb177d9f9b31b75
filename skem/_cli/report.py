"""The report: what was tried, and a summary of the mixture that was chosen."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from skem import __version__
from skem._cli.table import NumberTable
from skem._report.criterion import CORRECTED, is_corrected
from skem._report.summary import MixtureSummary, model
from skem._report.text import TextColumn, count, paragraph, table
from skem.model_selection import GaussianMixtureIC

MOST_NAMES = 12
MOST_CANDIDATES = 5
BEST = "<- best"
NOT_ELIGIBLE = "not eligible"


def report(
    data: NumberTable,
    selection: GaussianMixtureIC,
    seconds: float,
    notes: Sequence[str],
    everything: bool,
) -> str:
    """Return the whole report, with the best candidates or with all of them."""
    remarks = _remarks(selection, notes)
    n = len(selection.results_["rank"])
    shown = n if everything else min(n, MOST_CANDIDATES)
    which = "" if shown == n else f", {shown} of {n} (--all shows all)"
    name = selection.criterion.upper()
    if is_corrected(selection.results_, selection.criterion):
        name += f" {CORRECTED}"
    sections = [
        paragraph(title(data)),
        *map(paragraph, data.notes),
        paragraph(f"Candidates by {name}, the lowest first{which}"),
        _candidates(selection, shown),
        *map(paragraph, remarks),
        f"Best: {_summary(data, selection)}",
        paragraph(_effort(selection, seconds)),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(data: NumberTable, selection: GaussianMixtureIC) -> MixtureSummary:
    found = selection.best_estimator_.summary(data.values)
    return dataclasses.replace(found, feature_names=data.names)


def title(data: NumberTable) -> str:
    """Say what the data are, and how many."""
    n, d = data.values.shape
    names = ", ".join(data.names[:MOST_NAMES]) + (", ..." if d > MOST_NAMES else "")
    missing = int(np.isnan(data.values).sum())
    gaps = f", {count(missing, 'missing value')}" if missing else ""
    return f"{data.title}: {count(n, 'row')}, {count(d, 'column')} ({names}){gaps}"


def fit_as_json(
    data: NumberTable,
    selection: GaussianMixtureIC,
    seconds: float,
    notes: Sequence[str],
) -> str:
    """Return the report for programs, with all candidates."""
    results = selection.results_
    names = {name: name.removeprefix("param_") for name in results}
    candidates = [
        {names[name]: column[i].item() for name, column in results.items()}
        for i in np.argsort(results["rank"])
    ]
    remarks = _remarks(selection, notes)
    return _as_json(
        {
            "skem": __version__,
            "data": {
                "source": data.title,
                "n_samples": len(data.values),
                "features": list(data.names),
                "n_missing": int(np.isnan(data.values).sum()),
            },
            "notes": [*data.notes, *remarks],
            "criterion": selection.criterion,
            "seconds": seconds,
            "candidates": candidates,
            "best": _fields(_summary(data, selection)),
        }
    )


def summary_as_json(summary: MixtureSummary) -> str:
    """Return a summary for programs."""
    return _as_json({"skem": __version__, **_fields(summary)})


def _fields(summary: MixtureSummary) -> dict[str, Any]:
    fields = {f.name: getattr(summary, f.name) for f in dataclasses.fields(summary)}
    return {"n_components": len(summary.weights), **fields}


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return what JSON has: it has no NaN, for which it gets null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _candidates(selection: GaussianMixtureIC, n_shown: int) -> str:
    results = selection.results_
    shown = np.argsort(results["rank"])[:n_shown]
    best = selection.best_index_
    marks = [
        ", ".join(
            filter(
                None,
                [
                    BEST if i == best else "",
                    "" if results["eligible"][i] else NOT_ELIGIBLE,
                ],
            )
        )
        for i in shown
    ]
    width = max(map(len, marks))

    def column(name: str, key: str, form: str = "{}") -> TextColumn:
        return TextColumn(name, [form.format(value) for value in results[key][shown]])

    columns = [column("K", "param_n_components")]
    if len(set(results["param_covariance_type"].tolist())) > 1:
        columns.append(column("covariance", "param_covariance_type"))
    columns += [
        column("log-likelihood", "log_likelihood", "{:.2f}"),
        column("parameters", "n_parameters"),
        column(selection.criterion.upper(), selection.criterion, "{:.2f}"),
    ]
    if is_corrected(results, selection.criterion):
        columns.append(column("corrected", "criterion", "{:.2f}"))
    columns += [
        TextColumn("", [mark.ljust(width) for mark in marks]),
    ]
    return table(columns)


def _remarks(selection: GaussianMixtureIC, notes: Sequence[str]) -> list[str]:
    more = selection._most_tried()
    return [
        *_not_eligible(selection),
        *([more] if more else []),
        *notes,
        *_not_converged(selection),
    ]


def _not_eligible(selection: GaussianMixtureIC) -> Iterator[str]:
    """Tell why some candidates are not eligible, each reason once."""
    results = selection.results_
    reasons = " ".join(dict.fromkeys(results["warning"][~results["eligible"]].tolist()))
    if not results["eligible"].any():
        yield f"No candidate is eligible, and the best of them is shown: {reasons}"
    elif reasons:
        name = selection.criterion.upper()
        yield f"Not eligible, whatever the {name}: {reasons}"


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
    far = 2 * selection._margin
    if (values > selection.criterion_ + far).any():
        text += (
            f" Models more than {far:.0f} {selection.criterion.upper()} above the best "
            "were searched less thoroughly: their log-likelihood may be higher."
        )
    return text
