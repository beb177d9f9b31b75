"""The names of the families."""

from __future__ import annotations

from collections.abc import Callable

from skem.families.categories import Bernoulli, Categorical, Ordinal
from skem.families.counts import Poisson
from skem.families.family import Kind
from skem.families.gaussian import Gaussian, LogNormal
from skem.families.hurdle import HurdleGamma, HurdleLogNormal, HurdlePoisson
from skem.families.negative_binomial import NegativeBinomial
from skem.families.positive import Exponential, Gamma
from skem.families.student import Student

FAMILIES: dict[str, Callable[[], Kind]] = {
    kind.name: kind
    for kind in (
        Gaussian,
        Student,
        LogNormal,
        Exponential,
        Gamma,
        Poisson,
        NegativeBinomial,
        HurdleLogNormal,
        HurdleGamma,
        HurdlePoisson,
        Bernoulli,
        Categorical,
        Ordinal,
    )
}
