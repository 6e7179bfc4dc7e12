"""A table job: its file, its plan, its run."""
