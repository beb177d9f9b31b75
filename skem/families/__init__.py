"""Families: the laws that columns of a table may have, given the component."""

from skem.families.family import Family
from skem.families.gaussian import Gaussian, LogNormal

__all__ = ["Family", "Gaussian", "LogNormal"]
