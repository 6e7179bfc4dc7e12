"""Stands in for a framework that starts CUDA: it reads `CUDA_VISIBLE_DEVICES` once, when it is imported."""

import os

SEEN = os.environ.get("CUDA_VISIBLE_DEVICES")
