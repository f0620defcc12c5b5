"""MONAI decathlon data lists of BraTS-like data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_lists.brats_layouts import find_data_set
from data_lists.case_files import CaseFiles, DataSet
from data_lists.content import CaseContent, ReadPatient, measure_cases
from data_lists.data_list_file import CaseItem, DataList
from data_lists.duplicates import check_unique_content
from data_lists.split import DEFAULT_FRACTIONS, DEFAULT_SEED, FOLDS, Fold, split_patients


def build_data_list(
    dataset_dir: Path,
    *,
    read: ReadPatient,
    layout: str | None = None,
    fractions: Sequence[float] = DEFAULT_FRACTIONS,
    unlabelled: bool = False,
    modalities: Sequence[str] | None = None,
) -> DataList:
    """Build the data list of a BraTS-like data set in this process, split with the default seed.

    Args:
        dataset_dir: folder of the data set.
        read: how a case is read.
        layout: one of `brats_layouts.LAYOUTS`; the default, None, recognises it by file names.
        fractions: shares of training, validation and test.
        unlabelled: no masks, all cases in `test`.
        modalities: channel order of h5 slices; the default is FLAIR, T1, T1ce, T2.

    Returns:
        The data list.

    Raises:
        OSError: If the folder cannot be read.
        ValueError: If the data set is refused.
    """
    data_set = find_data_set(dataset_dir, layout=layout, unlabelled=unlabelled, modalities=modalities)
    contents = list(measure_cases(data_set, read=read))
    return assemble_data_list(data_set, contents, fractions=fractions)


def assemble_data_list(
    data_set: DataSet,
    contents: Sequence[CaseContent],
    *,
    fractions: Sequence[float] = DEFAULT_FRACTIONS,
    seed: int = DEFAULT_SEED,
) -> DataList:
    """Put the cases of a data set into folds, by patient.

    Args:
        data_set: what `find_data_set` found.
        contents: what `measure_cases` read, in the same order.
        fractions: shares of training, validation and test.
        seed: seed of the split.

    Returns:
        The data list.

    Raises:
        ValueError: If two patients have the same image, or the fractions are wrong.
    """
    check_unique_content(data_set.cases, contents)
    labelled = data_set.cases[0].label is not None
    size_ml: dict[str, float] = {}
    for case, content in zip(data_set.cases, contents, strict=True):
        size_ml[case.patient] = max(size_ml.get(case.patient, 0.0), content.tumour_ml or 0.0)
    folds: dict[Fold, list[str]] = {"test": list(size_ml)}
    if labelled:
        folds = split_patients(size_ml, tumour_ml=size_ml, fractions=fractions, seed=seed)
    fold_of = {patient: fold for fold, patients in folds.items() for patient in patients}
    items: dict[Fold, list[CaseItem]] = {fold: [] for fold in FOLDS}
    for case, content in zip(data_set.cases, contents, strict=True):
        items[fold_of[case.patient]].append(_item(data_set, case, content))
    data_list = _header(data_set, fractions=fractions, seed=seed)
    data_list["numTraining"], data_list["numValidation"], data_list["numTest"] = (len(items[fold]) for fold in FOLDS)
    for fold in FOLDS:
        data_list[fold] = items[fold]
    return data_list


def _description(data_set: DataSet, *, fractions: Sequence[float], seed: int) -> str:
    if data_set.cases[0].label is None:
        return "Not split: all cases are in test, without masks"
    shares = "/".join(f"{100 * fraction:g}" for fraction in fractions)
    return f"Split by patient {shares}, seed {seed}, stratified by tumour size"


def _header(data_set: DataSet, *, fractions: Sequence[float], seed: int) -> DataList:
    header: DataList = {
        "name": data_set.name,
        "description": _description(data_set, fractions=fractions, seed=seed),
        "licence": data_set.licence,
        "tensorImageSize": "4D",
        "modality": {str(channel): name for channel, name in enumerate(data_set.cases[0].modalities)},
    }
    if data_set.cases[0].label is not None:
        by_code = sorted((code, tissue) for tissue, code in data_set.label_codes.items())
        header["labels"] = {"0": "background"} | {str(code): tissue for code, tissue in by_code}
        header["label_convention"] = data_set.label_convention
    header["seed"] = seed
    return header


def _item(data_set: DataSet, case: CaseFiles, content: CaseContent) -> CaseItem:
    item: CaseItem = {
        "case": case.case,
        "patient": case.patient,
        "image": list(case.image) if len(case.image) > 1 else case.image[0],
        "modalities": list(case.modalities),
    }
    hashes: dict[str, str | list[str]] = {"image": list(content.image_sha256)}
    if case.slices is not None:
        item["slices"] = case.slices
    if case.label is not None and content.label_sha256 is not None and content.tumour_ml is not None:
        item["label"] = case.label
        item["label_convention"] = dict(data_set.label_codes)
        item["tumour_ml"] = content.tumour_ml
        hashes["label"] = content.label_sha256
    item["sha256"] = hashes
    return item
