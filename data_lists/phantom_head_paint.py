"""From distances to Hounsfield units: tissues of a CT phantom head, and what the scanner adds to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_lists.phantom_ct_scanner import Scanner
from data_lists.phantom_head_frame import Field, Points, ramp
from data_lists.phantom_head_skull import Base

AIR_HU, _FAT_HU, _SKIN_HU, _MUSCLE_HU = -1000.0, -90.0, 30.0, 52.0
_TABLE_HU, _DIPLOE_HU, _BASE_HU = 1450.0, 500.0, 950.0
_ORBIT_MUSCLE_HU, _GLOBE_HU, _SCLERA_HU = 35.0, 15.0, 50.0
_TABLE_MM = 1.7
_HU_RANGE = (-1024, 3071)  # 12 bits, as scanners store


@dataclass(frozen=True)
class Layers:
    """Distances in mm, positive inside, shape (S, R, C), of what encloses the brain.

    Attributes:
        cavity: inside the inner table of the skull.
        skull: inside the outer table.
        skin: inside the skin.
        edge_mm: width of an edge in a voxel, which grows where a surface lies along the slice.
        texture: noise of mean 0 and standard deviation 1: fat between muscles, uneven bone.
    """

    cavity: Field
    skull: Field
    skin: Field
    edge_mm: Field
    texture: Field


def paint_outside(layers: Layers) -> Field:
    """Hounsfield units of scalp, neck and the two tables of the skull, without what lies in the skull."""
    hu = np.full_like(layers.cavity, _MUSCLE_HU)
    lay(hu, ramp(layers.texture - 0.7, 0.4), _FAT_HU)
    lay(hu, ramp(5 + layers.texture - layers.skin, 1.5), _FAT_HU)
    lay(hu, ramp(1.6 - layers.skin, 1.5), _SKIN_HU)
    out = 1 - ramp(layers.skin, layers.edge_mm)
    lay(hu, out, AIR_HU)
    marrow = ramp(np.minimum(layers.skull, -layers.cavity) - np.float32(_TABLE_MM), 1.2)
    lay(hu, ramp(layers.skull, layers.edge_mm), _TABLE_HU + (_DIPLOE_HU - _TABLE_HU) * marrow)
    return hu


def lay(hu: Field, share: Field, value: Field | float) -> None:
    """Put a tissue over what is there, in place, in each voxel by the share that it fills."""
    hu += share * (np.asarray(value, dtype=np.float32) - hu)


def paint_base(hu: Field, base: Base, *, cavity: Field, texture: Field) -> None:
    """Paint face and skull base, in place, over the low slices that they reach; all of shape (s, R, C)."""
    lay(hu, ramp(base.bone, 1.5), _BASE_HU + 220 * texture)
    outside = 1 - ramp(cavity, 1.5)
    lens = np.minimum(base.globe, np.float32(1.5) - base.globe)
    for inside, value in (
        (base.fat, _FAT_HU),
        (base.soft, _ORBIT_MUSCLE_HU),
        (base.globe, _GLOBE_HU),
        (lens, _SCLERA_HU),
        (base.air, AIR_HU),
    ):
        lay(hu, ramp(inside, 1.3) * outside, value)


def beam_hardening(rng: np.random.Generator, points: Points, cavity: Field) -> Field:
    """What hard radiation adds to the brain in HU: bright below the skull, dark between the petrous bones."""
    x, y, z = points
    cup = rng.uniform(1, 6) * np.exp(-np.maximum(cavity, 0) / 7)
    between = np.exp(-((x / 26) ** 2 + ((y - 6) / 8) ** 2 + ((z + 36) / 10) ** 2))
    stripes = np.cos((y + rng.uniform(-0.15, 0.15) * x) * rng.uniform(0.5, 0.9))
    return np.asarray(cup - between * (rng.uniform(4, 12) + rng.uniform(1, 5) * stripes), dtype=np.float32)


def degrade(rng: np.random.Generator, hu: Field, scanner: Scanner) -> NDArray[np.int16]:
    """Add headrest, noise and padding to (S, R, C) Hounsfield units."""
    rows, columns = (np.arange(count) - (count - 1) / 2 for count in hu.shape[1:])
    radius = np.hypot(rows[:, None], columns) * scanner.pixel_mm
    if scanner.headrest:
        down = rows[:, None] * scanner.pixel_mm
        rest = 2 - np.abs(np.hypot(columns * scanner.pixel_mm * 0.95, down - 2) - 111) - np.maximum(30 - down, 0)
        lay(hu, ramp(rest.astype(np.float32), scanner.pixel_mm) * (hu < -700), 60.0)
    noisy = hu + _noise(rng, hu, scanner)
    stored: NDArray[np.int16] = np.clip(np.rint(noisy), *_HU_RANGE).astype(np.int16)
    if scanner.padding is not None:
        stored[:, radius > hu.shape[1] / 2 * scanner.pixel_mm] = scanner.padding + scanner.intercept
    return stored


def _noise(rng: np.random.Generator, hu: Field, scanner: Scanner) -> Field:
    """Quantum noise after filtered back-projection: rises with frequency, cut off by the kernel; more where bone is.

    Reference: Riederer, Pelc and Chesler, Phys. Med. Biol. 23 (1978) 446: noise power of CT rises with frequency.
    """
    count = hu.shape[1]
    spectrum = rng.standard_normal((hu.shape[0], count, count // 2 + 1, 2), dtype=np.float32).view(np.complex64)[..., 0]
    along, across = np.fft.fftfreq(count, scanner.pixel_mm), np.fft.rfftfreq(count, scanner.pixel_mm)
    frequency = np.hypot(along[:, None], across)
    cut = 0.75 if scanner.sharp else 0.42  # per mm
    weight = (np.sqrt(frequency + 0.01) * np.exp(-((frequency / cut) ** 2))).astype(np.float32)
    noise = np.fft.irfft2(spectrum * weight, s=(count, count)).astype(np.float32)
    path = np.mean(np.clip(hu / 1000 + 1, 0, 2), axis=(1, 2), keepdims=True)
    return np.asarray(noise * (scanner.noise_hu / noise.std()) * np.sqrt(path / path.max()), dtype=np.float32)
