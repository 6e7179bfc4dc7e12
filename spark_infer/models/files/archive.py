"""A model folder as one tar file, and back, to carry it from the driver to the nodes.

The same folder always packs to the same bytes. Both ends are read and written from front to back, so that an object
store can be one of them. Unpacking trusts nothing: plain files only, each inside the folder, each new, and no more
than the limits say. Tar stays uncompressed: weights hardly shrink, and nothing can unpack to more than it is.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from spark_infer.errors import ModelFilesError
from spark_infer.models.files.digest import model_files
from spark_infer.runtime.private_files import private

_CHUNK_BYTES = 2**20
_WRITE_BYTES = 2**16  # tarfile copies what it holds back with each piece it is given
_MAX_FILES = 100_000
_MAX_BYTES = 2**40


def pack(folder: Path, archive: Path) -> None:
    """Write the files of a model folder into a new tar file.

    Args:
        folder: The model folder.
        archive: The tar file to write; must not exist.
    """
    with open(archive, "xb", opener=private) as target:
        pack_into(folder, target)


def pack_into(folder: Path, target: IO[bytes]) -> None:
    """Write the files of a model folder as tar, front to back."""
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_WRITE_BYTES) as tar:
        for name, path in model_files(folder).items():
            with path.open("rb") as file:
                tar.addfile(_member(name, os.fstat(file.fileno()).st_size), file)


def packed_bytes(folder: Path) -> int:
    """Return how large the tar file of a model folder is, without reading the files."""
    total = 0
    for name, path in model_files(folder).items():
        member = _member(name, path.stat().st_size)
        header = len(member.tobuf(tarfile.PAX_FORMAT, tarfile.ENCODING, "surrogateescape"))
        total += header + _rounded(member.size, tarfile.BLOCKSIZE)
    return _rounded(total + 2 * tarfile.BLOCKSIZE, tarfile.RECORDSIZE)


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of a tar file into a folder; see `unpack_from`.

    Raises:
        ModelFilesError: The archive is damaged or holds anything but plain files inside the folder.
    """
    with archive.open("rb") as source:
        unpack_from(source, folder, name=archive.name)


def unpack_from(
    source: IO[bytes], folder: Path, *, name: str, max_files: int = _MAX_FILES, max_bytes: int = _MAX_BYTES
) -> None:
    """Write the files of a tar stream into a folder, refusing everything but new plain files inside it.

    What was written before a refusal stays behind: unpack into a folder that is thrown away then, as
    `ModelStore.ensure` does.

    Args:
        source: An uncompressed tar file, read front to back.
        folder: An existing, empty folder.
        name: What to call the archive in errors.
        max_files: Most files to accept.
        max_bytes: Most bytes of content to accept.

    Raises:
        ModelFilesError: The archive is damaged or holds anything else.
    """
    files = size = 0
    try:
        with tarfile.open(fileobj=source, mode="r|", bufsize=_CHUNK_BYTES) as tar:
            for member in tar:
                if member.isdir():
                    continue
                files, size = files + 1, size + member.size
                if files > max_files or size > max_bytes:
                    raise _refused(name, f"holds more than {max_files} files or {max_bytes} bytes")
                _write(tar, member, folder / _checked(name, member))
    except (tarfile.TarError, EOFError, RecursionError, ValueError) as error:
        raise _refused(name, f"is damaged ({type(error).__name__})") from error


def _member(name: str, size: int) -> tarfile.TarInfo:
    # Neither times nor owners: the same files make the same bytes.
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def _rounded(size: int, step: int) -> int:
    return -(-size // step) * step


def _checked(archive: str, member: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if not member.isreg() or member.issparse():
        raise _refused(archive, f"holds {member.name!r}, which is not a plain file")
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in member.name or "\0" in member.name:
        raise _refused(archive, f"holds {member.name!r}, which leaves the folder")
    return path


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise tarfile.ReadError(member.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb", opener=private) as target:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise tarfile.ReadError(f"{member.name} twice") from error


def _refused(archive: str, complaint: str) -> ModelFilesError:
    return ModelFilesError(
        f"The archive {archive} {complaint}.", next_step="Ship the model again; the archive is not used."
    )
