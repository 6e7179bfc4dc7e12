"""The peers of `benchmarks.embeddings`: one script each, in an environment of its own, from Parquet to Parquet.

Arguments of each: the model's folder, the folder of the texts, and the target. Each uses two cores.
"""
