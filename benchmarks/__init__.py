"""Benchmarks of spark_infer against its peers and against the physical limit; see README.md."""
