"""Compilation: a trained estimator becomes an ONNX graph, held to the original's answers on real rows of the table."""
