"""Find the brain on a head CT: soft tissue that bone encloses, carried on from slice to slice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from custom_transforms.brain_shapes import Spacing, box_around, closed_and_filled, disk, grown, opened
from custom_transforms.planes import planes
from custom_transforms.spread import Mask, dilate, erode

GAP_MM = 5.0  # a gap in the ring of bone up to twice this wide is bridged: foramina, sutures, thin bone
BRIDGE_MM = 3.0  # where a disk of this radius does not fit is cut: optic nerve (4 mm wide), vessels, muscle slips
RESTORED_MM = 1.0  # corners that the cut rounded come back this far
GROWTH = 1.0  # mm a mm: how fast the brain may widen from slice to slice; limits a leak where bone is open
SLACK_MM = 2.0  # more of that, for the shift between the slices of a tilted gantry
SHARED = 0.5  # part of a piece that must lie on the brain of the slice before
NEAR_BONE_MM = 4.0  # CSF and dura between brain and skull
BONY_RIM = 0.5  # part of a piece's rim that must lie near bone: a globe lies in fat, muscle beside bone
SMALLEST_CM2 = 1.5  # smaller pieces are partial volume of bone, sinuses and orbits
FORAMEN_CM2 = 10.0  # the foramen magnum measures about 8 cm2: where less than this is left, the brain has ended
TRUSTED = 0.5  # of the brain before; a slice that holds less, being spoilt by metal or the last, leads no further one
REACH_MM = 20.0  # how far from the last slice that leads the brain is looked for


@dataclass(frozen=True)
class SliceMasks:
    """Masks `(R, C)` of one slice: soft tissue, bone, and soft tissue that bone encloses."""

    soft: Mask
    bone: Mask
    enclosed: Mask


def extract_brain(
    hu: NDArray[np.float32],
    *,
    spacing_mm: Spacing,
    slice_positions_mm: Sequence[float] | NDArray[np.float64],
    low_hu: float = -50,
    high_hu: float = 100,
    bone_hu: float = 150,
) -> NDArray[np.bool_]:
    """Mark the brain with its ventricles, the CSF inside the skull, and what these enclose, such as calcification.

    The slice in which bone encloses most soft tissue starts. From there to the feet and to the head, the brain of a
    slice is soft tissue near the brain of the slice before; thin bridges are cut, and a piece stays if it lies on
    the brain of the slice before and has bone along its rim. So a closed ring of scalp is nowhere taken for the
    skull, and orbits and foramina, which open the ring of bone, lose no slice. The brain ends at the foramen magnum.

    Args:
        hu: volume `(S, R, C)` in HU, slices from feet to head.
        spacing_mm: between rows and between columns.
        slice_positions_mm: `(S,)`, ascending, along the slices' normal; uneven where the scan is.
        low_hu: least value of brain and CSF with their noise; fat lies below.
        high_hu: greatest value of brain and fresh blood with their noise.
        bone_hu: bone lies above.

    Returns:
        mask `(S, R, C)`, empty in slices without brain, and throughout where no slice has bone around soft tissue.

    Reference:
        The range of HU: Muschelli et al., "Validated automatic brain extraction of head CT images", NeuroImage 114,
        2015, who take 0 to 100 HU after smoothing; -50 leaves room for noise where nothing is smoothed.
    """
    gap = disk(GAP_MM, spacing_mm)
    slices = slice_masks(hu, (low_hu, high_hu, bone_hu), gap)
    follower = _Follower(spacing_mm, slice_positions_mm, slices)
    return follower.follow().view(bool)


def slice_masks(hu: NDArray[np.float32], limits_hu: tuple[float, float, float], gap: Mask) -> list[SliceMasks]:
    """Tell soft tissue, bone, and what bone encloses on each slice, without its neighbours.

    Args:
        hu: volume `(S, R, C)`.
        limits_hu: least and greatest value of soft tissue, and the value above which bone lies.
        gap: footprint; gaps in the ring of bone narrower than this are bridged.
    """
    low_hu, high_hu, bone_hu = limits_hu
    soft, bone = np.empty(hu.shape, np.uint8), np.empty(hu.shape, np.uint8)
    for number, plane in enumerate(hu):
        in_range = ((plane >= low_hu) & (plane <= high_hu)).view(np.uint8)
        soft[number] = planes.majority(in_range)  # without it a pixel of noise cuts like bone
        np.greater(plane, bone_hu, out=bone[number].view(bool))
    enclosed = closed_and_filled(bone, gap)
    for inside, tissue, hard in zip(enclosed, soft, bone, strict=True):
        inside &= tissue & (1 - hard)
    return [SliceMasks(*masks) for masks in zip(soft, bone, enclosed, strict=True)]


class _Follower:
    """Carries the brain on from the slice in which bone encloses most soft tissue."""

    def __init__(
        self, spacing_mm: Spacing, slice_positions_mm: Sequence[float] | NDArray[np.float64], slices: list[SliceMasks]
    ) -> None:
        self.spacing_mm = spacing_mm
        self.positions_mm = slice_positions_mm
        self.slices = slices
        self.pixel_cm2 = spacing_mm[0] * spacing_mm[1] / 100
        self.bridge, self.restored, self.near_bone = (
            disk(radius_mm, spacing_mm) for radius_mm in (BRIDGE_MM, RESTORED_MM, NEAR_BONE_MM)
        )

    def follow(self) -> Mask:
        """Return the brain of every slice, `(S, R, C)`."""
        brain = np.zeros((len(self.slices), *self.slices[0].soft.shape), dtype=np.uint8)
        areas = [np.count_nonzero(part.enclosed) for part in self.slices]
        start = int(np.argmax(areas))
        if areas[start] * self.pixel_cm2 >= FORAMEN_CM2:
            enclosed = self.slices[start].enclosed
            brain[start] = self._pieces(self.slices[start], enclosed, before=enclosed)
            self._carry_on(brain, start, range(start - 1, -1, -1), ends_below_cm2=FORAMEN_CM2)
            self._carry_on(brain, start, range(start + 1, len(brain)), ends_below_cm2=0)
        return brain

    def _carry_on(self, brain: Mask, start: int, order: Iterable[int], *, ends_below_cm2: float) -> None:
        """Fill `brain` slice by slice, each from the last one that holds brain."""
        last = start
        for number in order:
            distance_mm = abs(float(self.positions_mm[number]) - float(self.positions_mm[last]))
            if distance_mm > REACH_MM:
                return
            near = grown(brain[last], disk(GROWTH * distance_mm + SLACK_MM, self.spacing_mm))
            found = self._pieces(self.slices[number], near, before=brain[last])
            area, area_before = np.count_nonzero(found), np.count_nonzero(brain[last])
            if 0 < area * self.pixel_cm2 < ends_below_cm2:
                return
            brain[number] = found
            last = number if area >= TRUSTED * area_before else last

    def _pieces(self, part: SliceMasks, zone: Mask, *, before: Mask) -> Mask:
        """Return the pieces of soft tissue in the zone that are brain, with their holes filled, `(R, C)`."""
        found = np.zeros_like(part.soft)
        rows, columns = (size // 2 + 1 for size in self.near_bone.shape)
        box = box_around(part.soft & zone, (rows, columns))
        soft = part.soft[box] & zone[box]
        pieces = self._brain_pieces(opened(soft, self.bridge), part.bone[box], before[box])
        found[box] = planes.fill_holes(dilate(pieces, self.restored) & soft)
        return found

    def _brain_pieces(self, opened_soft: Mask, bone: Mask, before: Mask) -> Mask:
        """Keep the pieces that are brain."""
        labels = planes.label_pieces(opened_soft)  # 0 is the rest of the slice
        counts = np.bincount((2 * labels + before).ravel(), minlength=2 * (int(labels.max(initial=0)) + 1))
        areas, shared = counts.reshape(-1, 2).sum(axis=1), counts[1::2]
        rim = np.flatnonzero(opened_soft - erode(opened_soft, np.ones((3, 3), np.uint8)))
        rim_labels, near_bone = labels.ravel()[rim], dilate(bone, self.near_bone).ravel()[rim]
        rims = np.bincount(rim_labels, minlength=len(areas))
        bony = np.bincount(rim_labels[near_bone > 0], minlength=len(areas))
        kept = (areas * self.pixel_cm2 >= SMALLEST_CM2) & (shared >= SHARED * areas) & (bony >= BONY_RIM * rims)
        kept[0] = False
        return np.asarray(kept[labels], dtype=np.uint8)
