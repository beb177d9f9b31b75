"""What each command does."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import time
import warnings
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skem._cli import CommandError
from skem._cli.files import check_writable, written
from skem._cli.labels import write_labels
from skem._cli.picture import check_picture, write_picture
from skem._cli.progress import progress
from skem._cli.report import fit_as_json, report, summary_as_json, title
from skem._cli.table import NumberTable, load_table
from skem._report.text import count, listed, paragraph
from skem._saving.files import load
from skem._selection.alike import first_alike
from skem.core.gaussian.covariance import FOURTEEN, SHAPES
from skem.exceptions import DegenerateComponentsWarning
from skem.model_selection import GaussianMixtureIC

DEFAULT_COMPONENTS = range(1, 10)
DRAWN = 100_000
"""Rows that are drawn at a time."""


def fit(options: Namespace) -> None:
    """Choose a mixture, write what is asked for, and print the report."""
    with progress(f"reading {options.data}", options.quiet):
        data = load_table(options)
    files = [(options.data, "the data file")]
    for path, name in (
        (options.labels, "the file of labels"),
        (options.save, "the file of the mixture"),
        (options.plot, "the picture"),
    ):
        if path is not None:
            if path == options.plot:
                check_picture(path, data)
            check_writable(path, *files)
            files.append((path, name))
    notes: list[str] = []
    components = _numbers_of_components(data, options.components, notes)
    shapes: Any = _shapes(data, options.covariance, notes)
    selection = GaussianMixtureIC(
        components,
        covariance_type=shapes,
        criterion=options.criterion,
        random_state=options.random_state,
    )
    text = (
        f"fitting {count(len(components) * len(shapes), 'mixture')} to "
        f"{count(len(data.values), 'row')}"
    )
    with progress(text, options.quiet):
        seconds, doubts = _fit(selection, data)
    notes += doubts
    _write_results(options, selection, data)
    if options.json:
        _print(fit_as_json(data, selection, seconds, notes))
    elif not options.quiet:
        _print(report(data, selection, seconds, notes, options.all))


def _write_results(
    options: Namespace, selection: GaussianMixtureIC, data: NumberTable
) -> None:
    mixture = selection.best_estimator_
    if options.labels is not None:
        with written(options.labels, encoding="utf-8", newline="") as file:
            write_labels(file, data, mixture)
    if options.plot is not None:
        with progress(f"drawing {options.plot}", options.quiet):
            write_picture(options.plot, mixture, data)
    if options.save is not None:
        mixture.feature_names_in_ = np.array(data.names, dtype=object)
        try:
            mixture.save(options.save)
        except OSError as error:
            raise CommandError(
                f"cannot write {options.save}: {error.strerror}"
            ) from None
        del mixture.feature_names_in_


def _numbers_of_components(
    data: NumberTable, requested: list[range] | None, notes: list[str]
) -> Sequence[int]:
    """Return what is asked for, or as much of the default as the rows allow."""
    n = len(data.values)
    if n < 2:
        raise CommandError(f"{data.title} has {count(n, 'row')}; at least 2 are needed")
    if requested is None:
        if n < DEFAULT_COMPONENTS[-1]:
            notes.append(f"No more than {n} components, as there are only {n} rows.")
        return DEFAULT_COMPONENTS[:n]
    most = max(numbers[-1] for numbers in requested)
    if most > n:
        raise CommandError(
            f"{count(most, 'component')} need as many rows, but {data.title} has {n}"
        )
    return sorted(set().union(*requested))


def _shapes(
    data: NumberTable, requested: list[str] | None, notes: list[str]
) -> list[str]:
    """Return the structures that differ, of those that are asked for."""
    names = requested or list(GaussianMixtureIC().covariance_type)
    if names == ["all"]:
        names = list(FOURTEEN)
    places = first_alike([SHAPES[name] for name in names], data.values.shape[1])
    kinds: dict[int, list[str]] = {}
    for place, name in zip(places, names, strict=True):
        kinds.setdefault(place, []).append(name)
    for first, *same in kinds.values():
        if same:
            are = "is" if len(same) == 1 else "are"
            notes.append(f"With one column, {listed(same)} {are} the same as {first}.")
    return [same[0] for same in kinds.values()]


def _fit(selection: GaussianMixtureIC, data: NumberTable) -> tuple[float, list[str]]:
    """Return how long it takes, and doubts that the results do not show."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", ConvergenceWarning)
        for text in ("No candidate is eligible", r"\d+ components were chosen"):
            # The report has them.
            warnings.filterwarnings("ignore", text, UserWarning)
        warnings.simplefilter("always", DegenerateComponentsWarning)
        try:
            selection.fit(data.values)
        except ValueError as error:
            raise CommandError(str(error)) from None
    seconds = time.perf_counter() - start
    doubts = []
    for warning in caught:
        if issubclass(warning.category, DegenerateComponentsWarning):
            doubts.append(_with_rows_of_file(str(warning.message), data))
        else:
            warnings.warn(warning.message, warning.category, stacklevel=2)
    return seconds, doubts


