"""One image plane of a CT file: of a classic image, or of a frame of an enhanced one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from custom_transforms.dicom.tags import Converted, Tags
from custom_transforms.refusal import RefusedError

UNIT_TOLERANCE = 1e-3  # of direction cosines, which are stored with 6 digits or more
LARGEST_SIDE = 4096  # pixels; CT has 512, at most 2048
LARGEST_SPACING_MM = 20.0  # of pixels; CT has 0.2 to 2
FARTHEST_MM = 1e5  # from the origin of the frame of reference, which lies in or near the scanner
# Functional groups that say something of geometry, values or kind (PS3.3 A.38.1.4, CT)
GROUPS = [
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "CTImageFrameTypeSequence",
    "CTReconstructionSequence",
    "FrameContentSequence",
]


@dataclass(frozen=True, eq=False)
class CtSlice:
    """An image plane and where it lies.

    Args:
        source: the dataset with the pixels.
        frame: which frame of it, from 0.
        tags: what is said of this plane.
        position_mm: centre of the first pixel, LPS, `(3,)`.
        directions: unit vectors along a row (growing column) and along a column (growing row), LPS, `(2, 3)`.
        spacing_mm: distance between rows and between columns, `(2,)`.
        shape: rows and columns.
        thickness_mm: nominal thickness; NaN where not said.
    """

    source: FileDataset
    frame: int
    tags: Tags
    position_mm: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    shape: tuple[int, int]
    thickness_mm: float

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the plane that points to the head rather than to the feet, LPS, `(3,)`."""
        across = np.cross(self.directions[0], self.directions[1])
        return np.asarray(across if across[2] >= 0 else -across, dtype=np.float64)


def file_name(source: Dataset) -> str:
    """Name of the file that a dataset was read from, as messages show it: relative to the study's folder."""
    return str(getattr(source, "name_in_study", ""))


def frame_tags(source: FileDataset, converted: Converted) -> list[Tags]:
    """Collect what is said of each image plane of a file, one entry a frame.

    Args:
        source: the file.
        converted: see `Tags`.

    Raises:
        RefusedError: the functional groups are damaged or not one for each frame.
    """
    root = Tags(file_name(source), (source,), converted)
    try:
        shared = [part for item in source.get("SharedFunctionalGroupsSequence") or [] for part in _parts(item)]
        own = [list(_parts(item)) for item in source.get("PerFrameFunctionalGroupsSequence") or []]
    except Exception:  # sequences are parsed when asked for; see headers.read_header
        expected = "readable functional groups"
        raise RefusedError.of("bad_tag", root.file, expected=expected, got="damaged ones") from None
    count = root.whole("NumberOfFrames", default=1)
    if not own and not shared and count == 1:
        return [root]
    if len(own) != count:
        raise RefusedError.of("bad_tag", root.file, expected=f"functional groups of {count} frames", got=f"{len(own)}")
    return [Tags(root.file, (*parts, *shared, source), converted) for parts in own]


def _parts(item: Dataset) -> Iterator[Dataset]:
    return (sequence[0] for keyword in GROUPS if (sequence := item.get(keyword)))


def parse_slice(source: FileDataset, tags: Tags, frame: int) -> CtSlice:
    """Take geometry out of the tags.

    Raises:
        RefusedError: a tag of the geometry is missing, not a finite number, or impossible.
    """
    shape = (tags.whole("Rows"), tags.whole("Columns"))
    if not all(2 <= side <= LARGEST_SIDE for side in shape):
        raise RefusedError.of("bad_tag", tags.file, expected=f"2 to {LARGEST_SIDE} rows and columns", got=f"{shape}")
    spacing = tags.required("PixelSpacing", 2)
    if not all(0 < step <= LARGEST_SPACING_MM for step in spacing):
        expected = f"PixelSpacing above 0 and up to {LARGEST_SPACING_MM:g} mm"
        raise RefusedError.of("bad_tag", tags.file, expected=expected, got="another")
    directions = np.array(tags.required("ImageOrientationPatient", 6)).reshape(2, 3)
    if np.abs(directions @ directions.T - np.eye(2)).max() > UNIT_TOLERANCE:
        expected = "two unit vectors at a right angle in ImageOrientationPatient"
        raise RefusedError.of("bad_tag", tags.file, expected=expected, got="others")
    position = tags.required("ImagePositionPatient", 3)
    if max(map(abs, position)) > FARTHEST_MM:
        expected = f"ImagePositionPatient within {FARTHEST_MM:g} mm"
        raise RefusedError.of("bad_tag", tags.file, expected=expected, got="farther")
    (thickness,) = tags.numbers("SliceThickness") or (np.nan,)
    thickness = thickness if thickness > 0 else np.nan
    return CtSlice(source, frame, tags, np.array(position), directions, np.array(spacing), shape, thickness)
