"""Per-group summaries of scored rows: computed in parts by the workers, put together by the driver."""
