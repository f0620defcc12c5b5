"""One CT phantom head, put together: skull, face, brain, harmless findings and metastases, without noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_lists.phantom_ct_scanner import Scanner
from data_lists.phantom_head_brain import build_brain
from data_lists.phantom_head_frame import Field, Frame, Points, ramp, refine
from data_lists.phantom_head_metastases import draw_metastases, paint_metastasis, press
from data_lists.phantom_head_noise import HeadNoise
from data_lists.phantom_head_outline import Folds, draw_traits
from data_lists.phantom_head_paint import Layers, beam_hardening, lay, paint_base, paint_outside
from data_lists.phantom_head_skull import BASE_TOP_MM, Base, Shell, build_base, build_shell
from data_lists.phantom_head_variants import Canvas, paint_variants

_SULCUS_SPACING_MM = 11.0
_WIDEST_EDGE_MM = 9.0
_SOFT_SHARE = 0.45  # of an edge: further in, a voxel holds less than 5 % bone, so it is no brighter than blood

Mask = NDArray[np.bool_]


class Streams(NamedTuple):
    """Random numbers of one head, apart for each part, so that a head with metastases is else the one without."""

    scanner: np.random.Generator
    anatomy: np.random.Generator
    lesions: np.random.Generator
    variants: np.random.Generator
    noise: np.random.Generator


class _Scene(NamedTuple):
    """A scan to be filled: shapes are computed on the coarse grid; edges and small things are drawn on the fine one."""

    streams: Streams
    scanner: Scanner
    fine: Frame
    coarse: Frame
    factor: int
    noise: HeadNoise

    def up(self, field: Field) -> Field:
        """Bring a field from the coarse grid to the fine one."""
        return refine(field, self.fine.size, self.factor)


def draw_head(
    streams: Streams, frame: Frame, scanner: Scanner, *, factor: int, positive: bool
) -> tuple[Field, Mask, Mask]:
    """Draw a head.

    Args:
        streams: random numbers.
        frame: the scan's voxels.
        scanner: its settings.
        factor: how many times wider the pixels are on which shapes are computed.
        positive: whether there are metastases.

    Returns:
        Hounsfield units, brain and metastases, each of shape (S, R, C).
    """
    coarse = frame.coarse(factor)
    scene = _Scene(streams, scanner, frame, coarse, factor, HeadNoise(streams.anatomy, coarse))
    points = scene.noise.bend(coarse.points())
    shell, skull = _draw_shell(scene, points)
    low = coarse.count_below(BASE_TOP_MM)
    texture = scene.noise.bumps(7.0)
    base = build_base((points[0][:low], points[1][:low], points[2][:low]), texture=texture[:low])
    skull[:low] = np.minimum(skull[:low], -base.hole)
    layers = _enclose(scene, shell, skull=skull, texture=texture)
    brain_hu, lesion = _draw_brain(scene, points, shell.cavity, depth=layers.cavity, positive=positive)
    hu = paint_outside(layers)
    lay(hu, ramp(layers.cavity, layers.edge_mm), brain_hu)
    fine_base = Base(*(scene.up(part) for part in (base.bone, base.air, base.fat, base.globe, base.soft, base.hole)))
    paint_base(hu[:low], fine_base, cavity=layers.cavity[:low], texture=layers.texture[:low])
    brain = (layers.cavity > _SOFT_SHARE * layers.edge_mm) & (scene.up(shell.canal) < 0)
    brain[:low] &= fine_base.bone < 0
    return hu, brain, lesion & brain


def _draw_shell(scene: _Scene, points: Points) -> tuple[Shell, Field]:
    """Cavity and skin, and the distance inside the outer table of the skull, on the coarse grid."""
    rng = scene.streams.anatomy
    skull_mm = np.float32(rng.uniform(5.0, 7.5)) + np.float32(0.9) * scene.noise.bumps(25.0)
    uneven = rng.uniform(0.5, 2.5)  # the more, the thinner the scalp is in places: its ring opens
    scalp_mm = np.float32(rng.uniform(4.0, 7.0)) + np.float32(uneven) * scene.noise.bumps(25.0)
    skull_mm = np.maximum(skull_mm, np.float32(3.5))
    shell = build_shell(points, thickness_mm=skull_mm, scalp_mm=np.maximum(scalp_mm, np.float32(0.8)))
    return shell, shell.cavity + skull_mm


def _enclose(scene: _Scene, shell: Shell, *, skull: Field, texture: Field) -> Layers:
    """What encloses the brain, on the fine grid."""
    slope = np.gradient(shell.cavity, axis=0)  # mm from slice to slice: how obliquely the slice cuts the skull
    slope = scene.up(np.minimum(np.abs(slope, out=slope) * np.float32(0.7), np.float32(_WIDEST_EDGE_MM)))
    edge_mm = np.hypot(slope, np.float32(scene.fine.pixel_mm), out=slope)
    return Layers(scene.up(shell.cavity), scene.up(skull), scene.up(shell.skin), edge_mm, scene.up(texture))


def _draw_brain(scene: _Scene, points: Points, cavity: Field, *, depth: Field, positive: bool) -> tuple[Field, Mask]:
    """Hounsfield units of what lies in the skull, and the metastases, on the fine grid."""
    streams, noise = scene.streams, scene.noise
    lesions = draw_metastases(streams.lesions, scene.coarse, cavity) if positive else []
    traits = draw_traits(streams.anatomy, contrast=scene.scanner.contrast)
    folds = Folds(noise.folds(_SULCUS_SPACING_MM), noise.bumps(20.0), noise.bumps(6.0))
    bent, pressure = press(points, lesions)
    brain = build_brain(bent, cavity, traits=traits, folds=folds, pressure=pressure)
    hu = scene.up(brain.hu + beam_hardening(streams.anatomy, points, cavity))
    paint_variants(streams.variants, Canvas(scene.fine, hu, depth, scene.coarse, cavity))
    white = scene.up(brain.white)
    lesion = np.zeros(hu.shape, dtype=bool)
    for metastasis in lesions:
        lesion |= paint_metastasis(streams.lesions, metastasis, scene.fine, hu=hu, white=white, depth=depth)
    return hu, lesion
