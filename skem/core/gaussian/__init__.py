"""Gaussian components: their parameters, statistics, structures, prior and M-step."""
