"""Reading of a volume that is stored as one HDF5 file per slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_lists.case_files import MODALITIES

Array = npt.NDArray[Any]
MASK_CODES = (1, 2, 4)  # necrotic core, oedema, enhancing tumour: the codes of BraTS 2018 to 2021


def read_h5_slices(root: Path, pattern: str, *, slices: int, with_mask: bool) -> tuple[Array, Array | None]:
    """Stack the slices of one volume.

    Args:
        root: data-set folder.
        pattern: relative file with `*` for the slice number.
        slices: how many slices there are, numbered from 0.
        with_mask: read the mask as well.

    Returns:
        Image `(H, W, S, 4)` and mask `(H, W, S)` with codes 0, 1, 2, 4, or None.

    Raises:
        ImportError: If h5py is not installed.
        ValueError: If a file is damaged, differs in shape, or has a mask that is not 0 or 1 in one channel at most.
    """
    images, masks = [], []
    for number in range(slices):
        relative = pattern.replace("*", str(number))
        images.append(_read(root, relative, dataset="image").astype(np.float32))
        if images[-1].ndim != 3 or images[-1].shape[2] != len(MODALITIES) or images[-1].shape != images[0].shape:
            expected = f"(H, W, {len(MODALITIES)})" if number == 0 else str(images[0].shape)
            raise ValueError(f"expected `image` of shape {expected}, got {images[-1].shape} in {relative}")
        if with_mask:
            mask = _read(root, relative, dataset="mask")
            if mask.shape != (*images[0].shape[:2], len(MASK_CODES)):
                raise ValueError(f"expected `mask` of shape (H, W, {len(MASK_CODES)}), got {mask.shape} in {relative}")
            masks.append(_to_codes(mask, relative=relative))
    return np.stack(images, axis=2), np.stack(masks, axis=2) if with_mask else None


def _to_codes(mask: Array, *, relative: str) -> Array:
    """Turn three channels of 0 and 1, `(H, W, 3)`, into one of codes, `(H, W)`."""
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(f"expected 0 and 1 in `mask`, got {mask[~np.isin(mask, (0, 1))].flat[0]} in {relative}")
    if (mask.sum(axis=2) > 1).any():
        raise ValueError(f"expected one tissue per pixel in `mask`, got two in {relative}")
    codes: Array = (mask * np.asarray(MASK_CODES)).sum(axis=2).astype(np.uint8)
    return codes


def _read(root: Path, relative: str, *, dataset: str) -> Array:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("h5 slices need h5py: pip install 'neuro-oncology-bundles[h5]'") from error
    try:
        with h5py.File(root / relative, "r") as stream:
            return np.asarray(stream[dataset])
    except (OSError, KeyError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"expected the dataset `{dataset}`, got {relative} ({reason})") from error
