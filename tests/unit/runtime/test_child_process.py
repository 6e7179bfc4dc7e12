"""What a child process prints, by whatever way, is handed on line by line and not on the screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.runtime.child_process import Child

_PRINTS = """
import os
import subprocess
import sys
import threading

from spark_infer.runtime.child_process import answer, own_pipes, read, write

receive, send = own_pipes()
message = read(receive)
print("a print", flush=True)
thread = threading.Thread(target=lambda: print("of a thread", file=sys.stderr, flush=True))
thread.start()
thread.join()
os.write(1, b"native\\xff\\n\\n")
subprocess.run(["sh", "-c", "echo of a child; echo no end of line >&2"])
write(send, answer(True, message))
"""


def test_all_that_a_child_prints_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prints_of_test.py").write_text(_PRINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    lines: list[str] = []
    child = Child("prints_of_test", log=lines.append)
    assert child.ask(b"x") == b"x"
    child.close()
    assert sorted(lines) == ["a print", "native\ufffd", "no end of line", "of a child", "of a thread"]
    assert "".join(capfd.readouterr()) == ""
