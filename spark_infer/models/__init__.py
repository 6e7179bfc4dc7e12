"""Which model, and its files: from a model URI to verified files on this node, and the model they hold."""
