"""Tests that need an NVIDIA GPU and no Spark: `make gpu`. Without one they are skipped, with the reason."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest


def first_gpu() -> tuple[str | None, str]:
    """Return the UUID of the first GPU or MIG device that CUDA can use; else None and why."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return None, "no GPU: there is no nvidia-smi on the PATH"
    done = subprocess.run([smi, "-L"], capture_output=True, text=True, check=False)
    uuids = re.findall(r"UUID: ((?:GPU|MIG)-[^)\s]+)", done.stdout)
    if done.returncode or not uuids:
        return None, f"no GPU: nvidia-smi -L says {(done.stdout + done.stderr).strip()[:200]!r}"
    return next((uuid for uuid in uuids if uuid.startswith("MIG-")), uuids[0]), ""


@pytest.fixture(scope="session")
def address() -> str:
    """The GPU's address, as the discovery script would name it."""
    found, why_not = first_gpu()
    if found is None:
        pytest.skip(why_not)
    return found
