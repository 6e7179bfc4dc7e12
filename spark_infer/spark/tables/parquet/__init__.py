"""Parquet tables by way of a Spark session: what Spark's Parquet source does."""
