"""The planes of a table job: who reads the rows, who writes them, and what a worker of the direct plane does."""
