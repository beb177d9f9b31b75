"""Pictures, by scikit-learn's Display convention; matplotlib is imported when drawing.

Nothing here changes rcParams or calls show. A figure is made, by pyplot so that
notebooks show it, only where no axes are given.
"""

from skem._display.convergence import ConvergenceDisplay
from skem._display.criterion import CriterionDisplay
from skem._display.mixture import MixtureDisplay
from skem._display.quantile import QuantileDisplay
from skem._display.table import TableDisplay

__all__ = [
    "ConvergenceDisplay",
    "CriterionDisplay",
    "MixtureDisplay",
    "QuantileDisplay",
    "TableDisplay",
]
