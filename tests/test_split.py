from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from data_lists.split import FOLDS, check_no_leak, patient_normal_form, split_patients

FRACTIONS = (0.70, 0.15, 0.15)
CASES = [f"case-{number:02d}" for number in range(1, 13)]


def test_split_is_the_one_written_here_on_every_machine() -> None:
    assert split_patients(CASES) == {
        "training": ["case-01", "case-02", "case-06", "case-07", "case-08", "case-09", "case-10", "case-12"],
        "validation": ["case-05", "case-11"],
        "test": ["case-03", "case-04"],
    }


def test_stratified_split_is_the_one_written_here_on_every_machine() -> None:
    sizes = {case: float(number) for number, case in enumerate(CASES)}
    assert split_patients(CASES, tumour_ml=sizes) == {
        "training": ["case-01", "case-02", "case-05", "case-06", "case-08", "case-09", "case-10", "case-12"],
        "validation": ["case-04", "case-11"],
        "test": ["case-03", "case-07"],
    }


def test_order_of_the_files_does_not_matter() -> None:
    assert split_patients(reversed(CASES)) == split_patients(CASES)


def test_spelling_does_not_move_a_patient() -> None:
    respelt = split_patients([case.upper().replace("-", "_0") for case in CASES])
    assert [patient_normal_form(p) for p in respelt["test"]] == ["case3", "case4"]


def test_another_seed_gives_another_split() -> None:
    assert split_patients(CASES, seed=89) != split_patients(CASES, seed=88)


@pytest.mark.parametrize("fractions", [FRACTIONS, (0.8, 0.1, 0.1), (1 / 3, 1 / 3, 1 / 3), (0.6, 0.4, 0)])
@pytest.mark.parametrize("number", [8, 23, 57, 369])
def test_every_stratum_and_the_whole_are_within_one_patient(number: int, fractions: tuple[float, ...]) -> None:
    sizes = np.random.default_rng(3).permutation(number).astype(float)
    patients = [f"p{index}" for index in range(number)]
    folds = split_patients(patients, tumour_ml=dict(zip(patients, sizes, strict=True)), fractions=fractions)
    assert sorted(p for fold in FOLDS for p in folds[fold]) == sorted(patients)
    by_size = [patients[index] for index in np.argsort(sizes)]
    quartiles = [by_size[number * q // 4 : number * (q + 1) // 4] for q in range(4)]
    for group, limit in [*((quartile, 1.0) for quartile in quartiles), (patients, 0.9999)]:
        counts = [len(set(group) & set(folds[fold])) for fold in FOLDS]
        excess = [abs(count - share * len(group)) for count, share in zip(counts, fractions, strict=True)]
        assert max(excess) <= limit


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7])
def test_three_patients_or_more_leave_no_fold_empty(number: int) -> None:
    assert all(split_patients([f"p{index}" for index in range(number)]).values())


def test_fold_without_a_share_stays_empty() -> None:
    folds = split_patients(CASES, fractions=(0, 0, 1))
    assert (folds["training"], folds["validation"], len(folds["test"])) == ([], [], 12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BraTS-GLI-00005", "brats_gli_5"),
        ("volume_1", "Volume 001"),
        ("Jos\u00e9-1", "Jose\u0301-1"),  # macOS decomposes accents in file names
    ],
)
def test_spellings_of_one_patient_share_a_normal_form(one: str, other: str) -> None:
    assert patient_normal_form(one) == patient_normal_form(other)


def test_numbers_are_not_joined() -> None:
    assert patient_normal_form("a-1-23") != patient_normal_form("a-12-3")


def test_two_spellings_of_one_patient_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'p-1' and 'P_01'"):
        split_patients(["p-1", "p-2", "P_01"])


def test_id_without_letter_or_digit_is_refused() -> None:
    with pytest.raises(ValueError, match="expected letters or digits"):
        split_patients(["--"])


@pytest.mark.parametrize("fractions", [(0.7, 0.3), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)])
def test_wrong_fractions_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected (3 fractions|fractions with sum 1)"):
        split_patients(CASES, fractions=fractions)


def test_missing_tumour_volume_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tumour volume .* \(case-12\)"):
        split_patients(CASES, tumour_ml=dict.fromkeys(CASES[:-1], 1.0))


def test_patient_in_two_folds_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'p-01' in training and 'P1' in test"):
        check_no_leak({"training": ["p-01", "p-01"], "test": ["P1"]})


def test_public_split_of_brats_2020_can_be_made_again() -> None:
    stored = json.loads((files("data_lists") / "brats2020_split.json").read_text(encoding="utf-8"))
    folds = split_patients([f"BraTS20_Training_{number:03d}" for number in range(1, 370)])
    assert {fold: stored[fold] for fold in FOLDS} == folds
    assert [stored["numTraining"], stored["numValidation"], stored["numTest"]] == [258, 55, 56]
    assert "not stratified" in stored["description"]
