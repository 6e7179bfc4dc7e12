"""A world in which quarantined rows are scored again: some succeed, some fail again, and all leave their old files."""

from __future__ import annotations

import json
import posixpath

from tests.unit.sim.command import bad_keys_of, keys_of
from tests.unit.sim.log import commit_text
from tests.unit.sim.world import ASIDE, World


class AgainWorld(World):
    """Drivers of one such run, into a table that is there, from a quarantine that has the rows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.quarantines, self.caches = True, False
        held = {f"p=0/old-q{unit.ordinal}": [*keys_of(unit), *bad_keys_of(unit)] for unit in self.units}
        self.leaving = tuple(held)
        for path, keys in held.items():
            self.disk.make_folder(f"{ASIDE}/{posixpath.dirname(path)}")
            self.disk.create(f"{ASIDE}/{path}", json.dumps(keys).encode())
        if self.kind == "delta":
            self.disk.make_folder(f"{ASIDE}/_delta_log")
            self.disk.create(f"{ASIDE}/_delta_log/{0:020}.json", commit_text(self.leaving, [], "", None))

    def _check_quarantine(self, seen: list[int]) -> None:
        """Each row is in one of the tables at any moment, and in the right one alone at the end."""
        aside, failing = self.seen(ASIDE), [key for unit in self.units for key in bad_keys_of(unit)]
        lost = {*self.new_keys, *failing} - {*seen, *aside}
        assert not lost, f"rows are in neither table: {sorted(lost)}"
        assert len(aside) <= len({*aside}) + len(failing), f"quarantined rows are doubled: {aside}"
        ledger = self.disk.files_below("/w/.t.spark_infer")
        is_scored = sum(path.split("/")[1] == "units" for path in ledger) == len(self.units) or self.is_finished()
        moved = {*self.new_keys} & {*seen}
        assert is_scored or not moved, f"rows move while others are to be scored, from files that may go: {moved}"
        if self.is_finished():
            assert aside == failing, f"finished, and the quarantine has {aside}"
