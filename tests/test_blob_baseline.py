"""The floor that a network has to beat: the largest bright blob."""

from __future__ import annotations

import numpy as np

from custom_transforms.blob_baseline import LEVELS, MARGINS, best_blob, largest_blobs
from data_lists.phantom_ct import make_head
from data_lists.phantom_slab import cut_slab


def bag(*, blob_pixels: int, brightness: float = 0.9) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    slices = np.zeros((3, 1, 64, 64), dtype=np.float32)
    slices[:, 0, 4:60, 4:60] = 0.4
    slices[:, 0, 4, :] = 1.0  # bone that shines in at the edge
    slices[1, 0, 20 : 20 + blob_pixels, 30 : 30 + blob_pixels] = brightness
    return slices


def test_blob_is_measured_where_it_is_largest_and_not_at_the_edge() -> None:
    found = largest_blobs(bag(blob_pixels=12))
    assert set(found) == {(level, margin) for level in LEVELS for margin in MARGINS}
    assert 120 <= found[0.7, 4] <= 160  # 12 x 12, smoothed
    assert largest_blobs(bag(blob_pixels=0))[0.7, 4] == 0
    assert largest_blobs(bag(blob_pixels=12, brightness=0.6))[0.7, 4] == 0


def test_best_variant_is_chosen_on_the_patients_themselves() -> None:
    blobs = [largest_blobs(bag(blob_pixels=pixels)) for pixels in (12, 10, 3, 0)]
    best = best_blob([1, 1, 0, 0], blobs)
    assert min(best.scores[:2]) > max(best.scores[2:])


def test_slab_holds_the_largest_section_of_the_lesion_and_keeps_its_place() -> None:
    head = make_head(1, positive=True, matrix=64)
    slab = cut_slab(head, 5, seed=1)
    middle = int(head.lesion.sum((1, 2)).argmax())
    first = round((slab.affine[:3, 3] - head.affine[:3, 3]) @ head.affine[:3, 2] / (head.affine[:3, 2] ** 2).sum())
    assert first <= middle < first + 5
    np.testing.assert_array_equal(slab.hu, head.hu[first : first + 5])
    np.testing.assert_array_equal(slab.slice_positions_mm, head.slice_positions_mm[first : first + 5])
    healthy = cut_slab(make_head(1, positive=False, matrix=64), 3, seed=1)
    assert not healthy.lesion.any()
    assert healthy.brain.sum((1, 2)).min() > 0
