"""Draw whether a probability of 30 % means three patients of ten."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from custom_transforms.classification import Array
from custom_transforms.evidence.figure import GREY, SIZE_INCHES, Picture, legend_below
from custom_transforms.evidence.reliability import reliability_points
from custom_transforms.pictures import BLUE, ORANGE, SKY_BLUE, style_plot

TITLE = "Reliability of the probability"


def draw_reliability(labels: Array, probs: Array, *, raw: Array | None = None) -> Picture:
    """Draw observed shares over probabilities, and below how many patients have which probability.

    Args:
        labels: 0 or 1, `(P,)`.
        probs: calibrated, if there is a calibration, `(P,)`.
        raw: as the network gives them, if `probs` are calibrated.
    """
    marks: dict[str, Any] = {"color": ORANGE, "linewidth": 1.2, "linestyle": ":", "marker": "s", "markersize": 4}
    figure = Figure(figsize=(SIZE_INCHES[0], SIZE_INCHES[1] + 0.8), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    bins = reliability_points(labels, probs)
    predicted, observed = (np.array([part[name] for part in bins]) for name in ("mean_prob", "observed"))
    low, high = (np.array([part[end] for part in bins], dtype=np.float64) for end in ("ci_low", "ci_high"))
    above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="right probabilities")
    if raw is not None:
        before = reliability_points(labels, raw)
        points = [[part[name] for part in before] for name in ("mean_prob", "observed")]
        above.plot(*points, label="before calibration", **marks)
    label = "calibrated, 95 % interval" if raw is not None else "observed, 95 % interval"
    line: dict[str, Any] = {"color": BLUE, "linewidth": 2, "marker": "o", "capsize": 3, "elinewidth": 1.2}
    above.errorbar(predicted, observed, [observed - low, high - observed], label=label, **line)
    above.set_xlim(-0.02, 1.02)
    above.set_ylim(-0.02, 1.02)
    style_plot(above, title=TITLE, x_label="", y_label="share that is positive")
    _histogram(below, labels, probs)
    legend_below(figure, columns=2)
    widest = max(bins, key=lambda part: abs(part["mean_prob"] - part["observed"]))
    words = (
        f"In {len(bins)} bins of about as many patients each, probability and observed share lie furthest apart where "
        f"the mean probability is {widest['mean_prob']:.2f}: there {widest['observed']:.2f} are positive "
        f"(95 % interval {widest['ci_low']:.2f} to {widest['ci_high']:.2f}, {widest['patients']} patients)."
    )
    caption = "On the diagonal three of ten patients with a probability of 30 % are positive. Below: who has which."
    return Picture("reliability", TITLE, caption, words, figure)


def _histogram(axes: Axes, labels: Array, probs: Array) -> None:
    edges = np.linspace(0, 1, 21)
    positive, negative = (np.histogram(probs[labels == label], edges)[0] for label in (1, 0))
    style: dict[str, Any] = {"width": edges[1], "align": "edge", "edgecolor": "white", "linewidth": 0.5}
    axes.bar(edges[:-1], positive, color=BLUE, label="positive patients", **style)
    axes.bar(edges[:-1], negative, bottom=positive, color=SKY_BLUE, hatch="//", label="negative patients", **style)
    axes.locator_params(axis="y", integer=True, nbins=4)
    style_plot(axes, title="", x_label="probability", y_label="patients")
