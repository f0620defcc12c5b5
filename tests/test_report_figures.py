"""Figures of the report: what is drawn where, by hand or by scikit-learn and numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from evaluation_folders import classifier_rows, segmenter_rows
from matplotlib.axes import Axes
from sklearn.metrics import auc, confusion_matrix, roc_auc_score

from custom_transforms.evidence.case_pictures import choose_cases
from custom_transforms.evidence.classifier_evidence import classifier_evidence
from custom_transforms.evidence.classifier_figures import draw_classifier
from custom_transforms.evidence.figure import Picture
from custom_transforms.evidence.segmenter_figures import draw_segmenter
from custom_transforms.evidence.wording import in_words, number, plain

THRESHOLD = 0.4
Rows = list[dict[str, str]]


def as_text(rows: list[dict[str, Any]]) -> Rows:
    """Give rows as `csv.DictReader` reads them."""
    return [{name: str(cell) for name, cell in row.items()} for row in rows]


@pytest.fixture(scope="module")
def scores() -> Rows:
    return as_text(classifier_rows())


@pytest.fixture(scope="module")
def classifier(scores: Rows) -> dict[str, Picture]:
    found = classifier_evidence(scores, threshold=THRESHOLD, subgroups={"sex": None})
    return {part.name: part for part in draw_classifier({"operating_point": {"threshold": THRESHOLD}, **found}, scores)}


@pytest.fixture(scope="module")
def segmenter() -> dict[str, Picture]:
    return {part.name: part for part in draw_segmenter(as_text(segmenter_rows()))}


def axes_of(picture: Picture) -> Axes:
    return picture.figure.axes[0]


def line(picture: Picture, label: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    (found,) = (part for part in axes_of(picture).lines if str(part.get_label()).startswith(label))
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def counts(scores: Rows) -> tuple[int, int, int, int]:
    labels = [int(row["label"]) for row in scores]
    return tuple(confusion_matrix(labels, [float(row["prob"]) >= THRESHOLD for row in scores]).ravel().tolist())


def test_roc_encloses_the_auc_and_marks_the_threshold(classifier: dict[str, Picture], scores: Rows) -> None:
    false_positive, true_positive = line(classifier["roc"], "AUC")
    area = roc_auc_score([int(row["label"]) for row in scores], [float(row["prob"]) for row in scores])
    assert auc(false_positive, true_positive) == pytest.approx(area)
    assert f"{area:.3f}" in classifier["roc"].words
    tn, fp, fn, tp = counts(scores)
    x, y = line(classifier["roc"], "operating point: threshold 0.400")
    assert (x[0], y[0]) == pytest.approx((fp / (fp + tn), tp / (tp + fn)))
    legend = [text.get_text() for text in classifier["roc"].figure.legends[0].get_texts()]
    assert legend[0].startswith(f"AUC {area:.3f} (95 % interval 0.")
    assert legend[0].endswith("DeLong")


def test_precision_starts_from_the_prevalence(classifier: dict[str, Picture], scores: Rows) -> None:
    _, fp, fn, tp = counts(scores)
    _, guess = line(classifier["precision_recall"], "guessing")
    assert guess == pytest.approx([(tp + fn) / len(scores)] * 2)
    x, y = line(classifier["precision_recall"], "operating point")
    assert (x[0], y[0]) == pytest.approx((tp / (tp + fn), tp / (tp + fp)))


def test_confusion_shows_counts_and_shares_of_rows(classifier: dict[str, Picture], scores: Rows) -> None:
    tn, fp, fn, tp = counts(scores)
    texts = [text.get_text() for text in axes_of(classifier["confusion"]).texts]
    assert texts[::2] == [str(count) for count in (tp, fn, fp, tn)]
    assert texts[1] == f"{100 * tp / (tp + fn):.1f} % of positives"
    assert texts[7] == f"{100 * tn / (fp + tn):.1f} % of negatives"


def test_reliability_histogram_counts_everybody(classifier: dict[str, Picture], scores: Rows) -> None:
    above, below = classifier["reliability"].figure.axes
    heights = [bar.get_height() for bar in below.patches]
    assert sum(heights) == len(scores)
    assert sum(heights[:20]) == sum(int(row["label"]) for row in scores)
    assert len(above.containers) == 1  # points with their intervals


def test_calibrated_probabilities_are_drawn_beside_the_raw_ones(scores: Rows) -> None:
    rows = [{**row, "calibrated_prob": str(float(row["prob"]) ** 2)} for row in scores]
    summary = classifier_evidence(rows, threshold=None)
    (picture,) = (part for part in draw_classifier(summary, rows) if part.name == "reliability")
    x, _ = line(picture, "before calibration")
    assert x.mean() == pytest.approx(np.mean([float(row["prob"]) for row in scores]))
    assert picture.figure.axes[0].containers[0].get_label() == "calibrated, 95 % interval"


def test_small_groups_are_hollow(classifier: dict[str, Picture]) -> None:
    picture = classifier["subgroups_specificity"]
    markers = [part for part in axes_of(picture).lines if part.get_marker() == "o"]
    assert [part.get_markerfacecolor() == "white" for part in markers] == [False, False, False, True]
    names = [label.get_text() for label in axes_of(picture).get_yticklabels()]
    assert names[0] == "all patients, 73"
    assert names[3] == "sex: missing, 2"
    assert "sex missing: 1.000 (95 % interval 0.158 to 1.000)" in picture.words


def test_least_certain_patients_are_left_out_from_right_to_left(classifier: dict[str, Picture], scores: Rows) -> None:
    _, fp, fn, _ = counts(scores)
    coverage, risk = (np.asarray(part) for part in axes_of(classifier["risk_coverage"]).lines[0].get_data())
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx((fp + fn) / len(scores))


def test_every_uncertainty_that_all_patients_have_gets_a_curve(scores: Rows) -> None:
    doubt = {"spread": [0.5 - abs(float(row["prob"]) - THRESHOLD) for row in scores]}
    rows = [{**row, "spread": str(spread), "outside": ""} for row, spread in zip(scores, doubt["spread"], strict=True)]
    found = classifier_evidence(rows, threshold=THRESHOLD)
    pictures = {
        part.name: part for part in draw_classifier({"operating_point": {"threshold": THRESHOLD}, **found}, rows)
    }
    distance, spread = axes_of(pictures["risk_coverage"]).lines
    np.testing.assert_allclose(np.asarray(spread.get_ydata()), np.asarray(distance.get_ydata()))
    assert spread.get_label() == "surest by spread of samples"
    assert "surest by spread of samples: 0." in pictures["risk_coverage"].words


def test_nothing_that_needs_both_classes_is_drawn_of_one(scores: Rows) -> None:
    rows = [row for row in scores if row["label"] == "0"]
    names = {part.name for part in draw_classifier(classifier_evidence(rows, threshold=None), rows)}
    assert names == {"reliability"}


def test_box_and_points_of_each_region(segmenter: dict[str, Picture]) -> None:
    rows = [row["dice"] for row in segmenter_rows() if row["region"] == "TC"]
    axes = axes_of(segmenter["boxes_dice"])
    points = [np.asarray(part.get_ydata()) for part in axes.lines if part.get_marker() in ("o", "s", "^")]
    np.testing.assert_allclose(points[0], rows)
    assert len(points) == 3
    assert f"TC: median {np.median(rows):.3f}" in segmenter["boxes_dice"].words


def test_limits_of_agreement_by_hand(segmenter: dict[str, Picture]) -> None:
    rows = [row for row in segmenter_rows() if row["region"] == "WT"]
    difference = np.array([row["volume_ml"] - row["truth_volume_ml"] for row in rows])
    picture = segmenter["agreement_wt"]
    assert line(picture, "mean difference")[1][0] == pytest.approx(difference.mean())
    lower = difference.mean() - 1.96 * difference.std(ddof=1)
    assert line(picture, "95 % limits")[1][0] == pytest.approx(lower)
    points = axes_of(picture).lines[0]
    np.testing.assert_allclose(np.asarray(points.get_ydata()), difference)


def test_patients_without_a_region_have_no_place_on_a_logarithmic_axis(segmenter: dict[str, Picture]) -> None:
    axes = axes_of(segmenter["dice_over_volume"])
    assert [len(np.asarray(part.get_xdata())) for part in axes.lines] == [40, 40, 39]
    assert "1 without the region left out" in axes.get_xlabel()


def test_only_dice_is_drawn_where_only_dice_was_measured() -> None:
    rows = [{"row": "test-0001", "region": "TC", "dice": "0.5"}]
    assert [part.name for part in draw_segmenter(rows)] == ["boxes_dice"]


def test_every_picture_is_told_in_words(classifier: dict[str, Picture], segmenter: dict[str, Picture]) -> None:
    for picture in (*classifier.values(), *segmenter.values()):
        assert len(picture.words) > 40
        assert len(picture.caption) > 20


def test_names_cannot_break_a_picture() -> None:
    assert plain("a$b\nc") == r"a\$b?c"
    assert plain("z" * 99) == "z" * 27 + "…"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (-0.5, "\N{MINUS SIGN}0.500"),
        (1234.56, "1,234.6"),
        (None, "not defined"),
        (float("nan"), "not defined"),
    ],
)
def test_numbers_in_words(value: float | None, text: str) -> None:
    assert number(value) == text


def test_interval_that_is_not_there_is_said_to_be_none() -> None:
    assert in_words({"value": 0.5, "ci_low": None, "ci_high": None}) == "0.500 (95 % interval none)"


@pytest.mark.parametrize(
    ("dice", "drawn", "expected"),
    [
        ([0.9, 0.2, 0.6, 0.5, 0.7], (), {"best": "0", "median": "2", "worst": "1"}),
        ([0.9, 0.2, 0.6, 0.5, 0.7], ("0", "4"), {"best": "0", "median": "4", "worst": "1"}),
        ([0.9, 0.2], (), {"best": "0", "worst": "1"}),
        ([0.9], (), {"best": "0"}),
        ([0.5, 0.5, 0.5], (), {"best": "0"}),
    ],
)
def test_best_median_and_worst(dice: list[float], drawn: tuple[str, ...], expected: dict[str, str]) -> None:
    assert choose_cases({str(place): value for place, value in enumerate(dice)}, drawn) == expected
