"""Gaussian mixtures for scikit-learn users: fast, exact and hard to break."""

from skem.gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture"]
__version__ = "0.1.0"
