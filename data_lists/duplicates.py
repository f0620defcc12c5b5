"""Refusal of cases, patients and images that are in a data set twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_lists.case_files import MODALITIES, CaseFiles
from data_lists.content import CaseContent
from data_lists.split import patient_normal_form


def check_case_names(cases: Iterable[CaseFiles]) -> None:
    """Refuse two cases of one name, and one patient under two spellings.

    Args:
        cases: all cases of a data set.

    Raises:
        ValueError: If two cases share a name, whatever its spelling, or two patient ids are one; names both.
    """
    by_case: dict[str, CaseFiles] = {}
    by_patient: dict[str, str] = {}
    for case in cases:
        patient = by_patient.setdefault(patient_normal_form(case.patient), case.patient)
        if patient != case.patient:
            raise ValueError(f"expected one spelling per patient, got {patient!r} and {case.patient!r}")
        earlier = by_case.setdefault(patient_normal_form(case.case), case)
        if earlier is not case:
            raise ValueError(
                f"expected one case per name, got {earlier.case!r} ({earlier.image[0]}) and {case.case!r} "
                f"({case.image[0]})"
            )


def check_unique_content(cases: Sequence[CaseFiles], contents: Sequence[CaseContent]) -> None:
    """Refuse an image that two patients share: it would be trained on and tested on.

    Args:
        cases: all cases of a data set.
        contents: hashes of the cases, in the same order.

    Raises:
        ValueError: If one modality of a patient has the voxels of any modality of another; names both files.
    """
    first: dict[str, tuple[str, str]] = {}
    for case, content in zip(cases, contents, strict=True):
        # A 4D file or a pattern of slices holds all modalities.
        paths = case.image if len(case.image) > 1 else case.image * len(case.modalities)
        path_of = dict(zip(case.modalities, paths, strict=True))
        for sha256, modality in zip(content.image_sha256, MODALITIES, strict=True):
            here = f"{modality} in {path_of[modality]}"
            patient, where = first.setdefault(sha256, (case.patient, here))
            if patient != case.patient:
                raise ValueError(
                    f"expected different images of different patients, got the same voxels under {patient} ({where}) "
                    f"and {case.patient} ({here})"
                )
