"""A label map as a DICOM segmentation that lies on the very slices it was found in."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from custom_transforms.dicom.coded_terms import (
    ABNORMAL,
    ARTIFICIAL_INTELLIGENCE,
    BRAIN,
    LESION,
)
from custom_transforms.dicom.result_instance import (
    RESEARCH_ONLY,
    UTF_8,
    Algorithm,
    highdicom,
    new_instance,
    silent_highdicom,
)
from custom_transforms.dicom.source_slices import LOSSY, SourceSlices, decimals
from custom_transforms.refusal import RefusedError

SERIES_NUMBER = 900


@dataclass(frozen=True)
class Segment:
    """What one label means.

    Args:
        label: shown to people.
        kind: coded type of what is marked; its category is always "morphologically abnormal structure".
    """

    label: str
    kind: Code


SUSPICIOUS_REGION = Segment("suspicious region", LESION)


def make_segmentation(
    labels: NDArray[np.uint8], slices: SourceSlices, segments: Sequence[Segment], *, algorithm: Algorithm
) -> Dataset:
    """Make a segmentation with one binary segment a label, and in each segment one frame a slice, empty or not.

    The frames have the positions and thickness of the slices they belong to. So it is right in any orientation, for a
    tilted gantry and for slices that are not evenly spaced, which a volume with one affine is not.

    Args:
        labels: `(S, R, C)`; 0, or the number of a segment, from 1.
        slices: the S slices, in the same order.
        segments: what 1, 2 and so on stand for.
        algorithm: what found it.

    Returns:
        a dataset to be saved or sent. UIDs are drawn at random. Each segment has a tracking UID.

    Raises:
        RefusedError: `grid_mismatch`, another shape than that of the slices; `missing_extra`, without highdicom.

    Reference:
        DICOM PS3.3 A.51 (segmentation), C.8.20.2 (segmentation image module), C.7.6.16.2.1 (pixel measures).
    """
    hd = highdicom()
    shape = (len(slices.uids), *slices.shape)
    if labels.shape != shape:
        raise RefusedError.of("grid_mismatch", "mask", expected=f"{shape}, as the series", got=f"{labels.shape}")
    with silent_highdicom():
        made: Dataset = hd.seg.Segmentation(
            source_images=slices.datasets(),
            pixel_array=labels,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_description(hd, *one, algorithm) for one in enumerate(segments, start=1)],
            **new_instance(algorithm, SERIES_NUMBER),
            content_description=RESEARCH_ONLY,
            series_description=f"Research only: {', '.join(segment.label for segment in segments)}"[:64],
            omit_empty_frames=False,
        )
        _finish_frames(made, slices)
        made.SpecificCharacterSet = UTF_8
    return made


def _description(hd: Any, number: int, segment: Segment, algorithm: Algorithm) -> Dataset:
    identified = hd.AlgorithmIdentificationSequence(
        name=algorithm.name, version=algorithm.version, family=ARTIFICIAL_INTELLIGENCE
    )
    made: Dataset = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.label,
        segmented_property_category=ABNORMAL,
        segmented_property_type=segment.kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=identified,
        tracking_uid=generate_uid(),
        tracking_id=segment.label,
        anatomic_regions=[BRAIN],
    )
    return made


def _finish_frames(made: Dataset, slices: SourceSlices) -> None:
    """Say what highdicom cannot know: how the source lost detail, frames within its object, thickness by frame.

    A volume may hold some frames of an object only; and highdicom takes the thickness of the first slice for all.
    """
    about = Dataset.from_json(slices.about)
    made.update({about[keyword].tag: about[keyword] for keyword in LOSSY if keyword in about})
    is_even = np.ptp(slices.thickness_mm) == 0
    numbers = {uid: number for number, uid in enumerate(slices.uids)}
    for groups in made.PerFrameFunctionalGroupsSequence:
        if slices.frames:  # else the frames of several segments share what is changed here
            groups.DerivationImageSequence = deepcopy(groups.DerivationImageSequence)
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        number = numbers[source.ReferencedSOPInstanceUID]
        if slices.frames:
            number = int(source.ReferencedFrameNumber) - 1
            source.ReferencedFrameNumber = slices.frames[number]
        if not is_even:
            measures = Dataset()
            measures.PixelSpacing = decimals(slices.spacing_mm)
            measures.SliceThickness = decimals(slices.thickness_mm[number : number + 1])[0]
            groups.PixelMeasuresSequence = [measures]
    if not is_even:
        del made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
