"""The EM map of mixtures of multivariate t components."""
