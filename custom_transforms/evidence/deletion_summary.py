"""From deletion curves of patients to an answer: does a map show what the network's answer rests on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from custom_transforms.evidence.intervals import Estimate, patient_interval
from custom_transforms.pictures import BLUE, LABEL_POINTS, ORANGE, TICK_POINTS, style_plot

Array = NDArray[np.float64]
Row = Mapping[str, Any]

MAPS = {"evidence": "Evidence map", "grad_cam": "Grad-CAM"}
MATTERS, NOT_SHOWN, WORSE, TOO_FEW = "matters", "not shown to matter", "worse than random", "too few patients"
WORDS = {
    MATTERS: "deleting what it marks lowers the probability faster than deleting as much elsewhere",
    NOT_SHOWN: "deleting what it marks is not shown to do more than deleting as much elsewhere; do not rely on it",
    WORSE: "deleting what it marks lowers the probability less than deleting as much elsewhere; do not rely on it",
    TOO_FEW: "three patients at least are needed to tell",
}


def summarise_deletion(rows: Sequence[Row]) -> dict[str, Any]:
    """Estimate, for each map, the area under the curve of deletion, that of random deletion, and their difference.

    Args:
        rows: one for each patient, map and step, with `row`, `map`, `percent`, `prob`, 0..1, and `random_prob`, the
            mean over the random maps; the steps of a patient ascend. As `deletion.csv` holds them.

    Returns:
        for each map `area`, `random_area` and `difference` (random less map, above 0 where the map matters), each an
        `Estimate` with a 95 % interval over patients; `finding`, and in `words` what it means; `curve` and
        `random_curve`, means over patients at each `percent`. An area is the mean probability over the share that is
        deleted.
    """
    found: dict[str, Any] = {}
    for name in MAPS:
        percent, along, random = curves_of(rows, name)
        areas, random_areas = (area_under(part, percent) for part in (along, random))
        difference = patient_interval([random_areas, areas], _mean_difference)
        told = finding(difference)
        found[name] = {"area": patient_interval([areas], _mean), "random_area": patient_interval([random_areas], _mean)}
        found[name] |= {"difference": difference, "finding": told, "words": WORDS[told], "percent": percent.tolist()}
        found[name] |= {key: part.mean(axis=0).tolist() if len(part) else []
                        for key, part in (("curve", along), ("random_curve", random))}  # fmt: skip
    return found


def curves_of(rows: Sequence[Row], name: str) -> tuple[Array, Array, Array]:
    """Put one map's rows together: percentages `(F,)`, and probabilities along the map and at random, `(P, F)`."""
    chosen = [row for row in rows if row["map"] == name]
    patients = dict.fromkeys(row["row"] for row in chosen)
    percent = np.array(list(dict.fromkeys(float(row["percent"]) for row in chosen)))
    along, random = (np.array([float(row[key]) for row in chosen]).reshape(len(patients), len(percent))
                     for key in ("prob", "random_prob"))  # fmt: skip
    return percent, along, random


def area_under(curves: Array, percent: Array) -> Array:
    """Return the areas `(P,)` under curves `(P, F)`, as mean probabilities 0..1, by the trapezoidal rule."""
    if not len(curves):
        return np.empty(0)
    return np.asarray(trapezoid(curves, percent, axis=-1) / (percent[-1] - percent[0]), np.float64)


def finding(difference: Estimate) -> str:
    """Say what the interval of random less map tells."""
    low, high = difference["ci_low"], difference["ci_high"]
    if low is None or high is None:
        return TOO_FEW
    return MATTERS if low > 0 else WORSE if high < 0 else NOT_SHOWN


def draw_deletion(rows: Sequence[Row], *, note: str = "") -> Figure:
    """Draw the mean curve of each map beside that of its random maps, with 95 % intervals over patients.

    Args:
        rows: see `summarise_deletion`.
        note: what the reader must know of the data.

    Returns:
        a figure that pyplot does not know; the steps are drawn evenly spaced, since the first percents tell most.
    """
    summary = summarise_deletion(rows)
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    panels = figure.subplots(1, len(MAPS), sharey=True)
    for axes, (name, title) in zip(panels, MAPS.items(), strict=True):
        percent, along, random = curves_of(rows, name)
        _draw_curve(axes, percent, random, label="moved at random", colour=ORANGE, line="--")
        _draw_curve(axes, percent, along, label="what the map ranks highest", colour=BLUE, line="-")
        style_plot(axes, title=f"{title}: {summary[name]['finding']}", x_label=_told(summary[name]), y_label="")
        axes.set_xticks(range(len(percent)), [f"{share:g}" for share in percent])
        axes.set_ylim(0, 1.02)
    panels[0].set_ylabel("probability of the slice", fontsize=LABEL_POINTS)
    panels[0].legend(title="Deleted", fontsize=TICK_POINTS, title_fontsize=TICK_POINTS, frameon=False)
    patients = len({row["row"] for row in rows})
    heading = f"Deletion in the slice that decides, {patients} patients with a positive answer; bands: 95 % intervals"
    figure.suptitle(f"{note}\n{heading}" if note else heading, fontsize=LABEL_POINTS)
    return figure


def _draw_curve(axes: Axes, percent: Array, curves: Array, *, label: str, colour: str, line: str) -> None:
    places = np.arange(len(percent))
    bands = [patient_interval([column], _mean) for column in curves.T]
    axes.plot(places, curves.mean(axis=0), line, color=colour, marker="o", markersize=4, linewidth=1.8, label=label)
    if len(curves) >= 3:  # else there are no intervals
        low, high = (np.array([band[side] for band in bands], np.float64) for side in ("ci_low", "ci_high"))
        axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)


def _told(summary: Mapping[str, Any]) -> str:
    """Name the axis, and write the difference of the areas below."""
    difference = summary["difference"]
    low, high = difference["ci_low"], difference["ci_high"]
    interval = "" if low is None else f" ({low:.3f} to {high:.3f})"
    return f"brain deleted, %\narea, random less map: {difference['value']:.3f}{interval}"


def _mean(values: Array, axis: int = -1) -> Array:
    return np.asarray(values.mean(axis=axis), np.float64)


def _mean_difference(random: Array, along: Array, axis: int = -1) -> Array:
    return _mean(random - along, axis=axis)
