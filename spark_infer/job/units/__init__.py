"""A run in units: which run a command means, what it still has to do, and the loop that does it."""
