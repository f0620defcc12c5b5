"""Training slices as they are usually loaded: an h5 file a slice, z-scored, then augmented step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

Image = NDArray[np.float32]  # (H, W, C), as OpenCV wants it
Mask = NDArray[np.uint8]  # (H, W, R)

SMOOTHING_PIXELS = 20.0  # of an elastic field: as smooth as points 32 pixels apart make it


@dataclass(frozen=True)
class Draw:
    """What chance gives a slice; None leaves a step out."""

    flip: bool = False
    affine: NDArray[np.float64] | None = None  # (2, 3), columns first, from a pixel of the result to its source
    field: NDArray[np.float32] | None = None  # (2, H, W) pixels, rows first
    brightness: float | None = None
    contrast: float | None = None
    noise: float | None = None


class PlainSlices(Dataset[dict[str, Any]]):
    """Slices from h5 files.

    Args:
        files: one a slice, with `image` `(H, W, C)` float64 and `mask` `(H, W, R)` uint8.
        moments: of each file's volume, mean and standard deviation `(2, C)` over the voxels that are not 0.
        augmented: whether slices are augmented.
    """

    def __init__(self, files: Sequence[Path], moments: Sequence[Image], *, augmented: bool) -> None:
        self.files, self.moments, self.augmented = files, moments, augmented

    def __len__(self) -> int:
        """Count slices."""
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Read a slice."""
        with h5py.File(self.files[index], "r") as file:
            image = file["image"][()].astype(np.float32)
            mask = file["mask"][()]
        mean, deviation = self.moments[index]
        image = np.where(image != 0, (image - mean) / deviation, 0)
        if self.augmented:
            random = np.random.default_rng(int(torch.randint(2**31, ())))
            image, mask = augment(image, mask, drawn(image.shape[:2], random), random)
        channels_first = (np.ascontiguousarray(part.transpose(2, 0, 1)) for part in (image, mask))
        image, mask = channels_first
        return {"image": torch.from_numpy(image), "label": torch.from_numpy(mask), "case": self.files[index].stem}


def drawn(size: tuple[int, int], random: np.random.Generator) -> Draw:
    """Draw with the probabilities and ranges of the bundle's recipe."""
    flip, turn, bend, brighten, contrast, noise = random.random(6) < (0.5, 0.5, 0.2, 0.3, 0.3, 0.2)
    affine = field = None
    if turn:
        middle = (size[1] - 1) / 2, (size[0] - 1) / 2
        affine = cv2.getRotationMatrix2D(middle, random.uniform(-15, 15), 1 + random.uniform(-0.1, 0.1))
        affine[:, 2] += random.uniform(-12, 12, 2)
    if bend:
        field = elastic_field(size, random.uniform(1, 4), random)
    return Draw(
        flip=bool(flip),
        affine=affine,
        field=field,
        brightness=random.uniform(-0.2, 0.2) if brighten else None,
        contrast=random.uniform(-0.2, 0.2) if contrast else None,
        noise=random.uniform(0, 0.1) if noise else None,
    )


def elastic_field(size: tuple[int, int], magnitude: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Smooth white noise, and bring its standard deviation to `magnitude` pixels.

    Reference: Simard et al., "Best practices for convolutional neural networks", ICDAR 2003.
    """
    noise = random.uniform(-1, 1, (2, *size)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(part, (0, 0), SMOOTHING_PIXELS) for part in noise])
    return smooth * np.float32(magnitude / smooth.std())


def move(image: Image, mask: Mask, draw: Draw) -> tuple[Image, Mask]:
    """Flip, then rotate, shift and scale, then bend, each in a resampling of its own."""
    if draw.flip:
        image, mask = image[::-1], mask[::-1]
    if draw.affine is not None:
        size = image.shape[1::-1]
        flags = cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(image, draw.affine, size, flags=flags | cv2.INTER_LINEAR)
        mask = cv2.warpAffine(mask, draw.affine, size, flags=flags | cv2.INTER_NEAREST).reshape(mask.shape)
    if draw.field is not None:
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32) + draw.field
        image = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        mask = cv2.remap(mask, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT).reshape(mask.shape)
    return image, mask


def augment(image: Image, mask: Mask, draw: Draw, random: np.random.Generator) -> tuple[Image, Mask]:
    """Move a slice, and then change its brightness, contrast and noise."""
    image, mask = move(image, mask, draw)
    if draw.brightness is not None:
        image = image + np.float32(draw.brightness)
    if draw.contrast is not None:
        image = image * np.float32(1 + draw.contrast)
    if draw.noise is not None:
        image = image + random.normal(0, draw.noise, image.shape).astype(np.float32)
    return image, mask
