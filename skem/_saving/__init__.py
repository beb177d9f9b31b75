"""Mixtures in files, and those of scikit-learn."""
