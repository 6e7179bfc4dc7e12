"""What the commits to a Delta source bring, and what makes it unknown which rows are new."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from spark_infer.errors import SourceError
from tests.local.new_rows import append, counts, doubled, new_rows, predictions

pytestmark = pytest.mark.usefixtures("in_this_process")


def test_compactions_and_vacuums_cost_nothing_and_lose_nothing(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    append(source, 3)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    DeltaTable(source).optimize.compact()
    DeltaTable(source).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert scoring.run().nothing_new
    append(source, 6)
    DeltaTable(source).optimize.compact()  # new rows and old ones are in one file now
    assert counts(scoring.run()) == (1, 3, False)
    append(source, 9, part=1)
    append(source, 12, part=1)
    DeltaTable(source).optimize.compact()
    DeltaTable(source).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert scoring.run().rows_scored == 6  # a partition of new rows alone
    assert predictions(tmp_path) == doubled(15)


def test_new_rows_that_only_a_vacuumed_file_had_apart_are_refused(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    append(source, 3)
    DeltaTable(source).optimize.compact()
    DeltaTable(source).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(SourceError, match="VACUUM removed") as refused:
        scoring.run()
    assert "--set target.mode=overwrite" in str(refused.value)
    assert new_rows(line, tmp_path, target={"mode": "overwrite"}).run().rows_scored == 6
    append(source, 6)
    assert scoring.run().rows_scored == 3
    assert predictions(tmp_path) == doubled(9)


def test_rows_that_were_changed_are_refused_with_the_commit_and_the_repair(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    append(source, 3)
    DeltaTable(source).delete("id = 1")
    with pytest.raises(SourceError, match="version 2: DELETE"):
        scoring.run()
    assert predictions(tmp_path) == doubled(3)


def test_rows_that_came_and_went_are_not_new(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    append(source, 3)
    append(source, 6)
    DeltaTable(source).delete("id >= 5")
    assert counts(scoring.run()) == (0, 2, False)
    append(source, 5)
    DeltaTable(source).restore(3)
    assert scoring.run().nothing_new
    assert predictions(tmp_path) == doubled(5)


def test_a_source_that_was_made_again_is_refused(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    (tmp_path / "in").rename(tmp_path / "old")
    append(tmp_path / "in", 0)
    append(tmp_path / "in", 3)
    with pytest.raises(SourceError, match="it is another table now"):
        scoring.run()


def test_a_log_that_lost_its_commits_is_refused(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    for number in range(1, 4):
        append(tmp_path / "in", 3 * number)
    DeltaTable(tmp_path / "in").create_checkpoint()
    (tmp_path / "in" / "_delta_log" / f"{1:020}.json").unlink()
    with pytest.raises(SourceError, match="the commit of version 1 no more"):
        scoring.run()


def test_a_quiet_source_may_lose_the_log_that_was_seen_to_bring_nothing(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    append(source, 3)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    DeltaTable(source).optimize.compact()
    assert scoring.run().nothing_new
    append(source, 6)
    DeltaTable(source).create_checkpoint()
    for version in range(3):
        (source / "_delta_log" / f"{version:020}.json").unlink()
    assert counts(scoring.run()) == (1, 3, False)
    assert predictions(tmp_path) == doubled(9)
