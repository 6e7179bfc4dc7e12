"""Code that cannot be imported has the same bytes from every process, and what cannot travel is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from spark_infer.errors import ModelRefusedError
from spark_infer.models.callables.pickled import dump, load

PROGRAM = """
import enum, hashlib, sys
from spark_infer.models.callables.pickled import dump
STOP = {"the", "of", "and", "a", "in"}
class Kind(enum.Enum):
    ONE = 1
    TWO = 2
PAIRS = {(1, "a"), (2, "b"), (3, "c"), ("d", frozenset({"e", "f"}))}
KINDS = {Kind.ONE, Kind.TWO, "three", len, (Kind.ONE, "x")}
class Model:
    words = frozenset({"x", "yy", "zzz"})
    def __init__(self):
        self.seen = {"q", "w", "e"}
    def predict(self, batch):
        return [word in {"aa", "bb", "cc"} or word in STOP or word in {("x", "y"), ("z",)} or KINDS for word in batch]
def predict(batch):
    return [word in STOP or word in PAIRS for word in batch] + [Model, other]
def other():
    return Kind.ONE
for each in (predict, Model, Model(), lambda batch: predict(batch)):
    print(hashlib.sha256(dump(each, "model").data).hexdigest())
    assert dump(each, "model") == dump(each, "model")
"""


def digests(program: str, seed: int, place: str) -> list[str]:
    environ = {**os.environ, "PYTHONHASHSEED": str(seed)}
    source = f"exec(compile({program!r}, {place!r}, 'exec'))"
    done = subprocess.run([sys.executable, "-c", source], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_equal_code_has_equal_bytes_in_every_process_and_other_code_has_others() -> None:
    first = digests(PROGRAM, 1, "/a/script.py")
    assert first == digests("\n\n# moved\n" + PROGRAM, 2, "/b/other.py")
    changed = digests(PROGRAM.replace('"the", ', ""), 1, "/a/script.py")
    assert all(one != other for one, other in zip(first, changed, strict=True))


def defined(text: str, name: str, **known: Any) -> Any:
    names: dict[str, Any] = {"__name__": "__main__", **known}
    exec(text, names)
    return names[name]


def test_a_set_that_two_functions_share_is_one_set_again() -> None:
    both = defined(
        "seen = {1}\nmore = [seen]\ndef add():\n    seen.add(2)\ndef get():\n    return more[0]\npair = (add, get)",
        "pair",
    )
    add, get = load(dump(both, "pair").data)
    add()
    assert get() == {1, 2}


def test_a_set_that_one_of_its_values_holds_travels() -> None:
    node = defined("class Node:\n    def predict(self, batch):\n        return batch", "Node")
    first, second = node(), node()
    first.others = second.others = {first, second}
    made = load(dump(first, "node").data)
    assert made in made.others
    assert len(made.others) == 2


def test_the_modules_that_code_takes_something_from_are_known() -> None:
    function = defined("def predict(batch):\n    return Tried(json.dumps(batch))", "predict", json=json, Tried=Tried)
    assert {"json", __name__} <= dump(function, "predict").modules
    assert __name__ in dump(Tried(), "tried").modules
    assert __name__ not in dump(defined("def predict(batch):\n    return batch", "predict"), "predict").modules


class Tried:
    """A class that can be imported."""


def test_what_cannot_travel_is_named() -> None:
    lock = threading.Lock()
    function = defined("def predict(batch):\n    return lock", "predict", lock=lock)
    with pytest.raises(ModelRefusedError, match=r"global variable 'lock' holds _thread.lock"):
        dump(function, "predict")
    model = defined("class Model:\n    def predict(self, batch):\n        return batch", "Model")()
    model.held = lock
    with pytest.raises(ModelRefusedError, match=r"attribute 'held' holds _thread.lock"):
        dump(model, "Model")

    def closed(batch: object) -> object:
        return lock

    with pytest.raises(ModelRefusedError, match=r"variable 'lock' holds _thread.lock"):
        dump(closed, "closed")
