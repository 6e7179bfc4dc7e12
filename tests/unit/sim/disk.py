"""A disk in memory that forgets what was not stored, lists in any order, and lies about replies."""

from __future__ import annotations

import functools
import io
import posixpath
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pyarrow import fs

_parent = functools.cache(posixpath.dirname)
"""The folder of a path: asked for a few hundred paths, hundreds of thousands of times."""

Step = Callable[[str], str]
"""Is told what a driver is about to do, may stop it for good, and says what becomes of it: ok, lost or refused."""


@dataclass
class Node:
    """A file or a folder.

    Attributes:
        content: Bytes of a file; None for a folder.
        stored: What a power cut leaves of the content; None where nothing does.
        number: What it keeps under another name.
        beats: How often it was given the time of now.
    """

    content: bytes | None
    stored: bytes | None = None
    number: int = 0
    beats: int = 0


@dataclass
class SimDisk:
    """Files by path. Names become lasting when their folder is stored, contents when the file is.

    Attributes:
        random: Decides the order of listings.
        step: Called before whatever changes or tells something.
        nodes: What is there.
        lasting: The names that a power cut leaves, and what they name.
        changes: How often something has changed: between two changes a reader sees the same.
    """

    random: random.Random
    step: Step = lambda what: "ok"
    nodes: dict[str, Node] = field(default_factory=dict)
    lasting: dict[str, Node] = field(default_factory=dict)
    changes: int = 0
    _numbers: int = 0
    _seen: dict[str, tuple[int, dict[str, bytes]]] = field(default_factory=dict)

    @property
    def disk(self) -> SimDisk:
        """What the library asks for: files that appear once, and stay."""
        return self

    # What pyarrow's file systems do.

    def get_file_info(self, what: Any) -> Any:
        if isinstance(what, fs.FileSelector):
            self._told("list")
            inside = what.base_dir.rstrip("/") + "/"
            paths = [p for p in self.nodes if p.startswith(inside) and (what.recursive or "/" not in p[len(inside) :])]
            self.random.shuffle(paths)
            return [self._info(path) for path in paths]
        if isinstance(what, list):
            self._told("look")
            return [self._info(path) for path in what]
        self._told("look")
        return self._info(what)

    def open_input_stream(self, path: str) -> io.BytesIO:
        self._told("read")
        node = self.nodes.get(path)
        if node is None or node.content is None:
            raise FileNotFoundError(path)
        return io.BytesIO(node.content)

    def open_output_stream(self, path: str) -> Any:
        return _Writing(self, path)

    def create_dir(self, path: str, recursive: bool = True) -> None:
        self._does("create_dir", lambda: self._make_dirs(path))

    def delete_file(self, path: str) -> None:
        def delete() -> None:
            if self.nodes.pop(path, None) is None:
                raise FileNotFoundError(path)

        self._does("delete_file", delete)

    def delete_dir(self, path: str) -> None:
        # Not in one step: a kill in the middle leaves a part.
        def delete(each: str) -> None:
            if any(p.startswith(each + "/") for p in self.nodes):
                raise OSError(f"{each} is not empty: another driver has put something there meanwhile")
            self.nodes.pop(each, None)

        for each in sorted(_below(self.nodes, path), reverse=True):
            self._does("delete_dir", partial(delete, each))

    def move(self, start: str, end: str) -> None:
        def move() -> None:
            if start not in self.nodes:
                raise FileNotFoundError(start)
            if end in self.nodes:
                raise FileExistsError(end)
            if _parent(end) not in self.nodes:
                raise FileNotFoundError(end)
            for path in [p for p in self.nodes if p == start or p.startswith(start + "/")]:
                self.nodes[end + path[len(start) :]] = self.nodes.pop(path)

        self._does("move", move)

    # What a disk does for a run.

    def create(self, path: str, content: bytes, *, mode: int = 0o600) -> bool:
        made = []

        def create() -> None:
            if _parent(path) not in self.nodes:
                raise FileNotFoundError(path)
            if path not in self.nodes:
                self.nodes[path] = self._node(content, stored=content)
                self._keep_name(path)
                made.append(path)

        self._does("create", create)
        return bool(made)

    def renew(self, path: str, content: bytes) -> None:
        self.nodes[path].beats += 1

    def make_folder(self, path: str) -> None:
        def make() -> None:
            missing = [each for each in _up(path) if each not in self.nodes]
            self._make_dirs(path)
            for each in missing:
                self._keep_name(each)

        self._does("make_folder", make)

    def keep(self, root: str, paths: Iterable[str]) -> None:
        def keep() -> None:
            folders = {root, _parent(root)}
            for path in (f"{root}/{each}" for each in paths):
                node = self.nodes.get(path)
                if node is None:
                    raise FileNotFoundError(path)
                node.stored = node.content
                folders |= {each for each in _up(path) if each.startswith(root) and self.nodes[each].content is None}
            for folder in sorted(folders):
                self._keep_folder(folder)

        self._does("keep", keep)

    def exchange(self, first: str, second: str) -> bool:
        def swap() -> None:
            if first not in self.nodes or second not in self.nodes:
                raise FileNotFoundError(first)
            one, two = _below(self.nodes, first), _below(self.nodes, second)
            for path in [*one, *two]:
                del self.nodes[path]
            self.nodes |= {second + path[len(first) :]: node for path, node in one.items()}
            self.nodes |= {first + path[len(second) :]: node for path, node in two.items()}

        self._does("exchange", swap)
        return True

    def remove_empty(self, path: str) -> None:
        def remove() -> None:
            if len(_below(self.nodes, path)) != 1:
                raise OSError(39, "not empty, or not there")
            del self.nodes[path]

        self._does("remove_empty", remove)

    def stands_alone(self, folder: str) -> bool:
        return False

    def link_in(self, root: str, paths: Iterable[str]) -> str | None:
        return None

    # What befalls it.

    def cut_power(self) -> None:
        """Leave what was stored, under the names that were."""
        self.changes += 1
        self.nodes = {}
        for path, node in sorted(self.lasting.items()):
            if _parent(path) not in self.nodes and path != "/":
                continue
            content = None if node.content is None else (node.stored if node.stored is not None else b"")
            self.nodes[path] = Node(content, content, node.number)
        self.lasting = dict(self.nodes)

    def write(self, path: str, content: bytes) -> None:
        """Have a worker write a file, not stored."""

        def write() -> None:
            if _parent(path) not in self.nodes:
                self._make_dirs(_parent(path))
            self.nodes[path] = self._node(content)

        self._does("write", write)

    def files_below(self, root: str) -> dict[str, bytes]:
        """What a reader sees, without a step of anybody; it is looked up once between two changes."""
        changes, files = self._seen.get(root, (-1, {}))
        if changes != self.changes:
            inside = root + "/"
            files = {
                path[len(inside) :]: node.content
                for path, node in self.nodes.items()
                if path.startswith(inside) and node.content is not None
            }
            self._seen[root] = (self.changes, files)
        return files

    def _does(self, what: str, act: Callable[[], Any]) -> None:
        fate = self.step(what)
        if fate == "refused":
            raise OSError(28, f"refused: {what}")
        self.changes += 1
        act()
        if fate == "lost":
            raise OSError(5, f"the reply was lost: {what}")

    def _told(self, what: str) -> None:
        if self.step(what) != "ok":
            raise OSError(5, f"refused: {what}")

    def _info(self, path: str) -> fs.FileInfo:
        node = self.nodes.get(path)
        if node is None:
            return fs.FileInfo(path, fs.FileType.NotFound)
        if node.content is None:
            return fs.FileInfo(path, fs.FileType.Directory)
        return fs.FileInfo(path, fs.FileType.File, size=len(node.content), mtime_ns=node.beats)

    @staticmethod
    def _below(nodes: dict[str, Node], root: str) -> dict[str, Node]:
        return {path: node for path, node in nodes.items() if path == root or path.startswith(root + "/")}

    def _node(self, content: bytes | None, stored: bytes | None = None) -> Node:
        self._numbers += 1
        return Node(content, stored, self._numbers)

    def _make_dirs(self, path: str) -> None:
        for each in reversed(_up(path)):
            if each not in self.nodes:
                self.nodes[each] = self._node(None)

    def _keep_name(self, path: str) -> None:
        if path in self.nodes:
            self.lasting[path] = self.nodes[path]

    def _keep_folder(self, root: str) -> None:
        """Store a folder: the names in it, and those that are gone."""
        for path in [p for p in self.nodes if _parent(p) == root]:
            node = self.nodes[path]
            if self.lasting.get(path) is node:
                continue
            # Another folder under this name: what it holds was stored under its old name.
            old = next((p for p, each in self.lasting.items() if each is node), None)
            below = {} if old is None else _below(self.lasting, old)
            # A folder has one name; a file may be found under both.
            for each in [*_below(self.lasting, path), *(below if node.content is None else ())]:
                self.lasting.pop(each, None)
            self.lasting |= {path + each[len(old or "") :]: one for each, one in below.items()}
            self.lasting[path] = node
        for path in [p for p in self.lasting if _parent(p) == root and p not in self.nodes]:
            for each in _below(self.lasting, path):
                del self.lasting[each]


class _Writing(io.BytesIO):
    def __init__(self, disk: SimDisk, path: str) -> None:
        super().__init__()
        self._disk, self._path = disk, path

    def __exit__(self, *_: object) -> None:
        self._disk.write(self._path, self.getvalue())


def _below(nodes: dict[str, Node], root: str) -> dict[str, Node]:
    return {path: node for path, node in nodes.items() if path == root or path.startswith(root + "/")}


def _up(path: str) -> list[str]:
    """A path and the folders that it lies in, the root last."""
    found = [path]
    while found[-1] != "/":
        found.append(_parent(found[-1]))
    return found
