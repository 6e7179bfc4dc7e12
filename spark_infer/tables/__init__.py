"""Delta and Parquet tables: find them, read one snapshot, write safely."""
