"""What a session reads of sources whose rows are stored first: views, queries, DataFrames and other formats."""
