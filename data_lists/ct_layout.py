"""Which CT study is of which patient, and which label it has."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from data_lists.ct_columns import Columns, read_columns
from data_lists.split import patient_normal_form

logger = logging.getLogger(__name__)
FOLDER = "CTs"
PATIENT, LABEL = "PatientID", "Label"
LABELS = {"0": 0, "1": 1}
NO_IMAGES = (".csv", ".json", ".txt")
EXPECTED_LAYOUT = f"{FOLDER}/<patient>/… or <patient>.nii.gz with a csv of the columns {PATIENT} and {LABEL}"


@dataclass(frozen=True)
class CtStudy:
    """One study, which stands for one patient.

    Attributes:
        patient: name of the study's folder or file, which is the patient's id in the table.
        image: folder of DICOM files, at any depth, or NIfTI file, as a POSIX path relative to the data-set folder.
        label: 1 with brain metastases, 0 without, None if unlabelled.
        columns: texts of the table's columns that were asked for.
    """

    patient: str
    image: str
    label: int | None
    columns: Columns = field(default_factory=dict)


@dataclass(frozen=True)
class CtDataSet:
    """Studies of one data set, at least one, sorted by patient.

    Attributes:
        root: data-set folder.
        cases: all studies; either all have a label, or none has.
    """

    root: Path
    cases: tuple[CtStudy, ...]


def is_ct_data_set(dataset_dir: Path) -> bool:
    """Tell whether a folder is a data set of labelled CT studies: by its folder `CTs` or by the table's columns."""
    return (dataset_dir / FOLDER).is_dir() or bool(dataset_dir.is_dir() and _tables(dataset_dir))


def find_ct_data_set(
    dataset_dir: Path, *, table: Path | None = None, unlabelled: bool = False, columns: Sequence[str] = ()
) -> CtDataSet:
    """Find studies and their labels; no image is read.

    Studies are the folders and NIfTI files in `CTs`, or in the data-set folder itself where it has no `CTs`. A folder
    that holds files and no studies is one study.

    Args:
        dataset_dir: folder of the data set.
        table: csv with the columns PatientID and Label (0 or 1); the default, None, is the one in the data-set folder.
        unlabelled: no labels, as for inference; a table is not read.
        columns: names of more columns of the table that each study is to have; see `ct_columns`.

    Returns:
        The data set.

    Raises:
        NotADirectoryError: If the folder does not exist.
        ValueError: If there is no study, a study has no label or a label no study, a patient has two labels, two
            studies or two spellings, the table is missing or is not as described, or a column cannot be had.
    """
    if not dataset_dir.is_dir():
        raise NotADirectoryError(f"expected the folder of a data set, got {dataset_dir}")
    images = _find_images(dataset_dir)
    if unlabelled and columns:
        raise ValueError(f"expected a table of labels for the columns {', '.join(columns)}, got unlabelled studies")
    if unlabelled:
        return CtDataSet(dataset_dir, tuple(CtStudy(patient, image, None) for patient, image in images.items()))
    table = table or _only_table(dataset_dir)
    labels = _read_labels(table)
    texts = read_columns(table, columns, patient=PATIENT)
    by_form = {patient_normal_form(patient): patient for patient in labels}
    of_image = {patient: by_form.get(patient_normal_form(patient)) for patient in images}
    _require_none((patient for patient, found in of_image.items() if found is None), expected="a label of each study")
    _require_none(labels.keys() - set(of_image.values()), expected="a study for each label")
    named = {patient: str(found) for patient, found in of_image.items()}
    studies = (CtStudy(patient, images[patient], labels[name], texts[name]) for patient, name in named.items())
    return CtDataSet(dataset_dir, tuple(studies))


def _find_images(dataset_dir: Path) -> dict[str, str]:
    """Return the image of each patient, sorted by patient; hidden names are left out."""
    folder = dataset_dir / FOLDER if (dataset_dir / FOLDER).is_dir() else dataset_dir
    found: dict[str, str] = {}
    strangers = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir() and not path.name.endswith((".nii", ".nii.gz")):
            strangers.append(path.name)
            continue
        patient = path.name if path.is_dir() else path.name.removesuffix(".gz").removesuffix(".nii")
        image = path.relative_to(dataset_dir).as_posix()
        if found.setdefault(patient, image) != image:
            raise ValueError(f"expected one study per patient, got {found[patient]} and {image}")
        if path.is_dir() and not any(path.iterdir()):
            raise ValueError(f"expected a study in folder {image}, got nothing")
    strangers = [name for name in strangers if not name.endswith(NO_IMAGES)]
    if folder == dataset_dir and not found and strangers:
        found[folder.resolve().name], strangers = ".", []  # the folder is itself one study
    if not found:
        raise ValueError(f"expected {EXPECTED_LAYOUT}, got no study in {folder}")
    if strangers:
        logger.warning("not used, since they are no studies: %d files", len(strangers))
    _check_spellings(found)
    return dict(sorted(found.items()))


def _tables(dataset_dir: Path) -> list[Path]:
    """Return the csv files of a folder that have the columns of a table of labels."""
    tables = []
    for path in sorted(dataset_dir.glob("*.csv")):
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as stream, suppress(csv.Error):
            if {PATIENT, LABEL} <= set(next(csv.reader(stream), [])):
                tables.append(path)
    return tables


def _only_table(dataset_dir: Path) -> Path:
    tables = _tables(dataset_dir)
    if len(tables) != 1:
        got = ", ".join(path.name for path in tables) or "none"
        raise ValueError(f"expected one csv with the columns {PATIENT} and {LABEL} in {dataset_dir}, got {got}")
    return tables[0]


def _read_labels(table: Path) -> dict[str, int]:
    """Return the label of each patient; a patient may have several rows of one label."""
    labels: dict[str, int] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = [(row[PATIENT].strip(), row[LABEL].strip()) for row in csv.DictReader(stream)]
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        expected = f"the columns {PATIENT} and {LABEL}, separated by commas, in UTF-8"
        raise ValueError(f"{table.name}: expected {expected}, got {type(error).__name__}: {error}") from error
    for patient, label in rows:
        if label not in LABELS:
            raise ValueError(f"{table.name}: expected the label 0 or 1, got {label!r} for {patient}")
        if labels.setdefault(patient, LABELS[label]) != LABELS[label]:
            raise ValueError(f"{table.name}: expected one label per patient, got 0 and 1 for {patient}")
    if not labels:
        raise ValueError(f"{table.name}: expected a row per patient, got none")
    _check_spellings(labels)
    return labels


def _check_spellings(patients: Mapping[str, object]) -> None:
    first: dict[str, str] = {}
    for patient in patients:
        earlier = first.setdefault(patient_normal_form(patient), patient)
        if earlier != patient:
            raise ValueError(f"expected one spelling per patient, got {earlier!r} and {patient!r}")


def _require_none(patients: Iterable[str], *, expected: str) -> None:
    missing = sorted(patients)
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ValueError(f"expected {expected}, got none for {', '.join(missing[:3])}{more}")
