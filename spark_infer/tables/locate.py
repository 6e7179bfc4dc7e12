"""Find a table by path or catalog name, and say of which format it is."""

from __future__ import annotations

import posixpath

from spark_infer.config import SourceConfig, TableConfig, TargetConfig
from spark_infer.errors import TargetError
from spark_infer.tables.files.format import FilesFormat
from spark_infer.tables.formats import FORMATS, format_of
from spark_infer.tables.location import TableLocation, canonical, refusal, resolved
from spark_infer.tables.parquet.format import ParquetFormat
from spark_infer.tables.parquet.streamlog import has_stream_log, unread_target
from spark_infer.tables.storage import Storage, open_storage, split_uri
from spark_infer.tables.stored.format import StoredFormat
from spark_infer.tables.table_lookup import CatalogEntry, TableLookup

_GLOB = frozenset("*?[]{}")


def locate(lookup: TableLookup, config: TableConfig) -> TableLocation | None:
    """Find a table and its format; None where nothing is there yet.

    Looks at the catalog or at the folder, and starts no Spark job.

    Args:
        lookup: What the engine knows of tables.
        config: One side of a job.

    Raises:
        SourceError: The configuration is a source's and what is there is not the table it says.
        TargetError: The same for a target.
    """
    if isinstance(config, SourceConfig) and config.files is not None:
        return TableLocation(FilesFormat.name, qualify(lookup, config), same_disk=lookup.same_disk)
    if isinstance(config, SourceConfig) and config.is_stored_first:
        return stored_location(lookup, config)
    if config.table is not None:
        return _in_catalog(lookup, config, config.table)
    uri, here = qualify(lookup, config), lookup.same_disk
    storage = open_storage(uri, same_disk=here)
    found = lookup.format_at(config, uri) if storage is None else _format_by_files(storage, config)
    if found is None:
        return None
    _check_format(config, found)
    return TableLocation(found, uri, same_disk=here)


def stored_location(lookup: TableLookup, config: SourceConfig) -> TableLocation:
    """What only Spark can read; once its rows are stored, the Parquet table that has them."""
    here, at = lookup.same_disk, config.stored_at
    if at:
        session = posixpath.basename(at)
        return TableLocation(ParquetFormat.name, at, same_disk=here, words=config.name, stored=session)
    is_folder = config.path is not None and not _GLOB & set(config.path)
    path = qualify(lookup, config) if is_folder else None
    return TableLocation(StoredFormat.name, path, same_disk=here, words=config.name)


def qualify(lookup: TableLookup, config: TableConfig) -> str:
    """Return the one full URI of a configured path: scheme added, ``..``, links and trailing slashes resolved.

    The engine says where a path starts that has no scheme, or no host.
    """
    path = config.folder or ""
    refuse = refusal(config)
    if _GLOB & set(path):
        raise refuse(
            f"The path {path!r} holds a pattern (one of * ? [ ] {{ }}).",
            next_step="name one folder; choose among its partitions with `partition_filter`.",
        )
    scheme, authority, rest = split_uri(path)
    if not scheme:
        scheme, authority, base = split_uri(lookup.base_uri(config, ""))
        rest = posixpath.join(base, path)
    elif not authority and scheme != "file":
        _, authority, _ = split_uri(lookup.base_uri(config, scheme))
    if not rest.startswith("/") and not authority:
        raise refuse(f"The path {path!r} is not absolute below its scheme.", next_step=f"write {scheme}:///…")
    if scheme == "file":
        return f"file://{resolved(rest, here=lookup.same_disk)}"
    # posixpath keeps two leading slashes, which mean nothing here.
    return f"{scheme}://{authority}/{posixpath.normpath(rest).lstrip('/')}".rstrip("/")


def _in_catalog(lookup: TableLookup, config: TableConfig, table: str) -> TableLocation | None:
    try:
        entry = lookup.catalog(config).describe(table)
    except ValueError as error:
        raise refusal(config)(str(error)) from error
    if entry is None:
        return None
    _check_entry(config, entry)
    _check_format(config, entry.provider)
    here = lookup.same_disk
    path = canonical(entry.location, here=here) if entry.location else None
    return TableLocation(entry.provider, path, entry.name, same_disk=here, external=entry.kind == "EXTERNAL")


def _check_entry(config: TableConfig, entry: CatalogEntry) -> None:
    shown = entry.name.replace("`", "")
    is_target = isinstance(config, TargetConfig)
    next_step = "name another table." if is_target else "name it as `source.view`, and its rows are stored first."
    if not entry.provider:
        raise refusal(config)(f"{shown} is a view, not a table.", next_step=next_step)
    if entry.provider not in FORMATS:
        what = f"{shown} is a {entry.provider} table; Delta and Parquet tables can be used."
        raise refusal(config)(what, next_step=next_step)
    if entry.buckets and isinstance(config, TargetConfig):
        raise TargetError(f"{shown} is bucketed, which this job cannot keep.", next_step="choose another table.")


def _check_format(config: TableConfig, found: str) -> None:
    if config.format is not None and config.format != found:
        harm = format_of(found).harm_of_plain_reading
        raise refusal(config)(
            f"{config.name} is a {found.capitalize()} table, and `format: {config.format}` was asked for.{harm}",
            next_step=f"leave `format` out, or write `format: {found}`.",
        )


def _format_by_files(storage: Storage, config: TableConfig) -> str | None:
    if logged := _format_at(storage, with_log=True):
        return logged
    if outer := _table_above(storage):
        reads = not isinstance(config, TargetConfig)
        raise refusal(config)(
            f"{config.name} lies inside {outer}.",
            details=["The log of that table says which files belong to it."],
            next_step=f"name {'that table, with `partition_filter`' if reads else 'a folder elsewhere'}.",
        )
    if isinstance(config, TargetConfig) and storage.kind() == "file":
        raise TargetError(f"{config.name} is a file, not a folder.", next_step="name a folder.")
    if isinstance(config, TargetConfig) and has_stream_log(storage):
        raise unread_target(config.name)
    return _format_at(storage, with_log=False)


def format_at(storage: Storage) -> str | None:
    """Return the format of the table in a folder; None where there is none."""
    return _format_at(storage, with_log=True) or _format_at(storage, with_log=False)


def _format_at(storage: Storage, *, with_log: bool) -> str | None:
    formats = [each for each in FORMATS.values() if bool(each.log_folder) == with_log]
    return next((each.name for each in formats if each.is_at(storage)), None)


def _table_above(storage: Storage) -> str:
    """The table with a log that a folder lies inside of; "" where there is none."""
    outer = storage
    while outer.parent().root.strip("/") and split_uri(outer.parent().uri)[2].strip("/"):
        outer = outer.parent()
        for each in FORMATS.values():
            if each.log_folder and each.is_at(outer):
                return f"the {each.name.capitalize()} table {outer.uri.removeprefix('file://')}"
        if has_stream_log(outer):
            return f"the folder {outer.uri.removeprefix('file://')}, which a stream writes"
    return ""
