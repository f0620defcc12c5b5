"""The same steps as the fast CT preprocessing, written plainly with scipy on whole slices, to compare with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from custom_transforms import brain_region as rules

Mask = NDArray[np.bool_]


def disk(radius_mm: float, spacing_mm: tuple[float, float]) -> Mask:
    rows, columns = (int(np.floor(radius_mm / step)) for step in spacing_mm)
    row, column = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    return np.asarray((row * spacing_mm[0]) ** 2 + (column * spacing_mm[1]) ** 2 <= radius_mm**2)


def enclosed_by_bone(bone: Mask, footprint: Mask) -> Mask:
    margins = [(size // 2, size // 2) for size in footprint.shape]
    closed = ndimage.binary_closing(np.pad(bone, margins), footprint)
    inner = tuple(slice(before, size - after) for (before, after), size in zip(margins, closed.shape, strict=True))
    return np.asarray(ndimage.binary_fill_holes(closed)[inner])


def pieces(soft: Mask, bone: Mask, zone: Mask, before: Mask, spacing_mm: tuple[float, float]) -> Mask:
    """Soft tissue in the zone that is brain, its holes filled."""
    allowed = soft & zone
    opened = ndimage.binary_opening(allowed, disk(rules.BRIDGE_MM, spacing_mm))
    rim = opened & ~ndimage.binary_erosion(opened, np.ones((3, 3)))
    near_bone = ndimage.binary_dilation(bone, disk(rules.NEAR_BONE_MM, spacing_mm))
    labels, count = ndimage.label(opened)
    kept = np.zeros_like(soft)
    for label in range(1, count + 1):
        piece = labels == label
        large = piece.sum() * spacing_mm[0] * spacing_mm[1] / 100 >= rules.SMALLEST_CM2
        shared = (piece & before).sum() >= rules.SHARED * piece.sum()
        bony = (piece & rim & near_bone).sum() >= rules.BONY_RIM * (piece & rim).sum()
        if large and shared and bony:
            kept |= piece
    restored = ndimage.binary_dilation(kept, disk(rules.RESTORED_MM, spacing_mm)) & allowed
    return np.asarray(ndimage.binary_fill_holes(restored))


def extract_brain(
    hu: NDArray[np.float32], *, spacing_mm: tuple[float, float], slice_positions_mm: NDArray[np.float64]
) -> Mask:
    in_range = (hu >= -50) & (hu <= 100)
    soft = np.stack([ndimage.median_filter(plane.astype(np.uint8), 3, mode="nearest") > 0 for plane in in_range])
    bone = hu > 150
    gap = disk(rules.GAP_MM, spacing_mm)
    enclosed = np.stack([enclosed_by_bone(plane, gap) for plane in bone]) & soft & ~bone
    pixel_cm2 = spacing_mm[0] * spacing_mm[1] / 100
    brain = np.zeros(hu.shape, dtype=bool)
    start = int(enclosed.sum((1, 2)).argmax())
    if enclosed[start].sum() * pixel_cm2 < rules.FORAMEN_CM2:
        return brain
    brain[start] = pieces(soft[start], bone[start], enclosed[start], enclosed[start], spacing_mm)
    for step in (-1, 1):
        last, number = start, start + step
        while 0 <= number < len(hu):
            distance_mm = abs(slice_positions_mm[number] - slice_positions_mm[last])
            if distance_mm > rules.REACH_MM:
                break
            growth = disk(rules.GROWTH * distance_mm + rules.SLACK_MM, spacing_mm)
            near = ndimage.binary_dilation(brain[last], growth)
            found = pieces(soft[number], bone[number], near, brain[last], spacing_mm)
            if step == -1 and 0 < found.sum() * pixel_cm2 < rules.FORAMEN_CM2:
                break
            brain[number] = found
            if found.sum() >= rules.TRUSTED * brain[last].sum():
                last = number
            number += step
    return brain


def to_bag(
    hu: NDArray[np.float32], brain: Mask, *, spacing_mm: tuple[float, float], kept: list[int], size: int = 256
) -> NDArray[np.float64]:
    """Window 0 to 80 HU, square field, triangle-filtered resize, z-score of pixels above 0: `(kept, size, size)`."""
    window = np.where(brain, np.clip(hu / 80.0, 1e-6, 1), 0)
    return np.stack([z_score(resized(square(window[number], spacing_mm), size)) for number in kept])


def square(plane: NDArray[np.float64], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    field_mm = max(count * step for count, step in zip(plane.shape, spacing_mm, strict=True))
    missing = [round(field_mm / step) - count for count, step in zip(plane.shape, spacing_mm, strict=True)]
    return np.pad(plane, [(count // 2, count - count // 2) for count in missing])


def resized(plane: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    rows, columns = (triangle_weights(count, size) for count in plane.shape)
    return rows @ plane @ columns.T


def triangle_weights(old: int, new: int) -> NDArray[np.float64]:
    """Weights `(new, old)`: a triangle around each new pixel's centre, as wide as two of the larger pixels."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = np.clip(1 - distance, 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def z_score(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = plane > 0
    if not inside.any():
        return plane
    spread = plane[inside].std() or 1.0
    return np.where(inside, (plane - plane[inside].mean()) / spread, 0.0)
