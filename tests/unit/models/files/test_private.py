"""Nobody else can put a model into the store: all of it is this user's alone, and is looked at before it is used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from spark_infer.errors import EnvironmentProblem
from spark_infer.models.files.notes import derived
from spark_infer.models.files.store import ModelStore
from spark_infer.models.registry.fetch import recall, remember
from spark_infer.models.registry.locate_model import Identity
from tests.tree import tree

OTHER = 12345
UMASKS = [0o000, 0o002, 0o022, 0o077]
VERSION: Identity = {"registry": "https://h", "name": "churn", "version": "3"}
KEY = "ab" * 32
NewProcess = Callable[[], None]


@pytest.fixture(params=[0o700, 0o755])
def filled(request: pytest.FixtureRequest, store: ModelStore, folder: Path) -> ModelStore:
    """A store with a model, an artefact and notes, in a root that is closed or that others may look into."""
    store.root.mkdir(mode=request.param)
    fill(store, folder)
    return store


def fill(store: ModelStore, folder: Path) -> str:
    digest = store.admit(folder)
    derived(store, KEY, artefact)
    remember(store.root, VERSION, digest)
    return digest


def artefact(into: Path) -> None:
    (into / "deep").mkdir()
    (into / "deep" / "graph").write_text("graph")


def fetching(folder: Path, fetched: list[str]) -> Callable[[Path], None]:
    def fetch(into: Path) -> None:
        fetched.append("again")
        shutil.copytree(folder, into, dirs_exist_ok=True)

    return fetch


@pytest.mark.parametrize("mask", UMASKS)
def test_every_folder_and_file_is_for_this_user_alone_whatever_the_umask(
    store: ModelStore, folder: Path, mask: int
) -> None:
    before = os.umask(mask)
    try:
        fill(store, folder)
    finally:
        os.umask(before)
    found = tree(store.root.parent)
    modes = {path: facts[0] for path, facts in found.items() if path.startswith(store.root.name)}
    assert {mode & 0o7777 for mode in modes.values()} == {0o700, 0o600}
    assert [len(os.listdir(store.root / "models" / kind)) for kind in ("versions", "derived")] == [1, 1]


@pytest.mark.parametrize("name", ["", "sha256", "tmp", "locks", "versions", "derived"])
def test_a_folder_that_others_may_write_to_is_refused_unless_nobody_may_look_into_the_root(
    filled: ModelStore, folder: Path, name: str
) -> None:
    (filled.root / "models" / name).chmod(0o777)
    if not filled.root.stat().st_mode & 0o077:
        assert filled.admit(folder)
        return
    with pytest.raises(EnvironmentProblem, match=r"a part of the model store, .* may be written by others"):
        filled.admit(folder)
    with pytest.raises(EnvironmentProblem, match=r"\(mode 0777\)"):
        derived(filled, KEY, artefact)


@pytest.mark.parametrize("name", ["", "sha256", "tmp", "locks", "versions", "derived"])
@pytest.mark.parametrize("by", ["owner", "link"])
def test_a_folder_of_another_user_or_a_link_is_refused(filled: ModelStore, folder: Path, name: str, by: str) -> None:
    spoil(filled.root / "models" / name, by)
    before = tree(filled.root.parent)
    uses = (partial(filled.admit, folder), partial(derived, filled, KEY, artefact), partial(filled.receive, artefact))
    for use in uses:
        with pytest.raises(EnvironmentProblem, match="a part of the model store, is a link, belongs to another") as no:
            use()
        assert no.value.next_step.startswith(f"Remove {filled.root / 'models' / name}")
    assert tree(filled.root.parent) == before


@pytest.mark.parametrize("part", ["", "model", "model/model.skops", "model/code", "manifest.json"])
@pytest.mark.parametrize("by", ["owner", "link"])
def test_an_entry_of_another_user_is_thrown_away_and_fetched_again(
    filled: ModelStore, folder: Path, new_process: NewProcess, part: str, by: str
) -> None:
    digest = filled.admit(folder)
    new_process()
    spoil(filled.path(digest).parent / part, by)
    assert filled.find(digest) is None
    fetched: list[str] = []
    filled.ensure(digest, fetching(folder, fetched))
    assert (fetched, filled.find(digest)) == (["again"], filled.path(digest))
    assert os.listdir(filled.root / "models" / "tmp") == []


@pytest.mark.parametrize("by", ["owner", "link"])
def test_a_note_of_another_user_does_not_count(filled: ModelStore, by: str) -> None:
    planted = filled.receive(evil)
    remember(filled.root, VERSION, planted)
    (filled.root / "models" / "derived" / KEY).write_text(planted)
    for note in (filled.root / "models" / "derived" / KEY, *(filled.root / "models" / "versions").iterdir()):
        spoil(note, by)
    assert recall(filled.root, VERSION) is None
    made = derived(filled, KEY, artefact)
    assert made != planted
    assert (filled.path(made) / "deep" / "graph").read_text() == "graph"
    assert derived(filled, KEY, evil) == made


def test_a_note_that_others_may_write_to_does_not_count_where_they_may_look_into_the_root(filled: ModelStore) -> None:
    (note,) = (filled.root / "models" / "versions").iterdir()
    note.chmod(0o666)
    assert (recall(filled.root, VERSION) is None) == bool(filled.root.stat().st_mode & 0o077)


def evil(into: Path) -> None:
    (into / "graph").write_text("planted")


def spoil(place: Path, by: str) -> None:
    """Have a part of the store be another user's, or a link to what it was."""
    if by == "link":
        aside = place.rename(place.parent.parent / "aside")
        place.symlink_to(aside)
    elif os.getuid() == 0:
        os.lchown(place, OTHER, OTHER)
    else:
        pytest.skip("only root can give files to a second user")
