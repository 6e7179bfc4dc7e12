"""Delta tables by way of a Spark session: what Delta's own reader and writer do."""
