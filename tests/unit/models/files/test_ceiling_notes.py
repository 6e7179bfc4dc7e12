"""How many rows of a batch a node has memory for is known to its next process, for a week."""

from __future__ import annotations

from pathlib import Path

from spark_infer.models.files.ceiling_notes import ceiling_on_this_node

WEEK = 7 * 86_400


def test_a_ceiling_is_known_to_the_next_process_until_it_expires(tmp_path: Path) -> None:
    environ = {"SPARK_INFER_HOME": str(tmp_path)}
    key = ("digest", "onnx", "cuda:0", "1")
    first = ceiling_on_this_node(key, environ, lambda: 1_000.0)
    assert first.rows is None
    first.lower(5_000)
    first.lower(6_000)
    assert first.rows == 5_000
    assert ceiling_on_this_node(key, environ, lambda: 1_000.0 + WEEK - 1).rows == 5_000
    assert ceiling_on_this_node((*key[:3], "0"), environ, lambda: 1_000.0).rows is None
    assert ceiling_on_this_node(key, environ, lambda: 1_000.0 + WEEK).rows is None


def test_a_note_that_is_damaged_or_cannot_be_kept_is_none(tmp_path: Path) -> None:
    environ = {"SPARK_INFER_HOME": str(tmp_path)}
    ceiling_on_this_node("key", environ).lower(5)
    (note,) = (tmp_path / "models" / "ceilings").iterdir()
    for damaged in ("", "{}", "[]", '{"rows": -1, "since": 1}', '{"rows": "x", "since": 1}'):
        note.write_text(damaged)
        assert ceiling_on_this_node("key", environ).rows is None
    nowhere = ceiling_on_this_node("key", {"SPARK_INFER_HOME": str(tmp_path / "missing" / "folder")})
    nowhere.lower(5)
    assert nowhere.rows == 5
    assert ceiling_on_this_node("key", {}).rows is None
