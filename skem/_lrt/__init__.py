"""The bootstrapped likelihood ratio test."""
