from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.models.registry.fetch import identity_key, recall, remember
from spark_infer.models.registry.locate_model import Identity

_VERSION: Identity = {
    "registry": "https://h",
    "name": "churn",
    "version": "3",
    "created": 17,
    "run_id": None,
}


def test_a_digest_is_recalled_for_exactly_the_version_it_was_written_down_for(tmp_path: Path) -> None:
    assert recall(tmp_path, _VERSION) is None
    remember(tmp_path, _VERSION, "d1")
    assert recall(tmp_path, dict(reversed(list(_VERSION.items())))) == "d1"
    for name in _VERSION:
        assert recall(tmp_path, {**_VERSION, name: "other"}) is None
    remember(tmp_path, _VERSION, "d2")
    assert recall(tmp_path, _VERSION) == "d2"


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"version": {}}', '{"digest": "d"}', "[" * 100_000, "\udcff"]
)
def test_a_damaged_record_counts_as_none(tmp_path: Path, damage: str) -> None:
    remember(tmp_path, _VERSION, "d1")
    (record,) = (tmp_path / "models" / "versions").iterdir()
    record.write_bytes(damage.encode(errors="surrogateescape"))
    assert recall(tmp_path, _VERSION) is None


def test_a_record_that_was_moved_to_another_version_counts_as_none(tmp_path: Path) -> None:
    remember(tmp_path, _VERSION, "d1")
    (record,) = (tmp_path / "models" / "versions").iterdir()
    other = {**_VERSION, "version": "4"}
    record.rename(record.with_name(f"{identity_key(other)}.json"))
    assert recall(tmp_path, other) is None


def test_a_record_that_cannot_be_written_costs_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models").touch()
    remember(tmp_path, _VERSION, "d1")
    assert "could not be written down" in caplog.text
