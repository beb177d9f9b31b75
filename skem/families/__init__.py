"""Families: the laws that columns of a table may have, given the component."""
