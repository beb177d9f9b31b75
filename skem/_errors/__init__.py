"""Standard errors, from the scores of rows or from refits."""
