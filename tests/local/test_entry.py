"""The entry for spark-submit ends with a code, and with no secret on the screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.errors import WriteError
from spark_infer.job import __main__ as entry


@pytest.mark.parametrize(("error", "code"), [(WriteError("no place at tr0ub4dor"), 4), (OSError("tr0ub4dor"), 1)])
def test_no_error_shows_a_secret_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    (tmp_path / "job.yaml").write_text("model: m\nsource: '${secret:WHERE}/in'\ntarget: out\nengine: local\n")
    monkeypatch.setenv("WHERE", "tr0ub4dor")
    monkeypatch.setattr(entry, "prepare_job", fail)
    assert entry.main([str(tmp_path / "job.yaml")]) == code
    shown = capsys.readouterr()
    assert "${secret:WHERE}" in shown.err
    assert "tr0ub4dor" not in shown.out + shown.err
