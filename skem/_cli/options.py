"""The options of the command, of which argparse alone needs to be imported."""

from __future__ import annotations

import argparse
import codecs
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

from skem import __version__
from skem._cli import CommandError
from skem._cli.sources import STDIN

COMMANDS = {
    "fit": "choose a mixture for a file, and print a summary (the default)",
    "predict": "label the rows of a file by a saved mixture",
    "sample": "draw rows from a saved mixture",
    "summary": "print the summary of a saved mixture",
}
CRITERIA = "bic", "aic", "icl"
SKLEARN = "full", "tied", "diag", "spherical"
MCLUST = (
    *("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE"),
    *("VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"),
)
OF_THE_FIT = "those that the mixture was fitted to"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message} (see {self.prog} --help)")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, after the checks that need no data."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["help"] and not os.path.exists("help"):
        words = [*words[1:2], "--help"]
    command = words.pop(0) if words and words[0] in COMMANDS else "fit"
    if command == "fit" and words:
        _check_command(words[0])
    parser = _PARSERS[command]()
    options = parser.parse_args(words)
    options.command = command
    for path in (getattr(options, "model", None), getattr(options, "data", None)):
        if path not in (None, STDIN):
            _check_readable(path)
    return options


def _check_command(word: str) -> None:
    """Tell a mistyped command from a file."""
    near = get_close_matches(word, COMMANDS, cutoff=0.7)
    if near and not os.path.exists(word):
        raise CommandError(
            f"there is no file and no command {word!r}; did you mean {near[0]!r}?"
        )


def _check_readable(path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None


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
        return names
    for name in names:
        if name not in (*SKLEARN, *MCLUST):
            raise argparse.ArgumentTypeError(
                f"{name!r} is none of {', '.join([*SKLEARN, *MCLUST])}, all "
                "(mclust's 'E' and 'V', of one feature, are 'tied' and 'full' here)"
            )
    return list(dict.fromkeys(names))


def _seed(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer in [0, 2**32)")
    return int(text)


def _positive(text: str) -> int:
    if not re.fullmatch("[0-9]{1,12}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows, from 1")
    return int(text)


def _encoding(text: str) -> str:
    try:
        return codecs.lookup(text).name
    except LookupError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no encoding; utf-8, utf-16, latin-1 and cp1252 are some"
        ) from None


def _parser(command: str | None, description: str) -> argparse.ArgumentParser:
    name = "skem" if command is None else f"skem {command}"
    parser = _Parser(
        prog=name,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"skem {__version__}")
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="model.json", help="a mixture that fit --save has written"
    )


def _add_reading(
    parser: argparse.ArgumentParser, default: str
) -> argparse._ArgumentGroup:
    """Add the options of how a file is read, by default certain columns of it."""
    group = parser.add_argument_group("reading the file")
    group.add_argument(
        "--columns",
        metavar="A,B|1-3",
        help=f"columns to use, by name or by number from 1 (default: {default})",
    )
    group.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first row has the names of the columns (default: if it "
        "looks so)",
    )
    group.add_argument(
        "--encoding",
        type=_encoding,
        metavar="NAME",
        help="encoding of the text (default: UTF-8 or UTF-16, else Latin-1)",
    )
    group.add_argument(
        "--missing",
        choices=("em", "drop"),
        default="em",
        help="use what there is of rows with missing values (em, the default), or "
        "leave such rows out (drop)",
    )
    return group


def _add_quiet(parser: argparse._ActionsContainer, what: str) -> None:
    parser.add_argument("--quiet", action="store_true", help=what)


