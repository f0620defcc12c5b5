"""Skull, face and neck of a CT phantom head, as distances in mm in the standard head.

The sizes are those of an adult, rounded. The ring of bone is closed above the orbits and open where optic canal,
orbital fissure and foramen magnum are, as it is in patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_lists.phantom_head_frame import Field, Points, blend, ellipsoid

BASE_TOP_MM = 14.0  # no bone of face or skull base reaches higher
_FORAMEN_Z_MM = np.float32(-60.0)  # height of the foramen magnum
_VAULT_CENTRE_MM = (0.0, 0.0, 8.0)
_VAULT_RADII_MM = (68.0, 85.0, 66.0)


@dataclass(frozen=True)
class Shell:
    """Distances in mm, positive inside, shape (S, R, C).

    Attributes:
        cavity: inside the inner table, as far down as the spinal canal.
        canal: the spinal canal below the foramen magnum, part of the cavity.
        skin: inside the outer surface of the head.
    """

    cavity: Field
    canal: Field
    skin: Field


@dataclass(frozen=True)
class Base:
    """Distances in mm, positive inside, shape (s, R, C), in the slices of face and skull base only.

    Attributes:
        bone: face, skull base, petrous bones and vertebrae.
        air: sinuses, mastoid cells, nose and throat.
        fat: in the orbits.
        globe: the eyes.
        soft: muscle and nerve in the orbits.
        hole: where the shell of the skull has an opening.
    """

    bone: Field
    air: Field
    fat: Field
    globe: Field
    soft: Field
    hole: Field


def build_shell(points: Points, *, thickness_mm: Field, scalp_mm: Field) -> Shell:
    """Draw the cavity of the skull and the skin, from the thickness of the skull and of the scalp."""
    x, y, z = points
    vault = _vault(points)
    side = np.abs(x), y, z
    canal = np.minimum(np.float32(12.0) - np.hypot(x, y - 24), np.float32(-42.0) - z)
    cavity = blend(vault, ellipsoid(side, (38.0, -13.0, -23.0), (26.0, 38.0, 21.0)), 8.0)
    cavity = blend(cavity, ellipsoid(points, (0.0, 36.0, -28.0), (56.0, 42.0, 35.0)), 8.0)
    orbit = ellipsoid(side, (30.0, -57.0, -27.0), (19.0, 32.0, 17.0))
    cavity = blend(np.minimum(cavity, -orbit - np.float32(2.0)), canal, 6.0)
    face = ellipsoid(points, (0.0, -38.0, -54.0), (66.0, 56.0, 66.0))
    face = blend(face, ellipsoid(points, (0.0, -64.0, -12.0), (48.0, 31.0, 24.0)), 10.0)
    nose = ellipsoid(points, (0.0, -94.0, -52.0), (12.0, 20.0, 18.0))
    neck = np.minimum(np.float32(56.0) - np.hypot(x * np.float32(0.95), y - 22), np.float32(-20.0) - z)
    head = blend(vault + thickness_mm, ellipsoid(points, (0.0, 30.0, -26.0), (66.0, 60.0, 48.0)), 15.0)
    skin = blend(blend(head + scalp_mm, face, 20.0), blend(neck, nose, 4.0), 15.0)
    return Shell(cavity, np.minimum(canal, _FORAMEN_Z_MM - z), skin)


def _vault(points: Points) -> Field:
    """Distance inside the brain case above the skull base: an egg, wider behind, with a flattened floor."""
    x, y, z = points
    taper = x * (np.float32(1.0) - np.float32(0.0010) * y)
    floor = np.where(z < 8, 8 + (z - 8) * np.float32(1.9), z)
    return ellipsoid((taper, y, floor), _VAULT_CENTRE_MM, _VAULT_RADII_MM)


def build_base(points: Points, *, texture: Field) -> Base:
    """Draw face, skull base and neck.

    Args:
        points: x, y, z of the low slices, each of shape (s, R, C).
        texture: noise of mean 0 and standard deviation 1, some mm wide, same shape: the walls of air cells.
    """
    side = np.abs(points[0]), points[1], points[2]
    orbit = ellipsoid(side, (30.0, -58.0, -27.0), (18.0, 32.0, 16.0))
    air = _air(side, texture)
    sockets = np.minimum(np.minimum(orbit + 2, -orbit), points[1] + 74)  # open in front
    bone = np.maximum(_bone(side), np.maximum(sockets, np.minimum(air + np.float32(1.2), -air)))
    fissure = np.minimum(
        np.float32(6.0) - np.hypot(side[0] - 13, side[2] + 25), np.float32(13.0) - np.abs(points[1] + 35)
    )
    bone = np.minimum(bone, -fissure)
    globe = ellipsoid(side, (31.0, -72.0, -28.0), (12.0, 12.0, 12.0))
    nerve = np.float32(2.0) - np.hypot(side[0] - (31 + 0.45 * (points[1] + 60)), side[2] + 27)
    muscle = np.float32(1.8) - np.abs(orbit - 5) - np.maximum(-60 - points[1], 0)
    soft = np.minimum(np.maximum(nerve, np.minimum(muscle, texture + 0.3)), orbit)
    return Base(bone, air, np.maximum(orbit, np.minimum(fissure, 5)), globe, soft, fissure)


def _air(side: Points, texture: Field) -> Field:
    """Distance inside nose, sinuses, mastoid cells and throat; the smaller cells are cut by walls."""
    x, y, z = side
    maxillary = ellipsoid(side, (29.0, -62.0, -60.0), (14.0, 18.0, 15.0))
    sphenoid = np.minimum(ellipsoid(side, (7.0, -22.0, -37.0), (10.0, 15.0, 9.0)), x - np.float32(0.7))
    frontal = np.minimum(ellipsoid(side, (13.0, -81.0, -4.0), (13.0, 4.0, 10.0)), x - np.float32(0.8))
    ethmoid = np.minimum(ellipsoid(side, (5.0, -58.0, -30.0), (7.0, 26.0, 14.0)), texture + np.float32(0.6))
    mastoid = np.minimum(ellipsoid(side, (54.0, 25.0, -40.0), (10.0, 12.0, 17.0)), 2 * texture - np.float32(0.4))
    nasal = np.minimum(ellipsoid(side, (5.0, -66.0, -60.0), (6.0, 32.0, 16.0)), texture + np.float32(0.8))
    throat = ellipsoid(side, (0.0, -20.0, -82.0), (11.0, 8.0, 28.0))
    ear = np.minimum(np.float32(3.0) - np.hypot(y - 4, z + 38), np.minimum(x - 46, 68 - x))
    cells = np.maximum(np.maximum(maxillary, sphenoid), np.maximum(frontal, ethmoid))
    airway = np.maximum(np.minimum(nasal, x - 1), throat)
    inside: Field = np.maximum.reduce([cells, mastoid, ear, airway])
    return inside


def _bone(side: Points) -> Field:
    """Distance inside the thick bones of skull base and face, and inside the upper vertebrae."""
    x, y, z = side
    along, across = 0.88 * x + 0.47 * y, -0.47 * x + 0.88 * y
    petrous = ellipsoid((along, across, z), (42.0, -9.0, -35.0), (31.0, 8.0, 10.0))
    mastoid = ellipsoid(side, (53.0, 25.0, -41.0), (13.0, 16.0, 22.0))
    sphenoid = ellipsoid(side, (0.0, -20.0, -38.0), (22.0, 22.0, 13.0))
    wing = ellipsoid((x, y + 0.35 * x, z), (34.0, -22.0, -17.0), (27.0, 4.5, 7.0))
    clivus = ellipsoid((x, y, z + 1.2 * (y - 4)), (0.0, 2.0, -44.0), (13.0, 9.0, 14.0))
    brow = ellipsoid(side, (14.0, -77.0, -7.0), (26.0, 9.0, 9.0))
    cheek = ellipsoid(side, (50.0, -62.0, -48.0), (9.0, 14.0, 11.0))
    arch = np.minimum(
        2.5 - np.abs(np.hypot(x, 1.2 * (y + 34)) - 65),
        np.minimum(4 - np.abs(z + 47), 35 - np.abs(y + 35)),
    )
    jaw = ellipsoid((x, y + 0.3 * (z + 60), z), (49.0, -14.0, -76.0), (4.0, 16.0, 34.0))
    palate = ellipsoid(side, (12.0, -66.0, -78.0), (18.0, 28.0, 4.0))
    condyle = ellipsoid(side, (20.0, 14.0, -66.0), (8.0, 12.0, 6.0))
    ring = np.minimum(5.0 - np.abs(np.hypot(x, y - 23) - 18), 7 - np.abs(z + 80))
    mass = ellipsoid(side, (24.0, 18.0, -80.0), (12.0, 10.0, 8.0))
    dens = ellipsoid(side, (0.0, 7.0, -86.0), (6.0, 6.0, 17.0))
    thick = (petrous, mastoid, sphenoid, wing, clivus, brow, cheek, arch, jaw, palate, condyle, ring, mass, dens)
    inside: Field = np.maximum.reduce(thick)
    return inside
