"""Measurements of skem beside its peers: ``python -m benchmarks.<name>``."""
