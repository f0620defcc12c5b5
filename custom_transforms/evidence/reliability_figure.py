"""Draw whether a probability of 30 % means three patients of ten."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binomtest

from custom_transforms.classification import Array
from custom_transforms.evidence.figure import GREY, SIZE_INCHES, Picture, legend_below
from custom_transforms.pictures import BLUE, ORANGE, SKY_BLUE, style_plot

PATIENTS_PER_BIN = 20  # fewer, and the interval of a bin spans most of the plot
MOST_BINS = 10
TITLE = "Reliability of the probability"


def reliability_bins(labels: Array, probs: Array) -> list[dict[str, float]]:
    """Compare mean probability and observed share in bins of about as many patients each.

    Args:
        labels: 0 or 1, `(P,)`.
        probs: 0..1, `(P,)`; equal ones fall into the same bin.

    Returns:
        by bin `mean_prob`, `observed`, `ci_low`, `ci_high` (Clopper-Pearson) and `patients`.
    """
    count = int(np.clip(len(probs) // PATIENTS_PER_BIN, 1, MOST_BINS))
    edges = np.unique(np.quantile(probs, np.linspace(0, 1, count + 1)))
    places = np.clip(np.searchsorted(edges, probs, side="right") - 1, 0, max(len(edges) - 2, 0))
    bins = []
    for place in np.unique(places):
        inside = places == place
        found = binomtest(int(labels[inside].sum()), int(inside.sum()))
        low, high = found.proportion_ci(0.95, method="exact")
        bins.append({
            "mean_prob": float(probs[inside].mean()), "observed": float(found.statistic), "ci_low": float(low),
            "ci_high": float(high), "patients": int(inside.sum()),
        })  # fmt: skip
    return bins


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
    bins = reliability_bins(labels, probs)
    predicted, observed = (np.array([part[name] for part in bins]) for name in ("mean_prob", "observed"))
    reach = np.array([[part["observed"] - part["ci_low"], part["ci_high"] - part["observed"]] for part in bins]).T
    above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="right probabilities")
    if raw is not None:
        before = reliability_bins(labels, raw)
        points = [[part[name] for part in before] for name in ("mean_prob", "observed")]
        above.plot(*points, label="before calibration", **marks)
    label = "calibrated, 95 % interval" if raw is not None else "observed, 95 % interval"
    line: dict[str, Any] = {
        "color": BLUE,
        "linewidth": 2,
        "marker": "o",
        "markersize": 5,
        "capsize": 3,
        "elinewidth": 1.2,
    }
    above.errorbar(predicted, observed, reach.clip(0), label=label, **line)
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
