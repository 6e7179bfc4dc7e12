"""Plain Parquet tables: folders of files, and tables of a catalog."""
