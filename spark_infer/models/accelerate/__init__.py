"""Faster ways to the same answers, one file for each library; `base` says when one is taken."""
