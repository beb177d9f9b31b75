"""Tests by data that are drawn from a fitted mixture."""
