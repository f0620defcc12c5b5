"""A few slices of a phantom head, most of which show a lesion if there is one: an easier lesson than a whole head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_lists.phantom_ct import PhantomHead

_ENOUGH_BRAIN = 0.35  # of the largest slice's: where skull base and vertex, which hold no lesions, are left out


def cut_slab(head: PhantomHead, slices: int, *, seed: int) -> PhantomHead:
    """Cut out the slices around the largest section of a metastasis, or around any slice with much brain.

    Args:
        head: the whole head.
        slices: how many, at least 1; fewer where the head ends.
        seed: chooses the middle slice where there is no metastasis.

    Raises:
        ValueError: if the number of slices is below 1.
    """
    if slices < 1:
        raise ValueError(f"a slab must have at least 1 slice, got {slices}")
    if head.positive:
        middle = int(head.lesion.sum(axis=(1, 2)).argmax())
    else:
        area = head.brain.sum(axis=(1, 2))
        middle = int(np.random.default_rng(seed).choice(np.flatnonzero(area > _ENOUGH_BRAIN * area.max())))
    first = min(max(middle - slices // 2, 0), max(len(head.hu) - slices, 0))
    part = slice(first, first + slices)
    affine = head.affine.copy()
    affine[:3, 3] += first * affine[:3, 2]
    return replace(
        head,
        hu=head.hu[part],
        brain=head.brain[part],
        lesion=head.lesion[part],
        slice_positions_mm=head.slice_positions_mm[part],
        affine=affine,
    )
