"""A classifier starts only on patients whose class is known, each in one fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from monai.data import Dataset

from custom_transforms.refusal import RefusedError
from custom_transforms.require_data import require_data
from custom_transforms.require_labels import require_labels


def fold(*labels: object) -> Dataset:
    return Dataset([{"case": f"p{i}", "image": "x"} | ({} if label is None else {"label": label})
                    for i, label in enumerate(labels)])  # fmt: skip


def test_patients_of_both_classes_are_accepted() -> None:
    require_labels({"training": fold(0, 1), "test": fold(1)}, both_classes_in=["training"])


@pytest.mark.parametrize(
    ("label", "got"), [(None, "none"), (2, "2"), ("1", "another"), ("/a/b/1", "another"), (True, "True")]
)
def test_label_that_is_no_class_is_refused_by_case(label: object, got: str) -> None:
    with pytest.raises(RefusedError, match=f"^wrong_label: p1: expected label 0 or 1 as a number, got {got}$"):
        require_labels({"training": fold(0, label)})


def test_validation_with_one_class_is_refused_before_the_first_epoch() -> None:
    with pytest.raises(
        RefusedError, match="one_class: validation: expected patients of both classes, got only label 0"
    ):
        require_labels({"training": fold(0, 1), "validation": fold(0, 0)}, both_classes_in=["training", "validation"])


def test_patient_in_two_folds_is_refused(tmp_path: Path) -> None:
    data: dict[str, Any] = {
        "training": fold(0, 1),
        "validation": Dataset([{"case": "other", "patient": "p1", "image": "x"}]),
    }
    with pytest.raises(RefusedError, match="patient_in_two_folds: .* in training, case 2, and in validation, case 1"):
        require_data(data, tmp_path / "list.json")
