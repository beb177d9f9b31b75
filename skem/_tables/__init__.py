"""Mixtures of tables: how they are fitted, and what they do then."""
