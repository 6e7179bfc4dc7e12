"""A bar chart of ratios on a logarithmic axis, as SVG, written by hand: no library to install."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABELS, VALUES = 860, 220, 70
ROW, GAP, TOP, BOTTOM = 18, 30, 46, 26
FASTER, SLOWER, INK, LINES = "#2f7d5b", "#b4552d", "#222222", "#dddddd"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One engine: how many times the base's seconds it takes, with the interval of that."""

    label: str
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A logarithmic axis from `low` to `high`, which lie on ticks around 1."""

    low: float
    high: float

    def x(self, ratio: float) -> float:
        """Return where a ratio lies; what is off the axis lies at its end."""
        share = math.log(min(max(ratio, self.low), self.high) / self.low) / math.log(self.high / self.low)
        return LABELS + share * (WIDTH - LABELS - VALUES)


def axis_for(ratios: Sequence[float]) -> Axis:
    """Return an axis that holds the ratios and 1."""
    least, most = min([*ratios, 1.0]), max([*ratios, 1.0])
    low = max((tick for tick in TICKS if tick <= least), default=TICKS[0])
    high = min((tick for tick in TICKS if tick >= most), default=TICKS[-1])
    return Axis(low=low, high=high) if low < high else Axis(low=0.5, high=2)


def plot(groups: Mapping[str, Sequence[Bar]], *, base: str) -> str:
    """Draw one group of bars for each workload; a bar to the right of 1 is slower than the base."""
    axis = axis_for([bar.ratio for bars in groups.values() for bar in bars])
    parts, y = [], TOP
    for title, bars in groups.items():
        y += GAP
        parts.append(_text(8, y - 8, title, weight="bold"))
        for bar in bars:
            parts += _bar(bar, axis, y)
            y += ROW
    height = y + BOTTOM
    box = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    ground = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    title = _text(8, 20, f"Seconds of each engine by those of {base}: right of 1, {base} is faster", weight="bold")
    return "\n".join([head, ground, title, *_grid(axis, height), *parts, "</svg>"]) + "\n"


def _bar(bar: Bar, axis: Axis, y: float) -> list[str]:
    one, end = axis.x(1), axis.x(bar.ratio)
    left, width = min(one, end), max(1.0, abs(end - one))
    middle = y + ROW / 2
    colour = FASTER if bar.ratio >= 1 else SLOWER
    whisker = (
        f'<line x1="{axis.x(bar.low):.1f}" x2="{axis.x(bar.high):.1f}" y1="{middle}" y2="{middle}" stroke="{INK}"/>'
    )
    return [
        _text(LABELS - 8, middle + 4, bar.label, anchor="end"),
        f'<rect x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}" fill="{colour}"/>',
        whisker,
        _text(max(one, end, axis.x(bar.high)) + 6, middle + 4, f"{bar.ratio:.2f}"),
    ]


def _grid(axis: Axis, height: float) -> list[str]:
    parts = []
    for tick in TICKS:
        if axis.low <= tick <= axis.high:
            x = axis.x(tick)
            stroke = INK if tick == 1 else LINES
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}" stroke="{stroke}"/>')
            parts.append(_text(x, TOP - 6, f"{tick:g}x", anchor="middle"))
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text {place} fill="{INK}">{escape(text)}</text>'
