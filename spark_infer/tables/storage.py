"""Where a table's files live, as this process sees them: local folders and whatever pyarrow.fs can open."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from pyarrow import ArrowException, fs

from spark_infer.errors import SourceError
from spark_infer.tables.spark_listing import has_hidden_loop, is_hidden, is_hidden_folder, without_loops

_ATOMIC_RENAME = ("file", "hdfs", "viewfs")
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/]*))?(.*)", re.DOTALL)
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class DataFile:
    """One file of a table: its path below the table's folder, its size, and when it was written where known."""

    path: str
    size: int
    modified_ns: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Storage:
    """A folder (or a single file) on a file system.

    Attributes:
        uri: The folder as Spark names it; not percent-encoded, like a Hadoop path.
        root: The folder as the file system names it.
        files: The pyarrow file system.
    """

    uri: str
    root: str
    files: Any

    @property
    def scheme(self) -> str:
        """The URI's scheme in lower case."""
        return split_uri(self.uri)[0]

    @property
    def renames_atomically(self) -> bool:
        """Whether a folder gets its new name in one step, with all its files; object stores copy file by file."""
        return self.scheme in _ATOMIC_RENAME

    def at(self, path: str) -> str:
        """A path below this folder, as the file system names it."""
        return f"{self.root}/{path}" if path else self.root

    def below(self, path: str) -> Storage:
        """The folder at a path below this one."""
        return replace(self, uri=f"{self.uri}/{path}", root=self.at(path))

    def parent(self) -> Storage:
        """The folder that this one lies in."""
        return replace(self, uri=posixpath.dirname(self.uri), root=posixpath.dirname(self.root))

    def beside(self, name: str) -> Storage:
        """A folder of the same parent."""
        return self.parent().below(name)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return posixpath.basename(self.root)

    def kind(self, path: str = "") -> str:
        """``"folder"``, ``"file"`` or ``""`` where there is nothing."""
        found = self.files.get_file_info(self.at(path)).type
        return {fs.FileType.Directory: "folder", fs.FileType.File: "file"}.get(found, "")

    def data_files(self) -> list[DataFile]:
        """The files that Spark takes for data, sorted: of any name but the hidden ones, and empty ones too.

        Spark: HadoopFSUtils.shouldFilterOutPathName and PartitioningAwareFileIndex.isDataPath.
        """
        if self.kind() == "file":
            return [] if is_hidden(self.name) else [data_file("", self.files.get_file_info(self.root))]
        files = [data_file(path, entry) for path, entry in self._below() if entry.type == fs.FileType.File]
        return [file for file in files if _is_data(file.path)]

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is no such file."""
        try:
            with self.files.open_input_stream(self.at(path)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def every_path(self) -> list[str]:
        """The paths of all that is no folder, hidden or not, sorted."""
        return [path for path, entry in self._below() if entry.type != fs.FileType.Directory]

    def _below(self) -> list[tuple[str, Any]]:
        if isinstance(self.files, fs.LocalFileSystem) and has_hidden_loop(self.root):
            entries = without_loops(self.root)
        else:
            entries = self.files.get_file_info(fs.FileSelector(self.root, recursive=True, allow_not_found=True))
        try:
            found = [(entry.path[len(self.root) :].lstrip("/"), entry) for entry in entries]
        except UnicodeDecodeError:
            raise SourceError(
                f"A name below {self.root} is not UTF-8, so that the folder cannot be listed.",
                next_step="rename that file or folder; `LC_ALL=C find FOLDER -name '*[! -~]*'` lists those of other "
                "characters than ASCII.",
            ) from None
        return sorted(found, key=lambda each: each[0])

    def names(self, path: str = "") -> list[str]:
        """The names directly inside a folder; none where there is no folder."""
        selector = fs.FileSelector(self.at(path), allow_not_found=True)
        return sorted(posixpath.basename(entry.path) for entry in self.files.get_file_info(selector))


def data_file(path: str, entry: Any) -> DataFile:
    """A file as the file system describes it."""
    return DataFile(path, entry.size, entry.mtime_ns)


def open_storage(uri: str, *, same_disk: bool = True) -> Storage | None:
    """Open a folder given by its full URI; None where this process cannot reach its file system.

    Args:
        uri: The folder as Spark names it.
        same_disk: Whether a `file:` path means to Spark what it means here.
    """
    scheme, authority, path = split_uri(uri)
    if scheme == "file":
        return Storage(uri, path, fs.LocalFileSystem()) if same_disk else None
    try:
        spelled = "s3" if scheme in ("s3a", "s3n") else scheme
        files, root = fs.FileSystem.from_uri(f"{spelled}://{authority}{quote(path)}")
        storage = Storage(uri, root.rstrip("/"), files)
        storage.kind()
    except (ArrowException, OSError, ValueError):
        return None
    return storage


def split_uri(uri: str) -> tuple[str, str, str]:
    """Split a URI into scheme (lower case, ``""`` without one), authority and path."""
    if match := _URI.fullmatch(uri):
        return match[1].lower(), match[2] or "", match[3]
    return "", "", uri


def partition_folders(path: str) -> list[tuple[str, str]]:
    """Name and text of each partition folder on a file's path, outermost first; the text as the folder has it."""
    folders = [folder.partition("=") for folder in path.split("/")[:-1] if _is_partition(folder)]
    return [(unescaped(name), text) for name, _, text in folders]


def partition_values(path: str) -> dict[str, str | None]:
    """The partition columns and values that a file's folders name, outermost first.

    Values are the text as it is written, unescaped as Spark does it; None is null. No type is guessed.
    """
    folders = partition_folders(path)
    return {name: None if text in (NULL_PARTITION, "") else unescaped(text) for name, text in folders}


def plain_folder(path: str) -> str | None:
    """The outermost folder on a file's path that is not ``name=value``, as a path; None where there is none."""
    folders = path.split("/")[:-1]
    for depth, folder in enumerate(folders, 1):
        if not _is_partition(folder):
            return "/".join(folders[:depth])
    return None


def _is_partition(folder: str) -> bool:
    return folder.find("=") > 0


def unescaped(text: str) -> str:
    """A name or value without its ``%`` escapes, as Spark's ExternalCatalogUtils.unescapePathName has it."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _is_data(path: str) -> bool:
    *folders, name = path.split("/")
    return not is_hidden(name) and not any(map(is_hidden_folder, folders))
