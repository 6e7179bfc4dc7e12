"""Engine `local` knows tables by their files alone, and says so where it would take Spark."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from spark_infer.config import SourceConfig, TableConfig, TargetConfig
from spark_infer.errors import PlanError, SourceError, TargetError
from spark_infer.tables.check_target import find_target
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.locate import locate
from spark_infer.tables.source import open_snapshot
from spark_infer.tables.table_lookup import TableLookup

LOCAL: TableLookup = LocalTables()


@pytest.mark.parametrize("side", [SourceConfig, TargetConfig])
@pytest.mark.parametrize(
    ("where", "what"),
    [
        ({"table": "db.flights"}, "the catalog"),
        ({"path": "hdfs:///flights"}, "the host of hdfs:///"),
        ({"path": "abfss:///flights"}, "the host of abfss:///"),
        ({"path": "dbfs://data/flights"}, "this file system"),
    ],
)
def test_what_only_spark_knows_is_refused_on_either_side(
    side: type[TableConfig], where: dict[str, str], what: str
) -> None:
    refusal = SourceError if side is SourceConfig else TargetError
    with pytest.raises(refusal, match=f"Only Spark knows {what}, and engine `local` runs without it") as refused:
        locate(LOCAL, side.model_validate(where))
    assert refused.value.next_step


def test_a_relative_path_starts_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    new, exists = find_target(LOCAL, TargetConfig(path="out/../scored"), "delta")
    assert (new.path, new.format, exists) == (f"file://{tmp_path}/scored", "delta", False)
    write_deltalake("flights", pa.table({"id": [1]}))
    assert open_snapshot(LOCAL, SourceConfig(path="flights")).rows == 1
    with pytest.raises(SourceError, match="did you mean 'flights'") as missing:
        open_snapshot(LOCAL, SourceConfig(path="flight"))
    assert "starts in the folder that this command was started in" in str(missing.value)


def edited(path: Path, action: str, **fields: object) -> None:
    log = path / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for each in actions:
        each.get(action, {}).update(fields)
    log.write_text("\n".join(map(json.dumps, actions)))


def test_a_log_is_said_to_be_for_spark_only_where_spark_can_read_it(tmp_path: Path) -> None:
    for name, action, fields in (
        ("managed", "protocol", {"writerFeatures": ["catalogManaged"]}),
        ("damaged", "metaData", {"schemaString": ""}),
    ):
        write_deltalake(tmp_path / name, pa.table({"id": [1]}))
        edited(tmp_path / name, action, **fields)
    with pytest.raises(PlanError, match="Only Spark can read the log") as managed:
        open_snapshot(LOCAL, SourceConfig(path=str(tmp_path / "managed")))
    assert managed.value.next_step == "set engine: spark."
    with pytest.raises(PlanError, match="is damaged") as damaged:
        open_snapshot(LOCAL, SourceConfig(path=str(tmp_path / "damaged")))
    assert "Spark" not in str(damaged.value)
