"""The files of models: digests, archives, and the content-addressed store of a node."""
