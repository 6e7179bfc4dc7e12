"""Conditions on rows without Spark: SQL into terms, terms over a batch, terms over statistics."""
