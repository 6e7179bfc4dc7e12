"""Make a virtual environment for each peer that cannot share ours."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent


def python_of(peer: str, folder: Path) -> str:
    """Return the interpreter of a peer's environment; make it where it is missing or out of date.

    Args:
        peer: Names the requirements, `peers/<peer>.txt`.
        folder: Where environments are kept; one takes several GB on disk, most of it torch.
    """
    requirements = REQUIREMENTS / f"{peer}.txt"
    environment = folder / peer
    python = environment / "bin" / "python"
    stamp = environment / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    print(f"Making {environment} from {requirements.name}: several GB, minutes", flush=True)
    uv = _uv()
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "--requirement", requirements], check=True)
    stamp.write_text(wanted)
    return str(python)


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SystemExit("Ray Data and Daft need uv to make their environments: pip install uv, or leave them out.")
    return found
