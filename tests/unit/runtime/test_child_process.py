"""What a child process prints is handed on line by line, and no answer comes to another question."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from spark_infer.runtime import child_process
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


_ECHOES = """
from spark_infer.runtime.child_process import answer, own_pipes, read, write

receive, send = own_pipes()
while (message := read(receive)) is not None:
    write(send, answer(True, message))
"""


def test_an_answer_that_nobody_waited_for_is_not_that_of_the_next_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "echoes_of_test.py").write_text(_ECHOES)
    monkeypatch.syspath_prepend(str(tmp_path))
    child = Child("echoes_of_test")

    def interrupted(pipe: IO[bytes]) -> bytes | None:
        raise KeyboardInterrupt

    with monkeypatch.context() as waiting:
        waiting.setattr(child_process, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            child.ask(b"first")
    with pytest.raises(EOFError):
        child.ask(b"second")
    assert child.status() == -9
    child.close()
