"""What the tasks of a Spark application get: arithmetic of executors, cores and GPUs, and the resource profile."""
