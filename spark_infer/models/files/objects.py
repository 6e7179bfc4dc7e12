"""An object store as the way of model files: the driver uploads one archive, each node downloads it once.

Whatever pyarrow can open by its URI will do. Credentials come from the environment or the standard configuration of
the process that opens it; none are part of the URI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spark_infer.core.exception_text import first_line
from spark_infer.errors import EnvironmentProblem, ModelFilesError
from spark_infer.models.files.archive import pack_into, packed_bytes, unpack_from

_READ_BYTES = 2**24  # of one request to the store


def check(uri: str, digest: str, source: Path) -> bool:
    """Tell, on the driver, whether a model's archive is there already; refuse a URI that cannot be reached.

    Writes nothing.

    Raises:
        EnvironmentProblem: The URI cannot be opened or looked at, or its bucket does not exist.
    """
    with _reaching(uri):
        files, path = _opened(uri, digest)
        if _is_whole(files, path, source):
            return True
        bucket = path.partition("/")[0]
        if files.type_name == "s3" and _is_known_missing(files, bucket):
            raise EnvironmentProblem(
                f"model_files names {uri}, and there is no bucket {bucket!r}.",
                next_step="make the bucket, or correct the URI.",
            )
    return False


def upload(uri: str, digest: str, source: Path) -> None:
    """Put a model's archive there, where it is not there in its full size.

    Raises:
        EnvironmentProblem: It cannot be written.
    """
    with _reaching(uri):
        files, path = _opened(uri, digest)
        if _is_whole(files, path, source):
            return
        if files.type_name not in ("s3", "gcs", "abfs"):  # those have no folders
            files.create_dir(path.rpartition("/")[0], recursive=True)
        with files.open_output_stream(path) as target:
            pack_into(source, target)


def download(uri: str, digest: str, into: Path) -> None:
    """Write the files of the archive into an empty folder; runs on a node.

    Raises:
        ModelFilesError: The archive cannot be read from this node, or is damaged.
    """
    from pyarrow import ArrowException

    try:
        files, path = _opened(uri, digest)
        source = files.open_input_stream(path, buffer_size=_READ_BYTES)
    except (ArrowException, OSError, ValueError) as error:
        raise ModelFilesError(
            f"This node cannot read the model's files from {uri}: {first_line(error)}",
            next_step="give the executors access to it: credentials come from their environment or configuration.",
        ) from error
    with source:
        unpack_from(source, into, name=path.rpartition("/")[2])


def _opened(uri: str, digest: str) -> tuple[Any, str]:
    """Return the file system and the archive's path in it."""
    from pyarrow import fs

    spelled = re.sub(r"^s3[an]://", "s3://", uri, flags=re.IGNORECASE)
    files, root = fs.FileSystem.from_uri(spelled)
    return files, f"{root.rstrip('/')}/spark_infer-{digest}.tar"


def _is_whole(files: Any, path: str, source: Path) -> bool:
    # An upload that was cut short leaves an archive that every node would refuse; its size tells.
    from pyarrow import fs

    found = files.get_file_info(path)
    return bool(found.type == fs.FileType.File and found.size == packed_bytes(source))


def _is_known_missing(files: Any, bucket: str) -> bool:
    from pyarrow import fs

    with suppress(OSError):  # to look at a whole bucket may be forbidden where its objects are not
        return bool(files.get_file_info(bucket).type == fs.FileType.NotFound)
    return False


@contextmanager
def _reaching(uri: str) -> Iterator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError) as error:
        raise EnvironmentProblem(
            f"model_files names {uri}, which the driver cannot use: {first_line(error)}",
            next_step="check the URI, the network and the credentials of this process, or leave model_files out.",
        ) from error
