"""The conformance suite of table formats with engine `local`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spark_infer.tables.formats import FORMATS
from tests.conformance.writes import Writes, every_case


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("kind", FORMATS)
@every_case
def test_a_format_keeps_what_a_job_promises(
    line: str, tmp_path: Path, breaks: Callable[[str], None], kind: str, case: Callable[[Writes], None]
) -> None:
    case(Writes(tmp_path, kind, line, {"engine": "local"}, (), breaks))
