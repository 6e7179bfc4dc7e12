"""Encoded images and sounds become numbers, before a batch reaches the model."""
