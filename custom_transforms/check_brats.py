"""Check one patient's MRI, and the mask: read them, and look for what only a heuristic can see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from custom_transforms.fit_study import FitStudy
from custom_transforms.flipped_volumes import suspect_flips, suspect_mask_flip
from custom_transforms.isolated_readers import read_patient_isolated
from custom_transforms.mri_study import MODALITIES
from custom_transforms.orientation import to_axes
from custom_transforms.refusal import RefusedError
from custom_transforms.suspicious_labels import suspect_labels
from custom_transforms.swapped_modalities import suspect_order

Codes = Mapping[str, int]


def check_brats(
    image: str | Path | Sequence[str | Path],
    modalities: Sequence[str] = MODALITIES,
    *,
    label: str | Path | None = None,
    label_convention: Codes | None = None,
    conventions: Mapping[str, Codes] | None = None,
) -> FitStudy:
    """Read a patient as the segmenter's first step `load` does, without torch.

    Args:
        image: four NIfTI files, one 4D file, or a pattern of h5 slices.
        modalities: which modality each file or channel is.
        label: the mask; None to check the images alone.
        label_convention: declared codes of the mask; None names those of `conventions` that fit.
        conventions: name and codes of all conventions that are known.

    Returns:
        the image in RAS, with warnings.

    Raises:
        RefusedError: see `read_patient_isolated`; and a mask whose codes fit no convention.
    """
    volume, affine, label_map = read_patient_isolated(image, modalities, label=label, codes=label_convention)
    stack, grid = to_axes(np.moveaxis(volume, 0, -1), affine)
    data = np.ascontiguousarray(np.moveaxis(stack, -1, 0))
    warnings, notes = [*suspect_order(data, grid), *suspect_flips(data, grid)], []
    if label is not None and label_map is not None:
        found = [int(code) for code in np.unique(label_map) if code]
        fitting = {"the declared one": label_convention} if label_convention else {}
        if label_convention is None:
            fitting = _fitting(found, conventions or {}, Path(label).name)
            codes = ", ".join(map(str, found)) or "none"
            notes.append(f"codes in the mask: {codes}; label conventions that fit: {', '.join(fitting)}")
            if found and len(fitting) > 1:
                warnings.append(f"several label conventions fit the mask: {', '.join(fitting)}; declare the right one")
        mask = to_axes(label_map.astype(np.float32), affine)[0].astype(np.uint8)
        warnings += [*suspect_labels(data, mask, grid, fitting), *suspect_mask_flip(data, mask, grid)]
    return FitStudy(data, grid, tuple(warnings), tuple(notes))


def _fitting(found: Sequence[int], conventions: Mapping[str, Codes], name: str) -> dict[str, Codes]:
    """The conventions that have all codes of a mask."""
    fitting = {key: codes for key, codes in conventions.items() if set(found) <= set(codes.values())}
    if not fitting:
        expected = "; ".join(f"{key}: {', '.join(map(str, codes.values()))}" for key, codes in conventions.items())
        raise RefusedError.of("unknown_label", name, expected=f"the codes of {expected}", got=str(found[:5]))
    return fitting
