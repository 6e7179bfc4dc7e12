"""Types of Spark's that no model takes; some of them Arrow cannot even carry beside a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Special:
    """One such type.

    Attributes:
        column: Name of the column.
        spark: The type as Spark and our messages spell it.
        sql: A value.
        passes: Whether a column can be kept.
        held: Whether a Parquet table can hold it.
        since: Class of `pyspark.sql.types` that older versions of Spark lack with it.
    """

    column: str
    spark: str
    sql: str
    passes: bool = True
    held: bool = True
    since: str = ""


_POINT = "x'0101000000000000000000f03f0000000000000040'"

SPECIALS: list[Special] = [
    Special(column="gap", spark="interval day to second", sql="INTERVAL '-106751991 04:00:54.775807' DAY TO SECOND"),
    Special(column="months", spark="interval year to month", sql="INTERVAL '178956970-7' YEAR TO MONTH", passes=False),
    Special(
        column="month_list",
        spark="array<interval year to month>",
        sql="array(INTERVAL '1-1' YEAR TO MONTH)",
        passes=False,
    ),
    Special(column="calendar", spark="interval", sql="make_interval(1, 2)", passes=False, held=False),
    Special(column="noon", spark="time", sql="TIME'12:34:56.123456'", since="TimeType"),
    Special(column="variant", spark="variant", sql="""parse_json('{"a": [1, null, 1.5]}')""", since="VariantType"),
    Special(
        column="variants",
        spark="array<variant>",
        sql="array(parse_json('1'), parse_json('null'))",
        since="VariantType",
    ),
    Special(
        column="in_variant", spark="struct<v:variant>", sql="named_struct('v', parse_json('true'))", since="VariantType"
    ),
    Special(column="point", spark="geometry", sql=f"st_geomfromwkb({_POINT})", since="GeometryType"),
    Special(column="place", spark="geography", sql=f"st_geogfromwkb({_POINT})", since="GeographyType"),
    Special(column="by_struct", spark="map<struct<x:integer>,integer>", sql="map(named_struct('x', 1), 2)"),
    Special(
        column="twins",
        spark="struct<a:int,a:int>",
        sql="named_struct('a', 1, 'a', 2)",
        passes=False,
        held=False,
    ),
]
