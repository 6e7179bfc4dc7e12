"""From a model URI to one exact model: what is asked of MLflow, with patience, once, on the driver."""
