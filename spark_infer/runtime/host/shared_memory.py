"""Values and record batches in memory that two processes share; only its descriptor goes through a socket.

The memory is a file without a name (memfd_create(2)): it is gone with the last process that has it open, however that
ends. It is sealed against shrinking, since reading behind its end would kill the reader.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import pickle
import struct
import weakref
from typing import Any

import pyarrow as pa

_ALIGNMENT = 64
_COUNT = struct.Struct("<Q")
_HEAD_BYTES = 64
_ROOM = 1.25
"""What a batch gets beyond its size, so that the next one, a little larger, fits as well."""
_MOST_PIECES = 512

WAITING, PREDICTED_ALONE, PREDICTED_WITH_OTHERS = 0, 1, 2
"""How far a batch had come, in the first byte of its memory: known also after the process that read it has ended."""
_KEPT = 1
"""Byte of the memory that says that the model still holds a batch of it, which must not be written over."""


def share(value: object) -> int:
    """Write a value to new shared memory and return its descriptor; arrays go there without being pickled first."""
    arrays: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(value, protocol=5, buffer_callback=arrays.append)
    pieces = [memoryview(pickled), *(each.raw() for each in arrays)]
    head = b"".join(_COUNT.pack(each) for each in (len(pieces), *(piece.nbytes for piece in pieces)))
    written: list[bytes | memoryview] = [_padded(head)]
    for piece in pieces:
        written += [piece, bytes(-piece.nbytes % _ALIGNMENT)]
    file = os.memfd_create("spark_infer-value", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        _write_all(file, [piece for piece in written if len(piece)])
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    except BaseException:
        os.close(file)
        raise
    return file


def shared(file: int) -> Any:
    """Return the value of a descriptor, and close it; arrays lie in the shared memory and are read-only.

    Raises:
        ValueError: It is not what `share` makes.
    """
    try:
        memory = _mapped(file, mmap.PROT_READ)
    finally:
        os.close(file)
    view = memoryview(memory)
    (count,) = _COUNT.unpack_from(view)
    lengths = struct.unpack_from(f"<{count}Q", view, _COUNT.size)
    at, pieces = _COUNT.size * (count + 1), []
    for length in lengths:
        at += -at % _ALIGNMENT
        pieces.append(view[at : at + length])
        at += length
    return pickle.loads(pieces[0], buffers=pieces[1:])


class SentBatches:
    """The memory in which a client sends one batch after the other."""

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._file = -1
        self._is_new = False

    def write(self, batch: pa.RecordBatch) -> int:
        """Write a batch as an Arrow stream in place of the one before, and return its length."""
        if self._memory is not None and not self._memory[_KEPT]:
            try:
                return self._written(batch, self._memory)
            except OSError:  # does not fit
                pass
        sizes = pa.MockOutputStream()
        _write_stream(sizes, batch)
        self._renew(_HEAD_BYTES + int(sizes.size() * _ROOM))
        assert self._memory is not None
        return self._written(batch, self._memory)

    def take_descriptor(self) -> int | None:
        """Return the descriptor of the memory where the host has not got it yet."""
        is_new, self._is_new = self._is_new, False
        return self._file if is_new else None

    def forget_host(self) -> None:
        """Give the next host the descriptor too."""
        self._is_new = self._memory is not None

    @property
    def state(self) -> int:
        """How far the batch had come."""
        return WAITING if self._memory is None else self._memory[0]

    def close(self) -> None:
        """Give the memory back."""
        if self._file >= 0:
            os.close(self._file)
        self._memory, self._file = None, -1

    def _written(self, batch: pa.RecordBatch, memory: mmap.mmap) -> int:
        memory[0] = WAITING
        sink = pa.FixedSizeBufferWriter(pa.py_buffer(memoryview(memory)[_HEAD_BYTES:]))
        _write_stream(sink, batch)
        return int(sink.tell())

    def _renew(self, size_bytes: int) -> None:
        self.close()
        self._file = os.memfd_create("spark_infer-batch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self._file, size_bytes)
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._memory = _mapped(self._file, mmap.PROT_READ | mmap.PROT_WRITE)
        self._is_new = True


class ReceivedBatches:
    """The memory of one client, as the host sees it.

    Args:
        file: Its descriptor, which is closed here.
    """

    def __init__(self, file: int) -> None:
        try:
            self._memory = _mapped(file, mmap.PROT_READ | mmap.PROT_WRITE)
        finally:
            os.close(file)
        self._lent: weakref.ref[memoryview] | None = None

    def read(self, length: int) -> pa.RecordBatch:
        """Return the batch that lies there; its columns are the memory itself."""
        view = memoryview(self._memory)[_HEAD_BYTES : _HEAD_BYTES + length]
        self._lent = weakref.ref(view)  # which lives as long as any column of the batch, or an array made of it
        with pa.ipc.open_stream(pa.py_buffer(view)) as stream:
            return stream.read_next_batch()

    def take_back(self) -> None:
        """Have the client write its next batch elsewhere if somebody here, such as the model, still holds this one."""
        if self._lent is not None and self._lent() is not None:
            self._memory[_KEPT] = 1

    def note(self, state: int) -> None:
        """Note how far the batch has come."""
        self._memory[0] = state


def _mapped(file: int, protection: int) -> mmap.mmap:
    if not fcntl.fcntl(file, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
        raise ValueError("memory that its owner can shrink")
    return mmap.mmap(file, os.fstat(file).st_size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=protection)


def _write_stream(sink: Any, batch: pa.RecordBatch) -> None:
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)


def _padded(head: bytes) -> bytes:
    return head + bytes(-len(head) % _ALIGNMENT)


def _write_all(file: int, pieces: list[bytes | memoryview]) -> None:
    left = [memoryview(piece).cast("B") for piece in pieces]
    while left:
        done = os.writev(file, left[:_MOST_PIECES])
        while left and done >= len(left[0]):
            done -= len(left.pop(0))
        if done:
            left[0] = left[0][done:]
