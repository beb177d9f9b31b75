"""The report: what was tried, and a summary of the mixture that was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from skem._cli.selection import Candidate, Selection
from skem._cli.table import Table
from skem._describe import model
from skem._text import Column, count, paragraph, table

MOST_NAMES = 12


def report(data: Table, selection: Selection, notes: Sequence[str]) -> str:
    """Return the whole report."""
    summary = replace(
        selection.best.mixture.summary(data.values), feature_names=data.names
    )
    sections = [
        paragraph(_title(data)),
        "Candidates, of which the lowest BIC is best\n\n" + _candidates(selection),
        *map(paragraph, [*notes, *_not_converged(selection.candidates)]),
        f"Best: {summary}",
        paragraph(_effort(selection)),
    ]
    return "\n\n".join(sections) + "\n"


def _title(data: Table) -> str:
    n, d = data.values.shape
    names = ", ".join(data.names[:MOST_NAMES]) + (", ..." if d > MOST_NAMES else "")
    return f"{data.title}: {count(n, 'row')}, {count(d, 'column')} ({names})"


def _candidates(selection: Selection) -> str:
    candidates = selection.candidates
    mixtures = [candidate.mixture for candidate in candidates]
    shapes = [mixture.covariance_type for mixture in mixtures]
    columns = [Column("K", [str(len(mixture.weights_)) for mixture in mixtures])]
    if len(set(shapes)) > 1:
        columns.append(Column("covariance", shapes))
    marks = ["<- best" if c is selection.best else "" for c in candidates]
    columns += [
        Column("log-likelihood", [f"{c.loglik:.2f}" for c in candidates]),
        Column("parameters", [str(mixture.n_parameters_) for mixture in mixtures]),
        Column("BIC", [f"{c.bic:.2f}" for c in candidates]),
        Column("", marks),
    ]
    return table(columns)


def _not_converged(candidates: Sequence[Candidate]) -> Iterator[str]:
    mixtures = [c.mixture for c in candidates if not c.mixture.converged_]
    if mixtures:
        which = "; ".join(model(len(m.weights_), m.covariance_type) for m in mixtures)
        steps = count(mixtures[0].max_iter, "step")
        yield f"Not converged in {steps}, so the likelihood may still rise: {which}."


def _effort(selection: Selection) -> str:
    mixture = selection.best.mixture
    seconds = selection.seconds
    # The start is evaluated too, which is no step.
    passes = count(mixture.n_iter_ + 1, "pass", "passes")
    n_init = mixture.n_init
    starts = "several starts" if isinstance(n_init, str) else count(n_init, "start")
    return (
        f"{count(len(selection.candidates), 'model')} fitted in "
        f"{seconds:.{2 if seconds < 10 else 0}f} s, each from {starts}. "
        f"The best took {passes} over the data."
    )
