"""Read a tumour mask on the grid of its image; refuse codes that no declared convention has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from custom_transforms.h5_slices import read_h5_slices
from custom_transforms.mri_brain import brain_of, filled_and_grown
from custom_transforms.mri_grid import Affine, Volume, check_grid, to_orientation
from custom_transforms.nifti import read_nifti
from custom_transforms.refusal import RefusedError

H5_TISSUES = ("necrotic core", "oedema", "enhancing tumour")  # channels of a mask in the Kaggle copy
# Labels that a program stored as 8-bit numbers with a slope come back up to half a step beside whole numbers, 4/255/2.
INTEGER_TOLERANCE = 0.01
MOST_OUTSIDE = 0.05  # part of a mask; brains are stripped with some error, but of the real glioma nothing is outside
FARTHEST_MM = 5.0  # of any mask voxel from the brain, and at least two voxels


def read_label_map(
    label: str | Path, codes: Mapping[str, int] | None, *, like: Volume, affine: Affine, name: str | None = None
) -> NDArray[np.uint8]:
    """Read a tumour mask on the image's grid.

    Args:
        label: NIfTI file or pattern of h5 slices.
        codes: label convention, from tissue name to its code; 0 is background in every convention. None, of a
            NIfTI file whose convention is not known, takes any whole numbers from 0 to 255, but not both 3 and 4.
        like: the image `(4, X, Y, Z)` it belongs to.
        affine: the image's affine.
        name: what to call the mask in messages; the default is its base name.

    Returns:
        codes `(X, Y, Z)`, uint8, each 0 or one of `codes`.

    Raises:
        RefusedError: another grid than the image's, fractional labels, a code that the convention does not have, or
            a mask outside of the brain.
    """
    name = name or Path(label).name
    if "*" in Path(label).name:
        values, grid = _join_channels(label, codes or {}, name)
    else:
        values, grid = to_orientation(*read_nifti(label), like=affine)
    check_grid(values, grid, like.shape[1:], affine, name)
    whole = np.rint(values)
    if not np.isfinite(values).all() or np.abs(values - whole).max() > INTEGER_TOLERANCE:
        raise RefusedError.of("fractional_label", name, expected="whole numbers", got="fractions")
    found = np.unique(whole).astype(np.int64).tolist()
    allowed = range(256) if codes is None else {0, *codes.values()}
    unknown = [code for code in found if code not in allowed]
    if unknown:
        expected = "codes from 0 to 255" if codes is None else f"0 or {dict(codes)}"
        raise RefusedError.of("unknown_label", name, expected=expected, got=str(unknown[:5]))
    if codes is None and {3, 4} <= set(found):
        expected = "3 or 4 for enhancing tumour, or a declared convention that has both"
        raise RefusedError.of("unknown_label", name, expected=expected, got="3 and 4")
    _check_inside(whole > 0, like, affine, name)
    return whole.astype(np.uint8)


def _join_channels(label: str | Path, codes: Mapping[str, int], name: str) -> tuple[Volume, Affine]:
    channels, grid = read_h5_slices(label, "mask")
    masks = bool(np.isin(channels, (0, 1)).all() and (channels.sum(-1) <= 1).all())
    if channels.shape[-1] != len(H5_TISSUES) or not masks or set(H5_TISSUES) - set(codes):
        expected = f"a channel of 0 and 1 for each of {', '.join(H5_TISSUES)}, without overlap, and a code for each"
        raise RefusedError.of("label_channels", name, expected=expected, got=f"{channels.shape}, {dict(codes)}")
    return channels @ np.array([codes[tissue] for tissue in H5_TISSUES], dtype=np.float32), grid


def _check_inside(mask: NDArray[np.bool_], image: Volume, affine: Affine, name: str) -> None:
    """Refuse a mask of which more than `MOST_OUTSIDE`, or any voxel by more than `FARTHEST_MM`, is not brain."""
    brain = brain_of(image)
    outside = int((mask & ~brain).sum())
    if not outside:
        return
    outside = int((mask & ~filled_and_grown(brain, 0)).sum())
    if outside > MOST_OUTSIDE * mask.sum():
        expected = f"at most {100 * MOST_OUTSIDE:g} % of the mask outside of the brain"
        raise RefusedError.of("mask_outside_brain", name, expected=expected, got=f"{100 * outside / mask.sum():.0f} %")
    steps = max(2, round(FARTHEST_MM / float(nib.affines.voxel_sizes(affine).min())))
    if outside and (mask & ~filled_and_grown(brain, steps)).any():
        expected = f"no part of the mask farther than {FARTHEST_MM:g} mm from the brain"
        raise RefusedError.of("mask_outside_brain", name, expected=expected, got="some")
