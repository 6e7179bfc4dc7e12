"""Sources that only Spark can read: their rows are stored first, as a Parquet table."""
