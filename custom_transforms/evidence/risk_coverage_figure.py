"""Draw what is gained if the least certain patients are left to people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from custom_transforms.classification import Array
from custom_transforms.evidence.figure import Picture, legend_below, new_axes
from custom_transforms.evidence.risk_coverage import risk_coverage
from custom_transforms.evidence.wording import in_words, number
from custom_transforms.pictures import BLUE, ORANGE, VERMILLION, style_plot

TITLE = "Errors if the least certain patients are left out"
BY_DISTANCE = "distance to the threshold"
# columns of patients.csv in which lower is surer
UNCERTAINTY = {"spread": "spread of samples", "outside": "distance to the training patients"}
LINES = ((VERMILLION, "-"), (BLUE, "--"), (ORANGE, ":"))


def draw_risk_coverage(
    summary: Mapping[str, Any], labels: Array, probs: Array, *, rows: Sequence[Mapping[str, str]]
) -> Picture:
    """Draw the share of wrong decisions among the patients that are decided, for each way to order them.

    Args:
        summary: with `risk_coverage`, `operating_point`, and perhaps `aurc`.
        labels: 0 or 1, `(P,)`.
        probs: of the network, `(P,)`.
        rows: of the patients; those columns of `UNCERTAINTY` are drawn that all have.
    """
    figure, axes = new_axes()
    main = (summary.get("measures") or {}).get("uncertainty")
    curves = {UNCERTAINTY.get(main, main) if main else BY_DISTANCE: summary["risk_coverage"]}
    errors = np.abs((probs >= summary["operating_point"]["threshold"]) - labels)
    for column, name in UNCERTAINTY.items():
        doubt = [_number(row.get(column)) for row in rows]
        if column != main and all(value is not None for value in doubt):
            curves[name] = risk_coverage(errors, -np.array(doubt, dtype=np.float64))
    for (name, points), (colour, style) in zip(curves.items(), LINES, strict=False):
        coverage, risk = ([point[key] for point in points] for key in ("coverage", "risk"))
        axes.plot(coverage, risk, color=colour, linestyle=style, linewidth=2, label=f"surest by {name}")
    highest = max(point["risk"] or 0 for points in curves.values() for point in points)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, max(0.05, 1.1 * highest))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))
    style_plot(axes, title=TITLE, x_label="patients that are decided (coverage)", y_label="wrong decisions among them")
    legend_below(figure)
    caption = "A curve that falls to the left says that the network is less sure where it errs."
    if (summary.get("aurc") or {}).get("value") is not None:
        caption += f" Area under the first: {in_words(summary['aurc'])}; 0 is best."
    return Picture("risk_coverage", TITLE, caption, " ".join(_told(*curve) for curve in curves.items()), figure)


def _told(name: str, points: Sequence[Mapping[str, Any]]) -> str:
    """Say how many decisions are wrong among all, and among the surest half."""
    half, everybody = points[(len(points) - 1) // 2], points[-1]
    return (
        f"Wrong decisions among all {everybody['patients']} patients: {number(everybody['risk'])}; "
        f"among the {half['patients']} that are surest by {name}: {number(half['risk'])}."
    )


def _number(cell: str | None) -> float | None:
    try:
        found = float(cell or "nan")
    except ValueError:
        return None
    return found if math.isfinite(found) else None
