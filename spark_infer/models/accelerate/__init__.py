"""Faster ways to the same answers, one file for each library; `accelerated.py` says when one is taken."""
