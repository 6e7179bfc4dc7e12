"""Leave nothing behind where a new table of the catalog could not be made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spark_infer.tables.delta.log import has_delta_log
from spark_infer.tables.staging import remove_folder
from spark_infer.tables.storage import Storage


@contextmanager
def removed_on_failure(folder: Storage | None) -> Iterator[None]:
    """Remove a folder that was not there before the body and holds no committed table after its failure.

    Spark leaves the files of finished tasks in a new table's folder and then refuses to make the table there again.

    Args:
        folder: Where the catalog puts the table; None where that is unknown, and then nothing is removed.
    """
    fresh = folder is not None and not folder.kind()
    try:
        yield
    except BaseException:
        if folder is not None and fresh and not has_delta_log(folder):
            remove_folder(folder)
        raise
