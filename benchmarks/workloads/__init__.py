"""Tables and models of the benchmarks: the same bytes for the same seed."""
