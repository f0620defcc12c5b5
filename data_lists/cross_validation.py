"""Data lists for the members of an ensemble: the patients that are not tested take turns in validating."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from data_lists.data_list_file import CaseItem, DataList, write_data_list
from data_lists.split import DEFAULT_SEED, patient_normal_form
from data_lists.strata import make_strata


def write_with_folds(data_list: DataList, path: Path, count: int = 0) -> DataList:
    """Write a data list, and beside it `<stem>_fold0.json` and so on, the lists of `cross_validation`.

    Args:
        data_list: list to write.
        path: its file.
        count: of the lists beside it; the default, 0, writes none.

    Returns:
        The list itself.

    Raises:
        OSError: If a file cannot be written.
        ValueError: See `cross_validation`.
    """
    folds = cross_validation(data_list, count) if count else []
    write_data_list(data_list, path)
    for number, fold in enumerate(folds):
        write_data_list(fold, path.with_name(f"{path.stem}_fold{number}{path.suffix}"))
    return data_list


def cross_validation(data_list: DataList, count: int) -> list[DataList]:
    """Make k lists with the same test patients, each with another k-th of the others to validate on.

    Every k-th has its share of each label, or of small and large tumours, within one patient. Its order comes from
    sha256 of the list's seed and the patient, as that of the split does.

    Args:
        data_list: list with training, validation and test, labelled.
        count: k, at least 2.

    Returns:
        The k lists.

    Raises:
        ValueError: If there are fewer patients than k to train and validate on, in all or of a label.

    Reference:
        Isensee et al., nnU-Net, Nature Methods 2021: an ensemble of the networks of a five-fold cross-validation.
    """
    items = [*data_list.get("training", []), *data_list.get("validation", [])]
    theirs = _items_of(items)
    labels = {name: of_one[0]["label"] for name, of_one in theirs.items() if isinstance(of_one[0].get("label"), int)}
    strata = _strata(theirs, labels, data_list.get("seed", DEFAULT_SEED))
    fewest = min(map(len, strata), default=0) if labels else len(theirs)
    if count < 2 or fewest < count:
        least = "patients of each label" if labels else "labelled patients"
        raise ValueError(f"expected 2 folds or more, and as many {least} to train and validate on, got {count} folds "
                         f"and {fewest} patients")  # fmt: skip
    turn = {patient: place % count for place, patient in enumerate(name for stratum in strata for name in stratum)}
    return [_fold(data_list, items, turn, number, count) for number in range(count)]


def _strata(theirs: dict[str, list[CaseItem]], labels: dict[str, Any], seed: int) -> list[list[str]]:
    """Group the patients by label or by quartile of tumour size."""
    order = sorted(theirs, key=lambda name: hashlib.sha256(f"{seed}:{patient_normal_form(name)}".encode()).hexdigest())
    if labels:
        return make_strata(order, tumour_ml=None, labels=labels)
    tumour_ml = {name: max(item.get("tumour_ml", 0.0) for item in of_one) for name, of_one in theirs.items()}
    return make_strata(order, tumour_ml=tumour_ml, labels=None)


def _items_of(items: list[CaseItem]) -> dict[str, list[CaseItem]]:
    grouped: dict[str, list[CaseItem]] = {}
    for item in items:
        grouped.setdefault(item["patient"], []).append(item)
    return grouped


def _fold(data_list: DataList, items: list[CaseItem], turn: dict[str, int], number: int, count: int) -> DataList:
    made = data_list.copy()
    made["description"] = f"{data_list.get('description', '')}; fold {number} of {count}, with the same test"
    made["training"] = [item for item in items if turn[item["patient"]] != number]
    made["validation"] = [item for item in items if turn[item["patient"]] == number]
    made["numTraining"], made["numValidation"] = len(made["training"]), len(made["validation"])
    return made
