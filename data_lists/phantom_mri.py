"""Phantom patients for the BraTS bundle: four MRI modalities and a tumour label map, drawn from a seed.

They let the whole workflow, training included, run where no patient data may be. Made so that no threshold on one
modality finds any tumour region: harmless bright spots, enhancing vessels and bright fluid look like tumour there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_lists.phantom_anatomy import Anatomy, build_anatomy
from data_lists.phantom_grid import FIELD_OF_VIEW_MM, Field, Grid, smooth_noise
from data_lists.phantom_tumour import Tumours, grow_tumours

BACKGROUND, NECROSIS, OEDEMA, ENHANCING = 0, 1, 2, 3  # codes of PhantomPatient.regions
_SMALLEST_SIDE = 8  # voxels; below, no structure of the brain is left

# Brightness of each tissue in FLAIR, T1, T1ce, T2, relative to the brightest healthy tissue of T1.
_BRIGHTNESS = {
    "white": (0.62, 0.90, 0.92, 0.60),
    "grey": (0.73, 0.63, 0.67, 0.85),
    "fluid": (0.20, 0.26, 0.28, 1.45),
    "falx": (0.50, 0.55, 1.05, 0.70),
    "vessel": (0.45, 0.60, 1.30, 0.60),
    "plexus": (0.80, 0.60, 1.30, 1.15),
    "spots": (1.05, 0.80, 0.83, 0.86),
    "oedema": (1.15, 0.58, 0.62, 1.25),
    "enhancing": (0.95, 0.60, 1.45, 0.95),
    "necrosis": (0.80, 0.40, 0.46, 1.25),
}


@dataclass(frozen=True)
class PhantomPatient:
    """One made-up patient.

    Attributes:
        image: int16 array of shape (4, H, W, S), arbitrary units, in the order of `case_files.MODALITIES`; 0 outside
            the brain and at least 1 inside.
        regions: uint8 array of shape (H, W, S): 0 background, 1 necrotic core, 2 oedema, 3 enhancing tumour.
        affine: (4, 4) voxel indices to RAS millimetres; indices grow to the left, the back and the top, as in BraTS.
    """

    image: NDArray[np.int16]
    regions: NDArray[np.uint8]
    affine: Field


def make_patient(index: int, *, shape: tuple[int, int, int] = (128, 128, 48), seed: int = 88) -> PhantomPatient:
    """Draw patient number `index`; which other patients are drawn makes no difference.

    Args:
        index: number of the patient, at least 0.
        shape: (H, W, S). The field of view is always 240 x 240 x 155 mm, so the shape sets the voxel size.
        seed: number of the patient collection, at least 0.

    Raises:
        ValueError: if a number is negative or a side has fewer than 8 voxels.

    Example:
        >>> make_patient(1, shape=(41, 37, 19)).image.shape
        (4, 41, 37, 19)
    """
    if index < 0 or seed < 0:
        raise ValueError(f"index and seed must be at least 0, got index {index} and seed {seed}")
    if len(shape) != 3 or min(shape) < _SMALLEST_SIDE:
        raise ValueError(f"shape must be three sides of at least {_SMALLEST_SIDE} voxels, got {tuple(shape)}")
    rng = np.random.default_rng([seed, index])
    grid = Grid.of_shape(shape)
    anatomy = build_anatomy(rng, grid)
    tumours = grow_tumours(rng, grid, anatomy)
    image, regions = np.zeros((4, *shape), dtype=np.int16), np.zeros(shape, dtype=np.uint8)
    image[(slice(None), *grid.window)] = _scan(rng, grid, anatomy, tumours)
    regions[grid.window] = _majority_region(grid, tumours)
    return PhantomPatient(image, regions, _affine(shape))


def _affine(shape: tuple[int, int, int]) -> Field:
    """BraTS orientation (LPS): the origin is the right-most, front-most, lowest voxel."""
    first, second, third = (extent / count for extent, count in zip(FIELD_OF_VIEW_MM, shape, strict=True))
    affine = np.diag([-first, -second, third, 1.0])
    affine[1, 3] = (shape[1] - 1) * second
    return affine


def _majority_region(grid: Grid, tumours: Tumours) -> NDArray[np.uint8]:
    """The region that fills most of each voxel, shape (h, w, s)."""
    whole, core = grid.share(tumours.inside_whole), grid.share(tumours.inside_core)
    necrosis = grid.share(tumours.inside_necrosis)
    return np.asarray(np.argmax([1 - whole, necrosis, whole - core, core - necrosis], axis=0), dtype=np.uint8)


def _layers(rng: np.random.Generator, grid: Grid, anatomy: Anatomy, tumours: Tumours) -> list[tuple[str, Field]]:
    """Tissues from the bottom up, each with the share of the voxel, 0 to 1, in which it hides those below it."""
    core, necrosis = grid.share(tumours.inside_core), grid.share(tumours.inside_necrosis)
    healthy = 1 - core
    wetness = np.clip(0.75 + 0.03 * tumours.inside_whole + 0.12 * smooth_noise(rng, grid, 9.0), 0.4, 1.0)
    return [
        ("grey", np.maximum(grid.share(4.2 - anatomy.to_csf), grid.share(anatomy.inside_nuclei))),
        ("spots", _bright_spots(rng, grid, anatomy)),
        ("oedema", grid.share(tumours.inside_whole) * wetness),
        ("fluid", grid.thin_share(np.maximum(anatomy.to_csf, 0), rng.uniform(0.6, 1.4)) * healthy),
        ("fluid", grid.share(anatomy.inside_ventricle)),
        ("plexus", grid.share(anatomy.inside_plexus)),
        ("falx", grid.thin_share(anatomy.to_falx, 0.8) * healthy),
        ("vessel", grid.share(anatomy.inside_vessel) * healthy),
        ("enhancing", core),
        ("necrosis", np.minimum(necrosis, core)),
    ]


def _bright_spots(rng: np.random.Generator, grid: Grid, anatomy: Anatomy) -> Field:
    """Share of harmless white-matter spots and of the caps around the ventricles, bright on FLAIR as oedema is."""
    amount = rng.uniform(2.3, 3.0)
    spots = 4.0 * (smooth_noise(rng, grid, 11.0) - amount)
    reach = rng.uniform(1.0, 5.0) + 2.0 * smooth_noise(rng, grid, 16.0)
    horns = np.clip(np.abs(grid.points()[1]) / 15.0 - 1.0, -1.0, 1.0)  # front and back ends of the ventricles
    caps = anatomy.inside_ventricle + reach * horns
    return grid.share(np.minimum(np.maximum(spots, caps), anatomy.to_csf - 3.0))


def _scan(rng: np.random.Generator, grid: Grid, anatomy: Anatomy, tumours: Tumours) -> NDArray[np.int16]:
    """Paint the tissues and degrade them as a scanner would; int16 of shape (4, h, w, s)."""
    noise_rng = rng.spawn(1)[0]  # its numbers depend on the grid; those of `rng` must not
    layers = _layers(rng, grid, anatomy, tumours)
    texture = 1 + 0.035 * smooth_noise(rng, grid, 6.0) + 0.08 * smooth_noise(rng, grid, 10.0) * layers[-2][1]
    brightness = {name: np.array(row) * rng.normal(1, 0.06, size=4) for name, row in _BRIGHTNESS.items()}
    scanned = []
    for modality in range(4):
        signal = np.full_like(texture, brightness["white"][modality])
        for name, share in layers:
            signal += share * (brightness[name][modality] - signal)
        scanned.append(_degrade(rng, noise_rng, grid, signal=signal * texture))
    in_brain = grid.share(anatomy.inside_brain) > 0.5
    return np.where(in_brain, np.clip(np.rint(scanned), 1, 32767), 0).astype(np.int16)


def _degrade(rng: np.random.Generator, noise_rng: np.random.Generator, grid: Grid, *, signal: Field) -> Field:
    """Add what differs between scanners: contrast, uneven coil sensitivity, noise and an arbitrary unit."""
    contrast = np.maximum(signal, 0.02) ** rng.uniform(0.8, 1.25)
    coil = np.clip(1 + rng.uniform(0.05, 0.2) * smooth_noise(rng, grid, 90.0), 0.5, 1.6)
    noise = rng.uniform(0.02, 0.05)
    real = contrast * coil + noise * noise_rng.standard_normal(signal.shape)
    imaginary = noise * noise_rng.standard_normal(signal.shape)
    unit = 250.0 * 6.0 ** rng.uniform()
    return np.asarray(np.hypot(real, imaginary) * unit, dtype=np.float64)  # a magnitude image has Rician noise
