"""The table that predictions are kept in from one run to the next."""
