"""Cerebrospinal fluid of a CT phantom head: over the brain, in sulci, fissures and cisterns, and in the ventricles."""

from __future__ import annotations

import numpy as np

from data_lists.phantom_head_frame import Field, ellipsoid, ramp
from data_lists.phantom_head_outline import Folds, Outline, Traits

_EDGE_MM = 2.4  # a slice is thick: fluid and brain mix at every border
_SULCUS_DEPTH_MM = 15.0


def fluid_share(outline: Outline, *, traits: Traits, folds: Folds) -> Field:
    """Share of fluid in each voxel, 0 to 1, of shape (S, R, C)."""
    narrow = 1 - outline.pressure
    half_mm = np.float32(0.35 + 1.3 * traits.atrophy) * np.clip(1 + np.float32(0.3) * folds.broad, 0.2, 2) * narrow
    share = np.maximum(ramp(half_mm - _clefts(outline, folds), _EDGE_MM), ramp(_cisterns(outline, traits), _EDGE_MM))
    share = np.maximum(share, ramp(-outline.depth, _EDGE_MM))
    share[outline.stem > 0] = 0
    share = np.maximum(share, ramp(_ventricles(outline, traits), _EDGE_MM))
    return np.asarray(share, dtype=np.float32)


def _clefts(outline: Outline, folds: Folds) -> Field:
    """Distance to the middle of the nearest sulcus or fissure, at least -1.2 mm: fissures are wider than sulci."""
    x, y, z = outline.points
    side = np.abs(x) + np.float32(1.5) * folds.broad
    cortical = np.hypot(folds.sulcus, np.maximum(outline.depth - _SULCUS_DEPTH_MM, 0)) + 3 * outline.hind.astype("f4")
    reach = np.where(z > 15, np.float32(32), np.float32(16))
    between = np.hypot(side, np.maximum(outline.depth - reach, 0)) - np.float32(1.2) + 9 * outline.hind.astype("f4")
    rise = np.hypot(z + 9 - np.float32(0.28) * (y + 10), np.maximum(37 - side, 0))
    lateral = np.minimum(rise + np.maximum(np.abs(y - 2) - 26, 0), outline.insula) - np.float32(0.9)
    middle = np.minimum(np.minimum(cortical, between), lateral)
    return np.asarray(middle, dtype=np.float32)


def _cisterns(outline: Outline, traits: Traits) -> Field:
    """Distance inside the cisterns at the base: above the sella, around the stem, behind the midbrain, and below."""
    x, y, z = outline.points
    above = ellipsoid(outline.points, (0.0, -9.0, -19.0), (13.0, 10.0, 8.0))
    behind = ellipsoid(outline.points, (0.0, 28.0, -6.0), (13.0, 4.0, 7.0))
    wide = np.float32(3.5 + 2 * traits.atrophy)
    moat = np.minimum(np.minimum(-outline.stem, outline.stem + wide), np.maximum(8 - y, 12 - np.abs(x)))
    around = np.where(z < -50, 19 - np.hypot(x, y - 22), np.where(z < -8, moat, np.float32(-9)))
    return np.maximum(np.maximum(above, behind), around) - 2 * outline.pressure


def _ventricles(outline: Outline, traits: Traits) -> Field:
    """Distance inside the ventricles."""
    x, y, z = outline.points
    wide = 0.55 + 0.95 * traits.atrophy
    width = np.where(x > 0, np.float32(1 + traits.asymmetry), np.float32(1 - traits.asymmetry))
    side = np.abs(x)
    bend = y * y
    sideways = np.asarray((side - 2) / width - bend * np.float32(0.0065), dtype=np.float32)
    upright = np.asarray(z + bend * np.float32(0.004), dtype=np.float32)
    widened = np.asarray(side / width, dtype=np.float32)
    lateral = ellipsoid((sideways, y, upright), (1.0 + 4.0 * wide, 0.0, 17.0), (5.0 * wide, 37.0, 8.0 * wide))
    trigone = ellipsoid((widened, y, z), (24.0, 37.0, 5.0), (6.0 * wide, 15.0, 9.0 * wide))
    temporal = ellipsoid((side, y, z), (31.0, 4.0, -17.0), (2.5 * wide, 14.0, 2.5 * wide))
    third = ellipsoid((x, y, z), (0.0, 6.0, -1.0), (2.2 * wide, 13.0, 9.0))
    fourth = ellipsoid((x, y, z), (0.0, 31.0, -33.0), (7.0, 4.5, 9.0))
    inside: Field = np.maximum.reduce([lateral, trigone, temporal, third, fourth])
    return inside - 5 * outline.pressure
