"""New files of a Parquet folder, and those that were scored and are others now."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.errors import SourceError, TargetError
from spark_infer.job.units import drive
from spark_infer.runtime.failpoints import InjectedError
from tests.local.new_rows import Break, counts, doubled, new_rows, predictions, put

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_new_files_of_a_parquet_folder_are_scored_once(line: str, tmp_path: Path, breaks: Break, kind: str) -> None:
    put(tmp_path, "a", 0)
    scoring = new_rows(line, tmp_path, kind, units={"bytes": 1})
    assert counts(scoring.run()) == (None, 3, False)
    assert counts(scoring.run()) == (1, 0, True)
    put(tmp_path, "c", 3)
    put(tmp_path, "b", 6)
    breaks("sealed:2:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    put(tmp_path, "d", 9)
    report = scoring.run()
    assert counts(report) == (1, 6, False)
    assert "only files that are new beside 1 others" in str(report)
    assert counts(scoring.run()) == (3, 3, False)
    assert predictions(tmp_path) == doubled(12)
    assert counts(scoring.run()) == (4, 0, True)


@pytest.mark.parametrize("gone", [True, False])
def test_parquet_files_that_were_scored_and_changed_since_are_refused(line: str, tmp_path: Path, gone: bool) -> None:
    put(tmp_path, "a", 0)
    put(tmp_path, "b", 3)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    if gone:
        (tmp_path / "in" / "b.parquet").unlink()
    else:
        put(tmp_path, "b", 6)
    with pytest.raises(SourceError, match=f"{'gone' if gone else 'written again'}: b.parquet"):
        scoring.run()
    assert predictions(tmp_path) == doubled(6)
    assert new_rows(line, tmp_path, target={"mode": "overwrite"}).run().rows_scored == (3 if gone else 6)
    assert scoring.run().nothing_new


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize("nights", [0, 1])
def test_a_night_of_which_nothing_is_done_takes_its_file_as_it_is_corrected(
    line: str, tmp_path: Path, breaks: Break, kind: str, nights: int
) -> None:
    scoring = new_rows(line, tmp_path, kind)
    for night in range(nights):
        put(tmp_path, f"{night}", 3 * night)
        scoring.run()
    put(tmp_path, "failed", 50)
    breaks("seal:1:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    put(tmp_path, "failed", 3 * nights, 4)
    assert scoring.run().rows_scored == 4
    assert scoring.run().nothing_new
    put(tmp_path, "next", 3 * nights + 4)
    assert scoring.run().rows_scored == 3
    assert predictions(tmp_path) == doubled(3 * nights + 7)


@pytest.mark.parametrize(("kind", "by"), [("delta", []), ("parquet", ["id"])])
def test_a_new_run_that_appends_adds_no_row_twice(
    line: str, tmp_path: Path, breaks: Break, kind: str, by: list[str]
) -> None:
    put(tmp_path, "a", 0)
    scoring = new_rows(line, tmp_path, kind, units={"bytes": 1}, incremental={"by": by})
    scoring.run()
    assert scoring.run(new_run=True).rows_scored == 0
    put(tmp_path, "b", 3)
    put(tmp_path, "c", 50)
    breaks("seal:2:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    put(tmp_path, "c", 6, 4)
    with pytest.raises(SourceError, match=r"written again: c.parquet"):
        new_rows(line, tmp_path, kind, units={"bytes": 1}).run()
    scoring.run(new_run=True)
    assert predictions(tmp_path) == doubled(10)
    assert scoring.run().nothing_new


def test_a_list_of_files_that_is_gone_is_refused(line: str, tmp_path: Path) -> None:
    put(tmp_path, "a", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    next((tmp_path / ".out.spark_infer").rglob("source.*.json")).unlink()
    put(tmp_path, "b", 3)
    with pytest.raises(TargetError, match="is gone from the ledger"):
        scoring.run()


def test_lists_of_files_are_kept_by_the_newest_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "_MOST_LISTS", 2)
    for number in range(4):
        put(tmp_path, f"{number}", 3 * number)
        assert new_rows(line, tmp_path).run().rows_scored == 3
    kept = sorted(path.parent.name.split(".")[2] for path in (tmp_path / ".out.spark_infer").rglob("source.*.json"))
    assert kept == ["0003", "0004"]
