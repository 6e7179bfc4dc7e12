"""The job file: YAML with ``${NAME}`` and overrides, checked whole, every error with its line."""