def _fit() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {COMMANDS[name]}" for name in COMMANDS)
    parser = _parser(
        None,
        "Choose a Gaussian mixture for the rows of a file, and print a summary.\n\n"
        f"commands:\n{commands}\n\nskem COMMAND --help lists the options of a command; "
        "those below are of fit.",
    )
    parser.add_argument(
        "data",
        nargs="?",
        metavar="data.csv",
        help="a table: CSV with commas, semicolons or tabs, also compressed by gzip; "
        "Parquet or Excel, with pandas; - for standard input. Cells that are empty, NA "
        "or NaN are missing values (default: the eruptions of Old Faithful)",
    )
    group = _add_reading(parser, "all that have measurements")
    group.add_argument(
        "--exclude",
        metavar="A,B|1-3",
        help="columns not to use, by name or by number from 1",
    )
    _add_choosing(parser.add_argument_group("choosing the mixture"))
    _add_results(parser.add_argument_group("results"))
    return parser


def _add_choosing(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--components",
        type=_components,
        metavar="1-9|3|1,2,5",
        help="numbers of components to try (default: 1-9)",
    )
    group.add_argument(
        "--covariance",
        type=_structures,
        metavar="full|full,tied|all",
        help=f"structures of the covariances to try: {', '.join(SKLEARN)} (the "
        f"default), and mclust's {', '.join(MCLUST)}, which all stands for",
    )
    group.add_argument(
        "--criterion",
        type=str.lower,
        choices=CRITERIA,
        default="bic",
        help="what is lowest for the mixture that is chosen (default: bic)",
    )
    group.add_argument(
        "--random-state",
        type=_seed,
        default=0,
        metavar="SEED",
        help="seed of the starts (default: 0)",
    )


def _add_results(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--labels",
        metavar="out.csv",
        help="write the columns of the file with the label and the membership "
        "probabilities of each row",
    )
    group.add_argument(
        "--save",
        metavar="model.json",
        help="write the mixture, for predict, sample and summary and for skem.load",
    )
    group.add_argument(
        "--plot",
        metavar="out.png",
        help="draw the chosen mixture with the data: one column, two, or a grid of "
        "pairs of up to ten; the ending tells the format, such as .pdf, .png or .svg "
        "(needs matplotlib)",
    )
    group.add_argument(
        "--all", action="store_true", help="show all candidates, not the best five"
    )
    group.add_argument("--json", action="store_true", help="print the results as JSON")
    _add_quiet(group, "print nothing but errors and, if asked for, JSON")


def _predict() -> argparse.ArgumentParser:
    parser = _parser(
        "predict",
        "Label the rows of a file by a saved mixture.\n\nThe result is CSV: the row in "
        "the file, its columns, the label and\nthe probability of each component.",
    )
    _add_model(parser)
    parser.add_argument(
        "data", metavar="data.csv", help="a table, as for fit; - for standard input"
    )
    _add_reading(parser, OF_THE_FIT)
    parser.set_defaults(exclude=None)
    parser.add_argument(
        "--output", metavar="out.csv", help="write a file, not to standard output"
    )
    _add_quiet(parser, "print neither progress nor how the file was read")
    return parser


def _sample() -> argparse.ArgumentParser:
    parser = _parser(
        "sample",
        "Draw rows from a saved mixture.\n\nThe result is CSV: the features, and the "
        "component that each row was drawn from.",
    )
    _add_model(parser)
    parser.add_argument(
        "-n",
        type=_positive,
        default=100,
        metavar="ROWS",
        help="how many (default: 100)",
    )
    parser.add_argument(
        "--random-state",
        type=_seed,
        metavar="SEED",
        help="seed of the draws (default: that of the fit)",
    )
    parser.add_argument(
        "--output", metavar="out.csv", help="write a file, not to standard output"
    )
    _add_quiet(parser, "print no progress")
    return parser


def _summary() -> argparse.ArgumentParser:
    parser = _parser(
        "summary", "Print the summary of a saved mixture, and of how it fits a file."
    )
    _add_model(parser)
    parser.add_argument(
        "data",
        nargs="?",
        metavar="data.csv",
        help="a table, as for fit (default: only what is known without data)",
    )
    _add_reading(parser, OF_THE_FIT)
    parser.set_defaults(exclude=None)
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    _add_quiet(parser, "print neither progress nor how the file was read")
    return parser


_PARSERS = {"fit": _fit, "predict": _predict, "sample": _sample, "summary": _summary}
