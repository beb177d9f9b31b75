"""The solver: a loop over a map, and accelerators. It knows nothing of mixtures."""
