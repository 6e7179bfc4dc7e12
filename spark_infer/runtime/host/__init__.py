"""The model host: one process for each executor, device and model, which all Python workers of the executor feed."""
