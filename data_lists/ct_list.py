"""MONAI decathlon data lists of CT studies, one label per patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from data_lists.ct_content import CtContent, ReadScan, measure_studies
from data_lists.ct_layout import CtDataSet, CtStudy, find_ct_data_set
from data_lists.data_list_file import CaseItem, DataList
from data_lists.split import DEFAULT_SEED, FOLDS, Fold, split_patients

CT_FRACTIONS = (0.60, 0.20, 0.20)
_LICENCE = "unknown: not stated in the files; the terms under which the data were released apply"
_LABELS = {"0": "no metastases", "1": "brain metastases"}


def build_ct_list(
    dataset_dir: Path,
    *,
    read: ReadScan,
    fractions: Sequence[float] = CT_FRACTIONS,
    unlabelled: bool = False,
) -> DataList:
    """Build the data list of CT studies in this process, split with the default seed.

    Args:
        dataset_dir: folder of the data set; see `ct_layout`.
        read: how a study is read.
        fractions: shares of training, validation and test.
        unlabelled: no labels, all studies in `test`.

    Returns:
        The data list.

    Raises:
        OSError: If the folder cannot be read.
        ValueError: If the data set is refused.
    """
    data_set = find_ct_data_set(dataset_dir, unlabelled=unlabelled)
    return assemble_ct_list(data_set, list(measure_studies(data_set, read=read)), fractions=fractions)


def assemble_ct_list(
    data_set: CtDataSet,
    contents: Sequence[CtContent],
    *,
    fractions: Sequence[float] = CT_FRACTIONS,
    seed: int = DEFAULT_SEED,
) -> DataList:
    """Put the studies of a data set into folds, each with its share of both labels.

    Args:
        data_set: what `find_ct_data_set` found.
        contents: what `measure_studies` read, in the same order.
        fractions: shares of training, validation and test.
        seed: seed of the split.

    Returns:
        The data list.

    Raises:
        ValueError: If two patients have the same scan, or the fractions are wrong.
    """
    _check_unique(data_set.cases, contents)
    labels = {study.patient: study.label for study in data_set.cases if study.label is not None}
    folds: dict[Fold, list[str]] = {"test": [study.patient for study in data_set.cases]}
    description = "Not split: all studies are in test, without labels"
    if labels:
        folds = split_patients(labels, labels=labels, fractions=fractions, seed=seed)
        shares = "/".join(f"{100 * fraction:g}" for fraction in fractions)
        description = f"Split by patient {shares}, seed {seed}, stratified by label"
    fold_of = {patient: fold for fold, patients in folds.items() for patient in patients}
    items: dict[Fold, list[CaseItem]] = {fold: [] for fold in FOLDS}
    for study, content in zip(data_set.cases, contents, strict=True):
        items[fold_of[study.patient]].append(_item(study, content))
    data_list = _header(data_set, description=description, seed=seed)
    data_list["numTraining"], data_list["numValidation"], data_list["numTest"] = (len(items[fold]) for fold in FOLDS)
    for fold in FOLDS:
        data_list[fold] = items[fold]
    return data_list


def _header(data_set: CtDataSet, *, description: str, seed: int) -> DataList:
    header: DataList = {
        "name": data_set.root.resolve().name,
        "description": description,
        "licence": _LICENCE,
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
    }
    if data_set.cases[0].label is not None:
        header["labels"] = dict(_LABELS)
    if data_set.cases[0].columns:
        header["columns"] = list(data_set.cases[0].columns)
    header["seed"] = seed
    return header


def _item(study: CtStudy, content: CtContent) -> CaseItem:
    item: CaseItem = {"case": study.patient, "patient": study.patient, "image": study.image}
    if study.label is not None:
        item["label"] = study.label
    item["slices"] = content.slices
    item["sha256"] = {"image": content.sha256}
    return cast(CaseItem, {**item, **study.columns})


def _check_unique(studies: Sequence[CtStudy], contents: Sequence[CtContent]) -> None:
    """Refuse a scan that two patients share: it would be trained on and tested on."""
    first: dict[str, CtStudy] = {}
    for study, content in zip(studies, contents, strict=True):
        earlier = first.setdefault(content.sha256, study)
        if earlier is not study:
            raise ValueError(
                f"expected different scans of different patients, got the same voxels in {earlier.image} "
                f"and {study.image}"
            )
