"""What a user sees of a run: its progress while it goes, its report when it is done."""
