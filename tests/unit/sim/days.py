"""A world in which two days of one job are at work, each on its own partition of one table, which may be new."""

from __future__ import annotations

from tests.unit.sim.command import keys_of
from tests.unit.sim.world import Driver, World

DAYS = (0, 1)
MODES = ("append", "overwrite_partitions")


class DaysWorld(World):
    """Drivers of two days: whatever becomes of one, the other goes on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.quarantines = self.summarises = self.caches = False
        if self.random.random() < 0.5:
            self.disk.nodes.clear()
            self.disk.lasting.clear()
            self.disk.make_folder("/w")
            self.before = []

    @property
    def new_keys(self) -> list[int]:
        return [key for day in DAYS for unit in self.units for key in keys_of(unit, day)]

    @property
    def after(self) -> list[int]:
        return sorted(self.new_keys + (self.before if self.mode == "append" else []))

    def run(self) -> None:
        """Let drivers of either day work until both are done, and check what can be seen after every step."""
        self.drivers: list[Driver] = []
        for round_ in range(40):
            count = self.random.choice(self.crowd) if self.faults else 1
            self.drivers = [self._driver(f"{round_}{letter}", self.random.choice(DAYS)) for letter in "abc"[:count]]
            self._work()
            if not self.faults and all(self._alone(f"end{day}", day) in ("done", "nothing") for day in DAYS):
                break
        else:
            raise AssertionError("it never ends")
        for day in DAYS:
            ended = self._alone(f"last{day}", day)
            assert ended == "nothing", ended
        self.check_end()

    def _alone(self, name: str, day: int) -> str | None:
        driver = self._driver(name, day)
        self.drivers = [driver]
        self._work()
        return driver.ended

    def _work(self) -> None:
        self._until_all_end()
        for each in self.drivers:
            self._bury(each)

    def check(self) -> None:
        if self.checked == self.disk.changes:
            return
        self.checked = self.disk.changes
        seen = self.seen()
        assert len(seen) == len(set(seen)), f"rows are doubled: {seen}"
        assert set(seen) <= set(self.before + self.new_keys), f"rows out of nowhere: {seen}"
        for day in DAYS:
            old, here = ([key for key in keys if key % 2 == day] for keys in (self.before, seen))
            new = [key for unit in self.units for key in keys_of(unit, day)]
            if self.mode == "append":
                assert set(old) <= set(here), "rows of before are gone"
            else:
                assert here in (old, new), f"day {day} is torn: {here}"
