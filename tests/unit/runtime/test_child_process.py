"""What a child process prints is handed on line by line, and no answer comes to another question."""

from __future__ import annotations

import pickle
import time
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


_LEAVES = """
import os
import time

from spark_infer.runtime.child_process import answer, own_pipes, read, write

receive, send = own_pipes()
copy = os.dup(send.fileno())  # stays open in the fork, as the pipe does where native code forks
message = read(receive)
if os.fork() == 0:
    time.sleep(20)
    os._exit(0)
if message == b"half":
    os.write(send.fileno(), answer(True, bytes(100))[:50])
else:
    write(send, answer(True, bytes(10_000)))
os._exit(3)
"""


@pytest.mark.parametrize("message", [b"half", b"whole"])
def test_an_answer_ends_with_the_child_where_another_process_has_its_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: bytes
) -> None:
    (tmp_path / "leaves_of_test.py").write_text(_LEAVES)
    monkeypatch.syspath_prepend(str(tmp_path))
    child, began = Child("leaves_of_test", own_group=True), time.monotonic()
    if message == b"whole":
        assert child.ask(message) == bytes(10_000)
    with pytest.raises(EOFError):
        child.ask(message)
    with pytest.raises(EOFError):
        child.ask(bytes(10**6))  # more than the pipe holds
    assert child.status() == 3
    child.close()
    assert time.monotonic() - began < 10


class Mute(Exception):
    """Has no text, and none of its arguments can be pickled."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_exception_without_a_text_is_an_answer() -> None:
    well, carried = pickle.loads(child_process.answer(False, Mute()))
    assert not well
    error = carried.restored()
    assert (type(error).__name__, str(error)) == ("Mute", "(its message raises RuntimeError)")


def test_an_exception_that_says_what_rows_are_not_to_blame_for_still_says_so() -> None:
    class Refused(OSError):
        pass

    error = pickle.loads(child_process.answer(False, Refused(13, "no")))[1].restored()
    assert isinstance(error, OSError)
    assert (type(error).__name__, str(error)) == ("Refused", "[Errno 13] no")
