"""CT preprocessing written plainly with scipy, slice by slice: the tests' oracle; and the order of another project."""

from __future__ import annotations

import brain_oracle
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

SIZE = 256  # rows and columns of a picture


def preprocess(hu: Floats, spacing_mm: tuple[float, float], positions_mm: Floats) -> tuple[Mask, Floats]:
    """From HU `(S, R, C)` to the brain's mask and the pictures of its usable slices, `(S', 256, 256)`."""
    brain = brain_oracle.extract_brain(hu, spacing_mm=spacing_mm, slice_positions_mm=positions_mm)
    pixel_cm2 = spacing_mm[0] * spacing_mm[1] / 100
    kept = [number for number in range(len(hu)) if _usable(hu[number][brain[number]], pixel_cm2)]
    return brain, brain_oracle.to_bag(hu, brain, spacing_mm=spacing_mm, kept=kept, size=SIZE)


def _usable(values: Floats, pixel_cm2: float) -> bool:
    soft = values[(values >= -50) & (values <= 100)]
    return bool(len(values) * pixel_cm2 >= 10 and (values > 2500).mean() <= 0.002 and 1.5 <= soft.std() <= 30)


def enclosed_and_resized(hu: Floats, spacing_mm: tuple[float, float]) -> tuple[Mask, Floats]:
    """The part that works on one slice alone: soft tissue within bone, windowed and resized, not yet normalised."""
    footprint = brain_oracle.disk(5.0, spacing_mm)
    masks, pictures = [], []
    for plane in hu:
        soft = ndimage.median_filter(((plane >= -50) & (plane <= 100)).astype(np.uint8), 3, mode="nearest") > 0
        bone = plane > 150
        enclosed = brain_oracle.enclosed_by_bone(bone, footprint) & soft & ~bone
        window = np.where(enclosed, np.clip(plane / 80.0, 1e-6, 1), 0)
        masks.append(enclosed)
        pictures.append(brain_oracle.resized(brain_oracle.square(window, spacing_mm), SIZE))
    return np.stack(masks), np.stack(pictures)


def opened_filled_largest(hu: Floats) -> Floats:
    """What is usual elsewhere: -50 to 100 HU, opened, filled, the largest piece; window, z-score, resize."""
    pictures = []
    for plane in hu:
        opened = ndimage.binary_opening((plane >= -50) & (plane <= 100), iterations=2)
        labels, _ = ndimage.label(ndimage.binary_fill_holes(opened))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        brain = labels == sizes.argmax()
        window = np.where(brain, np.clip(plane / 80.0, 0, 1), 0)
        scaled = (window - window.mean()) / (window.std() or 1.0)
        pictures.append(ndimage.zoom(scaled, [SIZE / count for count in plane.shape], order=1))
    return np.stack(pictures)
