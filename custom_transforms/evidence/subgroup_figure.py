"""Draw a measure for each sub-group of patients beside that of all: a forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from custom_transforms.evidence.figure import GREY, SIZE_INCHES, Picture
from custom_transforms.evidence.wording import in_words, interval, measure_name, number, plain
from custom_transforms.pictures import BLACK, BLUE, TICK_POINTS, style_plot

DRAWN = ("auc", "sensitivity", "specificity")
ROW_INCHES = 0.3
MOST_ROWS = 40  # more do not fit a page; the table has them all


def draw_subgroups(summary: Mapping[str, Any]) -> list[Picture]:
    """Draw a forest plot for each measure that sub-groups were measured by; none without sub-groups.

    Args:
        summary: content of `metrics.json`.
    """
    groups = summary.get("subgroups") or []
    return [
        draw_forest(name, summary["metrics"].get(name, {}), groups)
        for name in DRAWN
        if any(_value(group, name) is not None for group in groups)
    ]


def draw_forest(name: str, overall: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> Picture:
    """Draw a measure of each group with its interval; groups with a warning hollow, those without a value as words."""
    groups = groups[:MOST_ROWS]
    figure = Figure(figsize=(SIZE_INCHES[0], 1.5 + ROW_INCHES * (len(groups) + 1)), layout="constrained")
    axes = figure.subplots()
    if overall.get("value") is not None:
        axes.axvline(overall["value"], color=GREY, linewidth=1, linestyle="--", zorder=0)
        _row(axes, 0, overall, filled=True, colour=BLACK)
    names = [f"all patients, {overall.get('n', '?')}"]
    for place, group in enumerate(groups, start=1):
        found = group["metrics"].get(name) or {}
        _row(axes, place, found, filled=not group.get("warning"), colour=BLUE)
        names.append(f"{plain(group['column'])}: {plain(group['group'])}, {found.get('n', 0)}")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(groups) + 0.6, -0.6)
    axes.set_xlim(-0.02, 1.02)
    title = f"{measure_name(name)} by group"
    style_plot(axes, title=title, x_label=f"{measure_name(name)}, 95 % interval", y_label="")
    axes.grid(visible=False, axis="y")
    hollow = Line2D([], [], marker="o", markerfacecolor="white", color=BLUE, linestyle="none", label="too few patients")
    if any(group.get("warning") and _value(group, name) is not None for group in groups):
        figure.legend(handles=[hollow], loc="outside lower center", fontsize=TICK_POINTS, frameon=False)
    words = [f"{group['column']} {group['group']}: {in_words(group['metrics'].get(name) or {})}" for group in groups]
    words = [f"All patients: {in_words(overall)}", *words]
    caption = "Beside each group: how many patients the value is of. The dashed line is the value of all."
    return Picture(f"subgroups_{name}", title, caption, "; ".join(words) + ".", figure)


def _row(axes: Axes, place: int, estimate: Mapping[str, Any], *, filled: bool, colour: str) -> None:
    """Draw one line, with the numbers at its right."""
    words = number(estimate.get("value"), 2)
    if estimate.get("value") is not None:
        if estimate.get("ci_low") is not None:
            axes.plot([estimate["ci_low"], estimate["ci_high"]], [place] * 2, color=colour, linewidth=1.6, zorder=1)
            words = f"{words} ({interval(estimate, 2)})"
        inside = colour if filled else "white"
        axes.plot(estimate["value"], place, marker="o", markersize=7, color=colour, markerfacecolor=inside, zorder=2)
    axes.annotate(words, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=TICK_POINTS)


def _value(group: Mapping[str, Any], name: str) -> float | None:
    value: float | None = (group["metrics"].get(name) or {}).get("value")
    return value
