"""The demo: real flights, a model in a registry, a Delta table, one job.

`spark-infer demo` runs `story.tell`; everything it writes lies in the folder `demo` where it was started.
"""