def _with_rows_of_file(text: str, data: NumberTable) -> str:
    """Return a text, in which rows are counted from 0, with the rows of the file."""

    def of_file(match: re.Match) -> str:
        return str(data.sheet.lines[data.kept[int(match[0])]])

    return re.sub(
        r"\brows? \d+(?:, \d+)*(?: and \d+\b(?! more))?",
        lambda match: re.sub(r"\d+", of_file, match[0]),
        text,
    )


def _load(options: Namespace) -> tuple[Any, tuple[str, ...]]:
    """Return the mixture, which knows nothing of names, and those of its features."""
    try:
        mixture: Any = load(options.model)
    except OSError as error:
        raise CommandError(f"cannot read {options.model}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    if not hasattr(mixture, "means_"):
        raise CommandError(
            f"{options.model} has a {type(mixture).__name__}, which the command does "
            "not take: read it in Python by skem.load"
        )
    numbered = [f"column {j + 1}" for j in range(mixture.n_features_in_)]
    names = mixture.__dict__.pop("feature_names_in_", numbered)
    return mixture, tuple(map(str, names))


def predict(options: Namespace) -> None:
    """Label the rows of a file."""
    mixture, names = _load(options)
    if options.output is not None:
        others = (options.model, "the file of the mixture"), (options.data, "the data")
        check_writable(options.output, *others)
    data = _read(options, names)
    out = io.StringIO()
    with progress(f"labelling {count(len(data.values), 'row')}", options.quiet):
        write_labels(out, data, mixture)
    _output(options, out.getvalue())


def sample(options: Namespace) -> None:
    """Draw rows."""
    mixture, names = _load(options)
    if options.output is not None:
        check_writable(options.output, (options.model, "the file of the mixture"))
    seed = options.random_state
    rng = check_random_state(mixture.random_state if seed is None else seed)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, "component"])
    with progress(f"drawing {count(options.n, 'row')}", options.quiet):
        for start in range(0, options.n, DRAWN):
            X, labels = mixture.sample(min(DRAWN, options.n - start), rng)
            writer.writerows(
                [*row, label]
                for row, label in zip(X.tolist(), labels.tolist(), strict=True)
            )
    _output(options, out.getvalue())


def summary(options: Namespace) -> None:
    """Print the summary of a mixture."""
    mixture, names = _load(options)
    data = None
    if options.data is not None:
        data = _read(options, names)
    found = mixture.summary(None if data is None else data.values)
    found = replace(found, feature_names=names)
    if options.json:
        _print(summary_as_json(found))
    else:
        head = "" if data is None else f"{paragraph(title(data))}\n\n"
        _print(f"{head}{found}\n")


def _read(options: Namespace, names: tuple[str, ...]) -> NumberTable:
    """Read a file, and tell how, beside the results and not among them."""
    with progress(f"reading {options.data}", options.quiet):
        data = load_table(options, names)
    if not options.quiet and sys.stderr is not None:
        for note in data.notes:
            print(f"skem: {note}", file=sys.stderr)
    return data


def _output(options: Namespace, text: str) -> None:
    if options.output is None:
        _print(text)
    else:
        with written(options.output, encoding="utf-8", newline="") as file:
            file.write(text)


def _print(text: str) -> None:
    # Names from a file may have letters that the terminal does not.
    encoding = sys.stdout.encoding or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(text, end="", flush=True)
    except OSError as error:
        # What is left in the buffer would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise CommandError(f"cannot write the results: {error.strerror}") from None


RUN = {"fit": fit, "predict": predict, "sample": sample, "summary": summary}
