"""The command `spark-infer`."""
