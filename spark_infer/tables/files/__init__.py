"""Folders of files that are no tables, such as images: a source alone."""
