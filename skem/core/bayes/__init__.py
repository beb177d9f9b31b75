"""The variational map of Bayesian mixtures, and their search."""
