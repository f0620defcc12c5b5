"""Groups by a column, and what is measured in them."""

from __future__ import annotations

import numpy as np
import pytest

from custom_transforms.evidence.groups import group_patients
from custom_transforms.evidence.subgroups import measure_subgroups
from custom_transforms.refusal import RefusedError


def members(column: list[object], edges: list[float] | None = None) -> dict[str, list[int]]:
    return {name: np.flatnonzero(inside).tolist() for name, inside in group_patients("age", column, edges).items()}


def test_numbers_are_cut_at_edges_and_an_edge_is_in_the_upper_band() -> None:
    assert members(["49.9", 50, "70", None, 81, "NA"], [50, 70]) == {
        "below 50": [0], "50 to below 70": [1], "70 and above": [2, 4], "missing": [3, 5]}  # fmt: skip


def test_numbers_without_edges_are_cut_at_tertiles_and_codes_are_left() -> None:
    assert members([1, 2, 3, 4, 5, 6, 7, 8, 9]) == {
        "below 3.667": [0, 1, 2], "3.667 to below 6.333": [3, 4, 5], "6.333 and above": [6, 7, 8]}  # fmt: skip
    assert members([10, 2, "2", 10, ""]) == {"2": [1, 2], "10": [0, 3], "missing": [4]}


def test_texts_are_grouped_by_value_with_the_missing_last() -> None:
    assert members(["b", " a", float("nan"), "b", "zz"]) == {"a": [1], "b": [0, 3], "zz": [4], "missing": [2]}
    assert members(["", None]) == {"missing": [0, 1]}


@pytest.mark.parametrize(
    ("column", "edges", "reason"),
    [
        (["a", 3], [1], "bad_bands: age: expected numbers, which the edges are to cut, got texts"),
        ([1, 2], [5, 3], r"bad_bands: age: expected edges that ascend, got \[5, 3\]"),
        ([1, 2], [], "expected edges that ascend"),
    ],
)
def test_edges_that_cannot_cut_are_refused(column: list[object], edges: list[float], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        group_patients("age", column, edges)


def test_each_group_is_measured_alone_and_small_ones_are_warned_of() -> None:
    labels, probs = np.array([1.0, 0] * 12), np.linspace(0, 1, 24)
    groups = group_patients("site", ["A"] * 20 + ["B"] * 4)
    first, second = measure_subgroups("site", groups, labels=labels, probs=probs, threshold=0.5)
    assert (first["column"], first["group"], first["patients"], first["positives"]) == ("site", "A", 20, 10)
    assert first["metrics"]["sensitivity"]["value"] == 0.4  # 12, 14, 16 and 18 of the ten even places to 18
    assert (first["warning"], second["warning"][:41]) == ("", "too few to judge: 2 positive, 2 negative;")
    assert list(second["metrics"]) == ["auc", "sensitivity", "specificity"]
    (bare, _) = measure_subgroups("site", groups, labels=labels, probs=probs, threshold=None)
    assert list(bare["metrics"]) == ["auc"]
