"""Tell whether a study is fit for a bundle, or refuse it with its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from custom_transforms.check_brats import check_brats
from custom_transforms.check_ct import check_ct
from custom_transforms.fit_study import FitStudy
from custom_transforms.identifying import shown_name
from custom_transforms.refusal import RefusedError
from data_lists.case_files import LABEL_CONVENTIONS, MODALITIES, CaseFiles
from data_lists.patient_files import UnclearFilesError, declared_header, find_patient

TASKS = ("ct", "brats")


def check_study(path: str | Path, task: str, *, labels: bool = False, label_convention: str | None = None) -> FitStudy:
    """Load a study exactly as the bundle of its task does, and check all that can be checked without a network.

    Args:
        path: ct: folder of DICOM, or NIfTI file. brats: folder of a patient, or a 4D NIfTI file.
        task: one of `TASKS`.
        labels: check the mask too (brats).
        label_convention: which codes the mask has (brats); None names the ones that fit.

    Raises:
        RefusedError: the study is not fit, with the reason code, the file relative to the study, and what came.
        ValueError: see `check_options`.

    Example:
        >>> check_study("patients/case_07", "ct").data.shape
        (512, 512, 28)
    """
    check_options(task, labels=labels, label_convention=label_convention)
    if task == "ct":
        return check_ct(Path(path))
    path = Path(path)
    try:
        return _check_patient(path, labels, label_convention)
    except UnclearFilesError as error:
        refusal = RefusedError.of(error.reason_code, error.file, expected=error.expected, got=error.got)
        raise (refusal if error.file == "." else refusal.renamed(shown_name(error.file, path))) from None


def check_options(task: str, *, labels: bool = False, label_convention: str | None = None) -> None:
    """Refuse options that no study could be checked with.

    Args:
        task: see `check_study`, as all.
        labels: see there.
        label_convention: see there.

    Raises:
        ValueError: no such task or label convention, or labels asked for where there are none.
    """
    if task not in TASKS:
        raise ValueError(f"expected a task of {', '.join(TASKS)}, got {task!r}")
    if task == "ct" and (labels or label_convention is not None):
        raise ValueError("expected no labels for the task ct, which has no masks")
    if label_convention is not None and label_convention not in LABEL_CONVENTIONS:
        raise ValueError(f"expected a label convention of {', '.join(LABEL_CONVENTIONS)}, got {label_convention!r}")


def _check_patient(path: Path, labels: bool, label_convention: str | None) -> FitStudy:
    files = find_patient(path)
    header = declared_header(path) if path.is_file() else None
    order = files.modalities or (header.modalities if header else MODALITIES)
    missing = [modality for modality in MODALITIES if modality not in order]
    if missing:
        raise RefusedError.of("missing_modality", ".", expected=", ".join(MODALITIES), got=f"no {', '.join(missing)}")
    if labels and files.label is None:
        raise RefusedError.of("missing_label", ".", expected="a mask beside the images", got="none")
    codes = header.label_codes if header else None
    if files.slices is not None:
        codes = LABEL_CONVENTIONS["brats2018"]  # the channels of such masks become these codes
    if label_convention is not None:
        codes = LABEL_CONVENTIONS[label_convention]
    root = path if path.is_dir() else path.parent
    image = [str(root / file) for file in files.image]
    try:
        study = check_brats(
            image if len(image) > 1 else image[0],
            order,
            label=root / files.label if labels and files.label else None,
            label_convention=codes,
            conventions=LABEL_CONVENTIONS,
        )
    except RefusedError as error:
        raise error.renamed(_name_in_study(error.file, files, path)) from None
    if not files.modalities and header is None:
        taken = f"the file does not say which channel is which: {', '.join(MODALITIES)} taken"
        warning = f"{taken}; predict.py segments it only from a data list, whose `modalities` say it"
        return replace(study, warnings=(warning, *study.warnings))
    return study


def _name_in_study(name: str, files: CaseFiles, path: Path) -> str:
    """The path, in the study, of a file that the readers call by its base name, if that may be shown."""
    places = [place for place in (*files.image, files.label or ".") if Path(place).name == name]
    return shown_name(places[0] if places else name, path)
