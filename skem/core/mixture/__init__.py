"""The EM map of a Gaussian mixture, and what it stands on."""
