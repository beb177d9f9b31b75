"""All methods of a mixture that need its parameters alone."""

from __future__ import annotations

from skem._fitted.predicting import Predicting
from skem._fitted.regions import Regions
from skem._fitted.reporting import Reporting


class FittedMixture(Regions, Predicting, Reporting):
    """The methods of a mixture that need its parameters, and not how it was fitted."""
