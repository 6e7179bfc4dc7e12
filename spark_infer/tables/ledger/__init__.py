"""The ledger of a run: what is planned, which units are done and which files they left; Spark-free."""
