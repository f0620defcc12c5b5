"""The table of a benchmark run, as text and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

Row = Mapping[str, Any]
COLUMNS = ("job", "threads", "baseline", "ours", "limit", "x baseline", "to reach", "of limit", "equal")


def table(rows: Sequence[Row]) -> str:
    """Write the rows as a table in Markdown, and below it each row's tolerance and note."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *[_line(_cells(row)) for row in rows], ""]
    told = {row["job"]: (row["tolerance"], row["note"]) for row in rows}
    lines += [f"- {job}: {'; '.join(filter(None, parts))}" for job, parts in told.items()]
    return "\n".join(lines)


def draw(rows: Sequence[Row], file: Path) -> None:
    """Draw how many times as fast as its baseline each job is, its goal, and the machine's limit.

    A row without a limit of its own shows none; a job whose result is not equal is drawn in red.
    """
    figure = Figure(figsize=(9, 0.9 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    colours = ["tab:blue" if row["equal"] else "tab:red" for row in rows]
    axes.barh(places, [row["ratio_to_baseline"] for row in rows], color=colours, height=0.6, label="ours")
    _mark(axes, [(place, row["to_reach"]) for place, row in enumerate(rows)], marker="|", label="to reach")
    limits = [(place, row["limit_s"] and row["baseline_s"] / row["limit_s"]) for place, row in enumerate(rows)]
    _mark(axes, limits, marker="x", label="the machine's limit")
    axes.set_yticks(places, [f"{row['job']}, {row['threads']} thread{'s' * (row['threads'] > 1)}" for row in rows])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="times as fast as plain code")
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(file, dpi=120)


def _mark(axes: Any, points: Sequence[tuple[int, float | None]], *, marker: str, label: str) -> None:
    drawn = [(value, place) for place, value in points if value]
    if drawn:
        axes.scatter(*zip(*drawn, strict=True), marker=marker, color="black", s=70, zorder=3, label=label)


def _cells(row: Row) -> list[str]:
    share = row["ratio_to_limit"]
    return [
        row["job"],
        str(row["threads"]),
        *[_shown(row[key], " s") for key in ("baseline_s", "ours_s", "limit_s")],
        _shown(row["ratio_to_baseline"]),
        _shown(row["to_reach"]),
        "" if share is None else f"{share:.0%}",
        "yes" if row["equal"] else "NO",
    ]


def _shown(number: float | None, unit: str = "") -> str:
    return "" if number is None else f"{number:.3g}{unit}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
