"""Rows of a source whose keys a target does not hold: what is new where neither a log nor a list of files says it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.config import SourceConfig
from spark_infer.errors import SourceError, SourceReadError, SparkMustReadError, TargetError
from spark_infer.tables.bookmark import Keys
from spark_infer.tables.formats import format_of
from spark_infer.tables.listing import Listing, SourceFile
from spark_infer.tables.scan.column_mapping import stored_schema
from spark_infer.tables.scan.cut import cut
from spark_infer.tables.scan.positions import ROW
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Scan
from spark_infer.tables.schema import schema_of
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import plain
from spark_infer.tables.table_lookup import TableLookup

MOST_ROWS = 100_000_000
MOST_PICKED = 5_000_000
_BATCH_ROWS = 65_536
_FILE = "_spark_infer_file"


def with_unknown_keys(lookup: TableLookup, source: Snapshot, keys: Keys) -> Snapshot:
    """Narrow a snapshot to the rows whose keys the target does not hold; reads the keys of both, here.

    Args:
        lookup: What the engine knows of tables.
        source: The source, all its files.
        keys: What tells rows apart.

    Raises:
        SourceError: A key is null, or the keys cannot be read or are too many for this process.
        TargetError: The target lacks a key, or has it as another type.
    """
    path, table = (keys.target.path, None) if keys.target.path else (None, keys.target.table)
    asked = SourceConfig(path=path, table=table, format=keys.target.format)
    target = format_of(keys.target.format).source_snapshot(lookup, keys.target, asked)
    _refuse_too_many(source, target)
    for snapshot, error in ((source, SourceError), (target, TargetError)):
        if lacking := [name for name in keys.columns if name not in schema_of(snapshot).names]:
            raise error(
                f"{snapshot.location.name} has no column {lacking[0]}, which `incremental.by` names.",
                next_step="name columns of the source that `keep` has.",
            )
    files = _files(source)
    known = _read(target, _files(target), keys.columns).drop_columns([_FILE, ROW])
    rows = _read(source, files, keys.columns)
    for name in keys.columns:
        if rows.column(name).null_count:
            raise SourceError(
                f"Column {name} of {source.location.name}, which `incremental.by` names, has nulls.",
                next_step="name columns that have a value in each row.",
            )
    return _narrowed(source, files, _without(rows, known, keys.columns))


def _without(rows: pa.Table, known: pa.Table, columns: Sequence[str]) -> pa.Table:
    try:
        alike = pa.schema([(name, rows.schema.field(name).type) for name in columns])
        known = _with_one_zero(known.select(list(columns)).cast(alike))
        left = _with_one_zero(rows).join(known, list(columns), join_type="left anti")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise TargetError(
            "The keys of source and target cannot be compared.",
            details=[f"{name}: {rows.schema.field(name).type}, {known.schema.field(name).type}" for name in columns],
            next_step="name columns of numbers, text or dates that have the same type in both tables.",
        ) from error
    return left.select([_FILE, ROW]).sort_by([(_FILE, "ascending"), (ROW, "ascending")])


def _with_one_zero(rows: pa.Table) -> pa.Table:
    """Floating-point numbers that are equal are one key, such as -0.0 and 0.0."""
    for at, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            rows = rows.set_column(at, field, pc.add(rows.column(at), pa.scalar(0.0, field.type)))
    return rows


def _narrowed(source: Snapshot, files: tuple[SourceFile, ...], new: pa.Table) -> Snapshot:
    numbers, at = new.column(_FILE).combine_chunks(), new.column(ROW).combine_chunks()
    picked, single = [], 0
    for number, count in sorted(zip(*(each.to_pylist() for each in pc.value_counts(numbers).flatten()), strict=True)):
        file = files[number]
        if file.vector is None and file.rows == count:
            picked.append(file)
            continue
        if (single := single + count) > MOST_PICKED:
            raise SourceError(
                f"More than {MOST_PICKED:,} rows of {source.location.name} have keys that the target lacks and are in "
                "one file with others, and would be chosen one by one.",
                next_step="score all rows with --set target.mode=overwrite.",
            )
        rows = tuple(at.slice(pc.index(numbers, number).as_py(), count).to_pylist())
        picked.append(replace(file, picked=rows, rows=count))
    assert source.listing is not None
    listing = replace(source.listing, files=tuple(picked))
    return replace(
        source,
        listing=listing,
        rows=new.num_rows,
        files=len(picked),
        size_bytes=listing.size_bytes,
        listed=files,
        is_picked=True,
    )


def _refuse_too_many(source: Snapshot, target: Snapshot) -> None:
    if (rows := sum(snapshot.rows or 0 for snapshot in (source, target))) > MOST_ROWS:
        raise SourceError(
            f"Source and target have {rows:,} keys, and `incremental.by` compares {MOST_ROWS:,} at most.",
            next_step="score all rows with --set target.mode=overwrite; or merge by keys, on Spark.",
        )


def _files(snapshot: Snapshot) -> tuple[SourceFile, ...]:
    if snapshot.listing is None or snapshot.listing.doubts:
        why = [] if snapshot.listing is None else snapshot.listing.doubts
        raise SourceError(
            f"Only Spark can read the keys of {snapshot.location.name}.",
            details=why,
            next_step="score all rows with --set target.mode=overwrite.",
        )
    return snapshot.listing.files


def _read(snapshot: Snapshot, files: Sequence[SourceFile], columns: Sequence[str]) -> pa.Table:
    """The keys of some files, each beside the number of its file and its row."""
    every = plain(schema_of(snapshot))
    schema = pa.schema([every.field(name) for name in columns])
    shape = pa.schema([*schema, (ROW, pa.int64()), (_FILE, pa.int32())])
    try:
        batches = [
            pa.RecordBatch.from_arrays(
                [*batch.select([*columns, ROW]).columns, pa.array([number] * batch.num_rows, pa.int32())], schema=shape
            )
            for number, file in enumerate(files)
            for batch in _batches(snapshot, file, schema)
        ]
    except (SourceReadError, SparkMustReadError) as error:
        raise SourceError(error.what, details=error.details, next_step=error.next_step) from error
    return pa.Table.from_batches(batches, shape)


def _batches(snapshot: Snapshot, file: SourceFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    declared = None if snapshot.column_mapping == "none" else snapshot.declared
    scan = Scan(
        uri=snapshot.location.path or "",
        schema=schema,
        partitions={name: kind for name, kind in snapshot.types.items() if name in schema.names},
        stored=None if declared is None else stored_schema(declared, schema, snapshot.column_mapping),
        batch_rows=_BATCH_ROWS,
        positions=True,
    )
    footers = {} if snapshot.listing is None else snapshot.listing.footers
    for task in cut(Listing((file,), footers), 1):
        yield from read_task(task, scan)
