"""The partition columns that a Parquet table's folders name.

A column is an integer or a date where every one of its folders is written exactly as that value is printed, and a
string otherwise. Folders that leave rows in doubt are refused (Spark: PartitioningUtils.parsePartitions).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from spark_infer.errors import SourceError
from spark_infer.tables.paths import logged_path
from spark_infer.tables.scan.values import parsed
from spark_infer.tables.storage import partition_folders, partition_values, plain_folder


def refuse_stray(name: str, paths: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse files that Spark passes over without a word or refuses, and those that it finds below a partition folder.

    Args:
        name: The table.
        paths: Its files.
        columns: Its partition columns.

    Raises:
        SourceError: There is such a file.
    """
    plain = [folder for path in paths if (folder := plain_folder(path)) is not None]
    if plain:
        raise SourceError(
            f"{name} has files in a folder that is no partition: {logged_path(plain[0] + '/')}.",
            details=["Spark looks for rows in folders that are called name=value, and would leave out most others."],
            next_step="name that folder itself, move its files, or give it a name of the form name=value.",
        )
    unclear = next((path for path in paths if _is_unclear(partition_folders(path))), None)
    if unclear is not None:
        raise SourceError(
            f"{name} has a partition folder without a value, or two of the same name: {logged_path(unclear)}.",
            details=["Spark refuses such a table."],
            next_step="rename the folder, or move its files.",
        )
    own = tuple(columns)
    stray = [path for path in paths if tuple(partition_values(path)) != own]
    if stray:
        place = "/".join(f"{column}=…" for column in columns)
        raise SourceError(
            f"{name} mixes partition folders: {logged_path(stray[0])} does not lie in {place or 'the folder itself'}.",
            details=["Spark would leave its rows out, or refuse the table."],
            next_step="move the file away, or name the folder that you mean.",
        )


def _is_unclear(folders: Sequence[tuple[str, str]]) -> bool:
    return not all(text for _, text in folders) or len({name.casefold() for name, _ in folders}) < len(folders)


def partition_type(texts: Collection[str | None]) -> str:
    """The type of a partition column, by the texts of its folders that are not null."""
    for type_name in ("int", "bigint", "date"):
        if texts and all(text is not None and _is_written_as(type_name, text) for text in texts):
            return type_name
    return "string"


def _is_written_as(type_name: str, text: str) -> bool:
    try:
        return str(parsed(text, type_name)) == text
    except ValueError:
        return False
