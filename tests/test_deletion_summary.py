"""From curves to areas, a paired difference, and the words for it; by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from custom_transforms.evidence.deletion_summary import (
    MATTERS,
    NOT_SHOWN,
    TOO_FEW,
    WORSE,
    draw_deletion,
    summarise_deletion,
)

PERCENT = (0, 50, 100)


def make_rows(curves: list[tuple[float, float, float]], random: tuple[float, float, float]) -> list[dict[str, Any]]:
    """Rows of one patient a curve, the same for both maps, texts as read from a csv."""
    return [
        {"row": f"test-{number:04d}", "map": name, "percent": str(percent), "prob": str(prob), "random_prob": chance}
        for number, curve in enumerate(curves)
        for name in ("evidence", "grad_cam")
        for percent, prob, chance in zip(PERCENT, curve, random, strict=True)
    ]


def test_areas_are_mean_probabilities_worked_by_hand() -> None:
    # half of (1 + 0.2) / 2 and half of (0.2 + 0) / 2: 0.35; at random 0.5 * 0.9 + 0.5 * 0.4: 0.65
    found = summarise_deletion(make_rows([(1, 0.2, 0)] * 3, (1, 0.8, 0)))["evidence"]
    assert found["area"]["value"] == pytest.approx(0.35)
    assert found["random_area"]["value"] == pytest.approx(0.65)
    assert found["difference"]["value"] == pytest.approx(0.3)
    assert found["difference"]["n"] == 3
    assert found["percent"] == [0, 50, 100]
    np.testing.assert_allclose(found["curve"], [1, 0.2, 0])
    np.testing.assert_allclose(found["random_curve"], [1, 0.8, 0])


@pytest.mark.parametrize(
    ("middles", "finding"),
    [
        ([0.1, 0.2, 0.3, 0.2, 0.1], MATTERS),
        ([0.2, 0.8, 0.4, 0.6, 0.5], NOT_SHOWN),
        ([0.9, 0.8, 0.9, 0.7, 0.8], WORSE),
        ([0.1, 0.2], TOO_FEW),
        ([], TOO_FEW),
    ],
)
def test_finding_is_what_the_interval_of_the_difference_says(middles: list[float], finding: str) -> None:
    rows = make_rows([(1, middle, 0) for middle in middles], (1, 0.5, 0))
    found = summarise_deletion(rows)
    assert {part["finding"] for part in found.values()} == {finding}
    if rows:
        figure = draw_deletion(rows, note="synthetic")
        assert [axes.get_title(loc="left") for axes in figure.axes] == [
            f"Evidence map: {finding}",
            f"Grad-CAM: {finding}",
        ]
