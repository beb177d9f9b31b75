"""How estimators choose among mixtures."""
