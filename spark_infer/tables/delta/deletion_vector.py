"""Deletion vectors of Delta: which rows of a data file are deleted; the only place for pyroaring.

deltalake gives the vectors of a whole table at once, as a mask of each file; a worker needs the rows of one file,
from the entry that the driver read.

Format: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Deletion Vectors" and "Deletion Vector Format"
"""

from __future__ import annotations

import base64
import importlib.util
import struct
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import ArrowException

from spark_infer.errors import SourceReadError
from spark_infer.tables.paths import logged_path, stays_inside
from spark_infer.tables.storage import Storage

_INLINE, _RELATIVE, _ABSOLUTE = "i", "u", "p"
_MAGIC = 1681511377
_ENCODED_UUID = 20
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_RFC1924 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"


@dataclass(frozen=True)
class DeletionVector:
    """Where the log says that the deleted rows of a file are listed.

    Attributes:
        kind: ``u`` in a file of the table's folder, ``i`` in the log itself, ``p`` in a file at an absolute path.
        place: That file, or the list itself; encoded as the log has it.
        size: Bytes of the list.
        rows: How many rows are deleted.
        offset: Where the list starts in its file.
    """

    kind: str
    place: str
    size: int
    rows: int
    offset: int = 0

    @classmethod
    def of(cls, descriptor: Mapping[str, Any]) -> DeletionVector:
        """Read the descriptor in an `add` action.

        Raises:
            ValueError: The name of its file cannot be decoded.
        """
        found = cls(
            kind=descriptor["storageType"],
            place=descriptor["pathOrInlineDv"],
            size=descriptor["sizeInBytes"],
            rows=descriptor["cardinality"],
            offset=descriptor.get("offset") or 0,
        )
        found.path  # noqa: B018 - decoded here, so that a name that is none is found with the log
        return found

    @property
    def in_table(self) -> bool:
        """Whether the list lies in the table's folder or in its log."""
        return self.kind == _INLINE or (self.kind == _RELATIVE and stays_inside(self.path))

    @property
    def path(self) -> str:
        """The file of the list, below the table's folder; empty where the log itself has the list."""
        if self.kind != _RELATIVE:
            return ""
        folder, encoded = self.place[:-_ENCODED_UUID], self.place[-_ENCODED_UUID:]
        name = f"deletion_vector_{uuid.UUID(bytes=_from_z85(encoded))}.bin"
        return f"{folder}/{name}" if folder else name


def can_read() -> bool:
    """Whether pyroaring, which reads the lists, is installed."""
    return importlib.util.find_spec("pyroaring") is not None


def deleted_rows(storage: Storage, vector: DeletionVector, file: str) -> NDArray[np.int64]:
    """Return the positions of the deleted rows in their file, ascending; 8 bytes for each.

    Args:
        storage: The table's folder.
        vector: Where the list is.
        file: The data file, for messages.

    Raises:
        SourceReadError: The list is missing or damaged.
    """
    from pyroaring import BitMap64

    try:
        data = _inline(vector) if vector.kind == _INLINE else _stored(storage, vector)
        (magic,) = struct.unpack_from("<i", data)
        if magic != _MAGIC:
            raise ValueError(f"its format {magic} is unknown")
        found = np.asarray(BitMap64.deserialize(data[4:]).to_array(), dtype=np.int64)
        if len(found) != vector.rows:
            raise ValueError(f"it lists {len(found):,} rows and the log says {vector.rows:,}")
    except FileNotFoundError as error:
        raise _unreadable(storage, vector, file, "it is missing") from error
    except (ArrowException, OSError) as error:
        raise _unreadable(storage, vector, file, "it cannot be reached") from error
    except (ValueError, struct.error) as error:
        raise _unreadable(storage, vector, file, f"it is damaged: {error}") from error
    return found


def _inline(vector: DeletionVector) -> bytes:
    return _from_z85(vector.place)[: vector.size]


def _stored(storage: Storage, vector: DeletionVector) -> bytes:
    with storage.files.open_input_file(storage.at(vector.path)) as stream:
        # Before the list its size, behind it its checksum. What is asked for is allocated, whatever the file has.
        if vector.offset + vector.size + 8 > stream.size():
            raise ValueError("its size is not the one in the log")
        found = bytes(stream.read_at(vector.size + 8, vector.offset))
    (size,) = struct.unpack_from(">i", found)
    if size != vector.size or len(found) != size + 8:
        raise ValueError("its size is not the one in the log")
    data = found[4:-4]
    if zlib.crc32(data) != struct.unpack(">I", found[-4:])[0]:
        raise ValueError("its checksum is wrong")
    return data


def _from_z85(text: str) -> bytes:
    """Decode base 85 in the alphabet of ZeroMQ (https://rfc.zeromq.org/spec/32/); Python has it since 3.13."""
    return base64.b85decode(text.encode().translate(bytes.maketrans(_Z85, _RFC1924)))


def _unreadable(storage: Storage, vector: DeletionVector, file: str, why: str) -> SourceReadError:
    where = f"in the file {storage.at(vector.path)}" if vector.path else "in the table's log"
    return SourceReadError(
        f"The deletion vector of {logged_path(storage.at(file))}, {where}, cannot be read: {why}.",
        details=["it lists the rows of that file that are deleted; without it they would come back"],
        next_step="run again when no VACUUM is at work, or restore the file or the table; nothing of this run was "
        "published.",
    )
