"""The Spark-free heart: Arrow record batches in, scored Arrow record batches out. numpy and pyarrow only."""
