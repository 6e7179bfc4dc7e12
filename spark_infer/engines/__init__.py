"""Engines: where the tasks of a table job run. `base.py` says what one is; each has a folder of its own."""
