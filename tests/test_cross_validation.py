"""Lists of the members of an ensemble: one test fold for all, every other patient validates once, shares are even."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_lists.cross_validation import cross_validation, write_with_folds
from data_lists.data_list_file import CaseItem, DataList


def make_list(training: int = 17, validation: int = 5, *, of_classes: bool = True, seed: int = 88) -> DataList:
    """Every fourth patient is positive, or has the larger tumour; the first has two time points."""

    def item(number: int, time: int = 0) -> CaseItem:
        made: CaseItem = {"case": f"p{number}-{time}", "patient": f"p{number}", "image": f"{number}_{time}.nii.gz"}
        return {**made, "label": int(number % 4 == 0)} if of_classes else {**made, "tumour_ml": float(number % 4 == 0)}

    items = [item(number) for number in range(1, training + validation + 4)]
    return {"name": "n", "description": "made", "seed": seed, "numTraining": training + 1, "numValidation": validation,
            "numTest": 3, "training": [*items[:training], item(1, 1)], "validation": items[training:-3],
            "test": items[-3:]}  # fmt: skip


def patients(items: list[CaseItem]) -> set[str]:
    return {item["patient"] for item in items}


@pytest.mark.parametrize("of_classes", [True, False])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_patient_validates_once_and_the_test_is_the_same(count: int, of_classes: bool) -> None:
    whole = make_list(of_classes=of_classes)
    folds = cross_validation(whole, count)
    everyone = patients([*whole["training"], *whole["validation"]])
    assert len(folds) == count
    validating = [patients(fold["validation"]) for fold in folds]
    assert sum(map(len, validating)) == len(everyone)
    assert set().union(*validating) == everyone
    for fold, theirs in zip(folds, validating, strict=True):
        assert fold["test"] == whole["test"]
        assert patients(fold["training"]) == everyone - theirs
        assert (fold["numTraining"], fold["numValidation"]) == (len(fold["training"]), len(fold["validation"]))
        assert fold["numTraining"] + fold["numValidation"] == 23
        assert {key: fold[key] for key in ("name", "seed", "numTest")} == {"name": "n", "seed": 88, "numTest": 3}


def test_classes_are_even() -> None:
    """5 of 22 patients are positive, so that three folds have 2, 2 and 1 of them, and 8, 7 and 7 patients."""
    folds = cross_validation(make_list(), 3)
    positives = [sum(item["label"] == 1 for item in fold["validation"]) for fold in folds]
    assert sorted(positives) == [1, 2, 2]
    assert sorted(len(patients(fold["validation"])) for fold in folds) == [7, 7, 8]


def test_folds_depend_on_the_seed_and_not_on_the_order_of_the_list() -> None:
    whole = make_list()
    turned: DataList = {**whole, "training": whole["training"][::-1]}
    members = [patients(fold["validation"]) for fold in cross_validation(whole, 3)]
    assert [patients(fold["validation"]) for fold in cross_validation(turned, 3)] == members
    assert [patients(fold["validation"]) for fold in cross_validation(make_list(seed=89), 3)] != members


@pytest.mark.parametrize(("count", "least"), [(1, "22 patients|5 patients"), (6, "of each label"), (-1, "2 folds")])
def test_too_few_patients_or_folds_are_refused_and_nothing_is_written(count: int, least: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=least):
        write_with_folds(make_list(), tmp_path / "data_list.json", count)
    assert list(tmp_path.iterdir()) == []


def test_list_without_labels_has_no_folds() -> None:
    whole: DataList = {"training": [], "validation": [], "test": make_list()["test"]}
    with pytest.raises(ValueError, match="labelled patients to train and validate on, got 2 folds and 0 patients"):
        cross_validation(whole, 2)


def test_lists_lie_beside_the_one_that_they_are_made_of(tmp_path: Path) -> None:
    write_with_folds(make_list(), tmp_path / "own.json", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.json", "own_fold0.json", "own_fold1.json"]
    assert (
        json.loads((tmp_path / "own_fold1.json").read_text())["description"] == "made; fold 1 of 2, with the same test"
    )
