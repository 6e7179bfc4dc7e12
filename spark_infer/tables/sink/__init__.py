"""The direct plane's way out: Parquet files that workers write, and that the driver publishes all at once."""
