"""Folders of files in a Spark session, whose workers read them."""
