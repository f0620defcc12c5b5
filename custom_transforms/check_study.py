"""Tell whether a study is fit for a bundle, or refuse it with its reason."""

from __future__ import annotations

from pathlib import Path

from custom_transforms.check_ct import check_ct
from custom_transforms.fit_study import FitStudy

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
        ValueError: no such task, or labels asked for where there are none.

    Example:
        >>> check_study("patients/case_07", "ct").data.shape
        (512, 512, 28)
    """
    if task not in TASKS:
        raise ValueError(f"expected a task of {', '.join(TASKS)}, got {task!r}")
    if task == "ct":
        if labels or label_convention is not None:
            raise ValueError("expected no labels for the task ct, which has no masks")
        return check_ct(Path(path))
    raise NotImplementedError("brats")
