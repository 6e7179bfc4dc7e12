"""The only place for pyspark: doors, schemas, shipping of model files, what Spark says while it runs."""
