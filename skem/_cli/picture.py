"""Draw the chosen mixture into a file."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

from skem._cli import CommandError
from skem._cli.files import written
from skem._cli.table import NumberTable
from skem._display import MixtureDisplay
from skem._display.features import MOST_PAIRED
from skem._display.grid import figure_size
from skem._inputs.sklearn import check_matplotlib_support
from skem._report.text import count, shorten
from skem.gaussian_mixture import GaussianMixture

WIDTH, HEIGHT = 4.5, 3.4
DPI = 200
LONGEST_LABEL = 30


def check_picture(path: str, data: NumberTable) -> None:
    """Tell before the fits, rather than after, that a picture cannot be drawn."""
    try:
        check_matplotlib_support("--plot")
    except (ImportError, ValueError) as error:
        # The latter if MPLBACKEND names a backend that there is not.
        raise CommandError(str(error)) from None
    if (n := data.values.shape[1]) > MOST_PAIRED:
        raise CommandError(
            f"--plot draws {count(MOST_PAIRED, 'column')} at most, but {data.title} "
            f"has {n} (--columns selects columns)"
        )
    from matplotlib.backend_bases import FigureCanvasBase

    formats = FigureCanvasBase.get_supported_filetypes()
    if _format(path) not in formats:
        raise CommandError(
            f"cannot write {path}: its ending should be one of "
            + ", ".join(f".{name}" for name in sorted(formats))
        )
    _try_format(path)


def _try_format(path: str) -> None:
    """Draw some text: some formats need programs that may be missing, such as LaTeX."""
    from matplotlib.figure import Figure

    figure = Figure((1, 1))
    figure.text(0.5, 0.5, "0")
    try:
        figure.savefig(BytesIO(), format=_format(path))
    except Exception as error:
        raise CommandError(f"cannot write {path}: {error}") from None


def write_picture(path: str, mixture: GaussianMixture, data: NumberTable) -> None:
    """Draw the mixture with the data, on a figure that pyplot does not know."""
    from matplotlib.figure import Figure

    d = len(data.names)
    size = (WIDTH, HEIGHT) if d < 3 else figure_size(d)
    figure = Figure(size, layout="constrained")
    # A dollar sign would start a formula.
    names = [shorten(name, LONGEST_LABEL).replace("$", r"\$") for name in data.names]
    MixtureDisplay.from_estimator(
        mixture, data.values, feature_names=names, ax=figure.add_subplot()
    )
    with warnings.catch_warnings(), written(path, "xb") as file:
        # Letters that the font does not have are shown as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(file, format=_format(path), dpi=DPI)


def _format(path: str) -> str:
    return Path(path).suffix.lower().removeprefix(".")
