"""A world in which rows are new whose keys the target lacks: some of them are in it already, by another writer."""

from __future__ import annotations

import json

from tests.unit.sim.command import NEW_ROWS, keys_of
from tests.unit.sim.log import commit_text
from tests.unit.sim.world import TABLE, World

MODES = {"delta": NEW_ROWS, "parquet": "append"}


class KeyedWorld(World):
    """Drivers of one such run; every key is in the target once, whoever has put it there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.quarantines = self.summarises = self.caches = False
        self.known = self.seen
        self._there = [key for unit in self.units[1:] if self.random.random() < 0.5 for key in keys_of(unit)]
        if self._there:
            path = "p=0/old-k"
            self.disk.create(f"{TABLE}/{path}", json.dumps(self._there).encode())
            if self.kind == "delta":
                self.disk.create(f"{TABLE}/_delta_log/{1:020}.json", commit_text([path], [], "", None))
        self.before = self.seen()

    @property
    def new_keys(self) -> list[int]:
        return [key for key in super().new_keys if key not in self._there]
