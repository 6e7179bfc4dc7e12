"""The units of a run as they are kept beside its target."""

from __future__ import annotations

from spark_infer.engines.unit import Unit, from_json, to_json
from spark_infer.tables.delta.deletion_vector import DeletionVector
from spark_infer.tables.scan.task import Piece, ScanTask


def test_units_that_are_read_back_are_the_same_with_everything_a_piece_has() -> None:
    vector = DeletionVector("u", "ab^-aqEH.-t@S}K{vb[*k^", 36, 6, offset=4)
    pieces = (
        Piece("a", 10, {"p": None}, groups=(0, 2), rows=5, weight=7, vector=vector),
        Piece("b", 11, modified_ns=12),
    )
    units = (Unit(0, (ScanTask(0, pieces), ScanTask(1, (Piece("c", 1),)))), Unit(1, (ScanTask(2, (Piece("d", 2),)),)))
    assert from_json(to_json(units), "here") == units
