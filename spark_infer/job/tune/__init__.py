"""Find the settings of a job by measuring a sample of its own table on this machine."""
