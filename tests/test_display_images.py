"""Pictures against stored ones; ``python tests/test_display_images.py`` draws those."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

from skem import ConvergenceDisplay, CriterionDisplay, GaussianMixture, MixtureDisplay
from skem.datasets import load_faithful

BASELINES = Path(__file__).parent / "baseline_images"
TOLERANCE = 5
"""Root mean square of differences of 8-bit colours: nothing between matplotlib 3.9 and
3.11, and 13 if half of the ellipses are missing."""
X = load_faithful().data
# Parameters are written down, so that pictures do not depend on a fit.
FAITHFUL = GaussianMixture.from_parameters(
    [0.36, 0.64],
    [[2.04, 54.5], [4.29, 80.0]],
    [[[0.07, 0.44], [0.44, 33.7]], [[0.17, 0.94], [0.94, 36.0]]],
)


def curves(ax):
    MixtureDisplay.from_estimator(FAITHFUL, X, features=1, ax=ax)


def plane(ax):
    MixtureDisplay.from_estimator(FAITHFUL, X, ax=ax)


def grid(ax):
    K = 8
    angles = 2 * np.pi * np.arange(K) / K
    means = 6 * np.stack([np.cos(angles), np.sin(angles), angles / 2], axis=1)
    variances = 0.5 + np.arange(3 * K).reshape(K, 3) % 5
    MixtureDisplay.from_estimator(
        GaussianMixture.from_parameters(np.full(K, 1 / K), means, variances, "diag"),
        ax=ax,
    )


def criterion(ax):
    K = np.arange(1, 6)
    full = [50.0, 21.0, 20.0, 30.0, -1e6]
    tied = [50.0, 30.0, 26.0, 24.0, 27.0]
    CriterionDisplay(
        n_components=np.tile(K, 2),
        covariance_types=np.repeat(["full", "tied"], 5),
        values=np.array(full + tied),
        eligible=np.arange(10) != 4,
        best_index=2,
        criterion="bic",
    ).plot(ax=ax)


def convergence(ax):
    passes = np.arange(60)
    gaps = {"em": 10.0 * 0.8**passes, "auto": 10.0 * 0.4**passes}
    ConvergenceDisplay(gaps=gaps, tol=0.01).plot(ax=ax)


DRAWINGS = [curves, plane, grid, criterion, convergence]


def render(draw, path):
    """Draw without text, which differs between versions of fonts."""
    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure((3.4, 2.6), dpi=80)
        draw(figure.add_subplot())
        for ax in figure.axes:
            # Texts and the legend stay in the axes, but are not seen.
            for text in ax.texts:
                text.set_visible(False)
            if ax.get_legend() is not None:
                ax.get_legend().set_visible(False)
            # Nor ticks, which versions choose differently.
            ax.tick_params(
                which="both",
                bottom=False,
                left=False,
                labelbottom=False,
                labelleft=False,
            )
            ax.set(xlabel="", ylabel="", title="")
        figure.savefig(path, metadata={"Software": None})
    return path


@pytest.mark.parametrize("draw", DRAWINGS)
def test_picture_is_as_stored(draw, tmp_path):
    path = render(draw, tmp_path / f"{draw.__name__}.png")
    expected = BASELINES / path.name
    difference = compare_images(expected, path, TOLERANCE, in_decorator=True)
    assert difference is None, difference["rms"]


def test_missing_ellipses_are_noticed(tmp_path):
    def draw(ax):
        MixtureDisplay.from_estimator(FAITHFUL, X, standard_deviations=(1,), ax=ax)

    path = render(draw, tmp_path / "plane.png")
    difference = compare_images(
        BASELINES / "plane.png", path, TOLERANCE, in_decorator=True
    )
    assert difference["rms"] > TOLERANCE


if __name__ == "__main__":
    for draw in DRAWINGS:
        print(render(draw, BASELINES / f"{draw.__name__}.png"))
