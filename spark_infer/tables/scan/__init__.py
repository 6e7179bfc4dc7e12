"""The direct plane's way in: the files of a snapshot, cut into scan tasks that any process with pyarrow can read."""
