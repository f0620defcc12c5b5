"""Draw how a classifier separates patients: ROC, precision and recall, and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import precision_recall_curve, roc_curve

from custom_transforms.classification import Array
from custom_transforms.evidence.figure import GREY, Picture, legend_below, new_axes, unit_square
from custom_transforms.evidence.reliability_figure import draw_reliability
from custom_transforms.evidence.risk_coverage_figure import draw_risk_coverage
from custom_transforms.evidence.subgroup_figure import draw_subgroups
from custom_transforms.evidence.wording import in_words, number
from custom_transforms.pictures import BLACK, BLUE, LABEL_POINTS, TITLE_POINTS, style_plot

Summary = Mapping[str, Any]
DARK = 0.55  # share above which a cell is too dark for black letters


def draw_classifier(summary: Summary, rows: Sequence[Mapping[str, str]]) -> list[Picture]:
    """Draw all pictures that the evidence has the numbers for.

    Args:
        summary: content of `metrics.json`.
        rows: of `patients.csv`, with `label`, `prob` and perhaps `calibrated_prob`; one a patient.
    """
    labels, probs = (np.array([row[name] for row in rows], dtype=np.float64) for name in ("label", "prob"))
    both = 0 < labels.sum() < len(labels)
    pictures = [draw_roc(labels, probs, summary), draw_precision_recall(labels, probs, summary)] if both else []
    calibrated = [row.get("calibrated_prob") for row in rows]
    if rows and all(calibrated):
        pictures.append(draw_reliability(labels, np.array(calibrated, dtype=np.float64), raw=probs))
    elif rows:
        pictures.append(draw_reliability(labels, probs))
    if summary.get("confusion"):
        pictures.append(draw_confusion(summary["confusion"]))
    if summary.get("risk_coverage"):
        pictures.append(draw_risk_coverage(summary, labels, probs, rows=rows))
    return pictures + draw_subgroups(summary)


def draw_roc(labels: Array, probs: Array, summary: Summary) -> Picture:
    """Draw sensitivity over 1 - specificity, with the point that the threshold gives and its intervals."""
    figure, axes = new_axes()
    metrics = summary["metrics"]
    false_positive, true_positive, _ = roc_curve(labels, probs, drop_intermediate=False)
    legend = f"AUC {in_words(metrics['auc'])}, {metrics['auc']['method']}"
    axes.plot(false_positive, true_positive, color=BLUE, linewidth=2, label=legend)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="guessing")
    words = f"The ROC curve encloses an area of {in_words(metrics['auc'])}."
    if _decided(summary):
        found, spared = metrics["sensitivity"], metrics["specificity"]
        _mark(axes, (1 - spared["value"], found["value"]), summary)
        _bars(axes, found, spared)
        words += f" At the operating point sensitivity is {in_words(found)} and specificity {in_words(spared)}."
    unit_square(axes)
    style_plot(axes, title="ROC curve", x_label="1 \N{MINUS SIGN} specificity", y_label="sensitivity")
    legend_below(figure)
    caption = "Each threshold is a point: positives that are found over negatives that are called by mistake."
    if _decided(summary):
        caption += " The cross spans both 95 % intervals at the operating point."
    return Picture("roc", "ROC curve", caption, words, figure)


def draw_precision_recall(labels: Array, probs: Array, summary: Summary) -> Picture:
    """Draw precision over recall, with what guessing would give: the share of positives."""
    figure, axes = new_axes()
    metrics, prevalence = summary["metrics"], float(labels.mean())
    precision, recall, _ = precision_recall_curve(labels, probs)
    legend = f"average precision {in_words(metrics['average_precision'])}"
    precision, recall = precision[:-1], recall[:-1]  # the last point, 1 at a recall of 0, belongs to no threshold
    axes.step(recall, precision, where="post", color=BLUE, linewidth=2, label=legend)
    guess = f"guessing: {prevalence:.3f}, the share of positives"
    axes.axhline(prevalence, color=GREY, linewidth=1, linestyle="--", label=guess)
    words = f"Average precision is {in_words(metrics['average_precision'])}; guessing would give {prevalence:.3f}."
    if _decided(summary) and metrics["ppv"]["value"] is not None:
        _mark(axes, (metrics["sensitivity"]["value"], metrics["ppv"]["value"]), summary)
        words += f" At the operating point precision is {in_words(metrics['ppv'])}."
    unit_square(axes)
    labels_of_axes = {"x_label": "recall (sensitivity)", "y_label": "precision (positive predictive value)"}
    style_plot(axes, title="Precision and recall", **labels_of_axes)
    legend_below(figure)
    caption = "Of the patients called positive, the share that is; it depends on how many positives the test has."
    return Picture("precision_recall", "Precision and recall", caption, words, figure)


def draw_confusion(confusion: Mapping[str, int]) -> Picture:
    """Draw how many patients of each class were decided which way, and their share of the class."""
    figure, axes = new_axes()
    counts = np.array([[confusion["tp"], confusion["fn"]], [confusion["fp"], confusion["tn"]]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (truth, decision), count in np.ndenumerate(counts):
        share, of = shares[truth, decision], ("positives", "negatives")[truth]
        colour = "white" if share > DARK else "black"
        cell: dict[str, Any] = {"ha": "center", "color": colour}
        axes.text(decision, truth, f"{count}", va="bottom", fontsize=2 * TITLE_POINTS, **cell)
        axes.text(decision, truth + 0.06, f"{100 * share:.1f} % of {of}", va="top", fontsize=LABEL_POINTS, **cell)
    style_plot(axes, title="Decisions at the operating point", x_label="decision", y_label="truth")
    axes.set_xticks([0, 1], ["positive", "negative"])
    axes.set_yticks([0, 1], ["positive", "negative"], rotation=90, va="center")
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    words = "Of {} positive patients {} were called positive; of {} negative patients {} were called negative."
    (tp, fn), (fp, tn) = counts.tolist()
    caption = "Numbers of patients; shares are those of the row, so that they do not depend on the mix of the test."
    words = words.format(tp + fn, tp, fp + tn, tn)
    return Picture("confusion", "Decisions at the operating point", caption, words, figure)


def _decided(summary: Summary) -> bool:
    """Tell whether there is a point to mark: a threshold, and patients of both classes."""
    values = [summary["metrics"].get(name, {}).get("value") for name in ("sensitivity", "specificity")]
    return bool(summary.get("operating_point")) and None not in values


def _mark(axes: Axes, place: tuple[float, float], summary: Summary) -> None:
    label = f"operating point: threshold {number(summary['operating_point']['threshold'])}"
    style: dict[str, Any] = {
        "marker": "o",
        "markersize": 9,
        "markeredgecolor": "white",
        "linestyle": "none",
        "zorder": 4,
    }
    axes.plot(*place, color=BLACK, label=label, **style)


def _bars(axes: Axes, found: Mapping[str, Any], spared: Mapping[str, Any]) -> None:
    """Draw the intervals of sensitivity, upright, and of specificity, level."""
    for estimate, upright in ((found, True), (spared, False)):
        if estimate["ci_low"] is None:
            continue
        ends = [estimate["ci_low"], estimate["ci_high"]]
        other = [1 - spared["value"]] * 2 if upright else [found["value"]] * 2
        line = (other, ends) if upright else ([1 - end for end in ends], other)
        axes.plot(*line, color=BLACK, linewidth=1.3, zorder=3)
