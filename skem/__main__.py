"""Choose a Gaussian mixture for a CSV file by BIC, and print a summary.

``python -m skem`` does so for the eruptions of Old Faithful, and ``python -m skem
--help`` lists the options. The choice is that of `GaussianMixtureIC`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skem import GaussianMixtureIC, __version__
from skem._cli import CommandError
from skem._cli.files import check_writable
from skem._cli.labels import write_labels
from skem._cli.picture import check_picture, write_picture
from skem._cli.report import report
from skem._cli.table import Table, load_table
from skem._text import count
from skem.core.covariance import FOURTEEN, SHAPES, STRUCTURES
from skem.exceptions import DegenerateComponentsWarning

DEFAULT_COMPONENTS = range(1, 10)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message} (see --help)")


def _components(text: str) -> list[range]:
    """Parse 3, 1-9 or 1,2,5 into ranges: a long one costs nothing before its check."""
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part.strip())
        if match is None:
            raise argparse.ArgumentTypeError(f"{text!r} is not like 1-9, 3 or 1,2,5")
        first = int(match[1])
        last = int(match[2] or first)
        if not 1 <= first <= last:
            raise argparse.ArgumentTypeError(
                f"{text!r} should count upwards, from 1 at the least"
            )
        ranges.append(range(first, last + 1))
    return ranges


def _structures(text: str) -> list[str]:
    """Parse all, or names like full,tied, without repetitions."""
    names = [name.strip() for name in text.split(",")]
    if names == ["all"]:
        return list(FOURTEEN)
    for name in names:
        if name not in SHAPES:
            raise argparse.ArgumentTypeError(
                f"{name!r} is none of {', '.join(SHAPES)}, all"
            )
    return list(dict.fromkeys(names))


def _seed(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer in [0, 2**32)")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m skem",
        description="Choose a Gaussian mixture by BIC, and print a summary.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "data",
        nargs="?",
        metavar="data.csv",
        help="numbers separated by commas, semicolons or tabs, with or without a "
        "header; cells that are empty, NA or NaN are missing values (default: the "
        "eruptions of Old Faithful)",
    )
    parser.add_argument(
        "--columns",
        metavar="A,B|1-3",
        help="columns to use, by name or by number from 1 (default: all)",
    )
    parser.add_argument(
        "--components",
        type=_components,
        metavar="1-9|3|1,2,5",
        help="numbers of components to try (default: 1-9)",
    )
    parser.add_argument(
        "--covariance",
        type=_structures,
        default=",".join(STRUCTURES),
        metavar="all|full|full,tied",
        help=f"structures of the covariances to try: {', '.join(FOURTEEN)} "
        f"(default: {','.join(STRUCTURES)})",
    )
    parser.add_argument(
        "--labels",
        metavar="out.csv",
        help="write the label and the membership probabilities of each row",
    )
    parser.add_argument(
        "--plot",
        metavar="out.png",
        help="draw the chosen mixture with the data: one column, two, or a grid of "
        "pairs of up to ten; the ending tells the format, such as .pdf, .png or .svg "
        "(needs matplotlib)",
    )
    parser.add_argument(
        "--random-state",
        type=_seed,
        default=0,
        metavar="SEED",
        help="seed of the starts (default: 0)",
    )
    parser.add_argument("--version", action="version", version=f"skem {__version__}")
    return parser


def _numbers_of_components(
    data: Table, requested: list[range] | None, notes: list[str]
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


def _shapes(data: Table, requested: list[str], notes: list[str]) -> list[str]:
    """Return the structures that differ, of those that are asked for."""
    if data.values.shape[1] > 1:
        return requested
    kept: list[str] = []
    # A variance that all have in common, or one for each.
    for n_parameters in (1, 2):
        same = [
            name
            for name in requested
            if SHAPES[name].n_parameters(2, 1) == n_parameters
        ]
        kept += same[:1]
        if len(same) > 1:
            others = " and ".join(filter(None, [", ".join(same[1:-1]), same[-1]]))
            are = "is" if len(same) == 2 else "are"
            notes.append(f"With one column, {others} {are} the same as {same[0]}.")
    return [name for name in requested if name in kept]


def _run(arguments: Sequence[str] | None) -> None:
    options = _parser().parse_args(arguments)
    if sys.stdout is None:
        raise CommandError("cannot write the summary: standard output is closed")
    data = load_table(options.data, options.columns)
    if options.labels is not None:
        check_writable(options.labels, (options.data, "the data file"))
    if options.plot is not None:
        check_picture(options.plot, data)
        files = (options.data, "the data file"), (options.labels, "the file of labels")
        check_writable(options.plot, *files)
    notes: list[str] = []
    components = _numbers_of_components(data, options.components, notes)
    shapes: Any = _shapes(data, options.covariance, notes)
    selection = GaussianMixtureIC(
        components, covariance_type=shapes, random_state=options.random_state
    )
    seconds, doubts = _fit(selection, data.values)
    if options.labels is not None:
        write_labels(options.labels, selection.predict_proba(data.values))
    if options.plot is not None:
        write_picture(options.plot, selection.best_estimator_, data)
    _print(report(data, selection, seconds, [*notes, *doubts]))


def _fit(selection: GaussianMixtureIC, X: np.ndarray) -> tuple[float, list[str]]:
    """Return how long it takes, and what is doubtful but not told by the results."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "No candidate is eligible", UserWarning)
        warnings.simplefilter("always", DegenerateComponentsWarning)
        try:
            selection.fit(X)
        except ValueError as error:
            raise CommandError(str(error)) from None
    seconds = time.perf_counter() - start
    doubts = []
    for warning in caught:
        if issubclass(warning.category, DegenerateComponentsWarning):
            doubts.append(f"{warning.message} Rows are counted from 0.")
        else:
            warnings.warn(warning.message, warning.category, stacklevel=2)
    return seconds, doubts


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
        raise CommandError(f"cannot write the summary: {error.strerror}") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m skem``.

    Parameters
    ----------
    argv : sequence of str, default=None
        The arguments. None: those of the command line.

    Returns
    -------
    status : int
        0 if a summary was printed; 2 if there is something for the user to put
        right, which is then said in one line on standard error; 1 if nobody read the
        summary to its end, and 130 after Ctrl-C.

    Examples
    --------
    >>> from skem.__main__ import main
    >>> status = main(["--components", "2"])  # doctest: +ELLIPSIS
    Old Faithful: 272 rows, 2 columns (eruptions, waiting)
    ...
    >>> status
    0
    """
    try:
        _run(argv)
    except CommandError as error:
        print(f"skem: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
