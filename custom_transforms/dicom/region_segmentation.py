"""A region map as a DICOM segmentation that lies on the very slices it was found in."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from custom_transforms.refusal import RefusedError

# Type 2 attributes of patient and study, PS3.3 C.7.1.1 and C.7.2.1, which sources may have lost
MAY_BE_EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
                "StudyTime", "ReferringPhysicianName")  # fmt: skip
SAME_PLACE_MM = 0.1


def from_feet_to_head(images: Sequence[Dataset]) -> list[Dataset]:
    """Sort the slices of one axial series by position along their normal."""
    along_row, along_column = np.reshape(np.array(images[0].ImageOrientationPatient, dtype=np.float64), (2, 3))
    normal = np.cross(along_row, along_column)
    upwards = normal if normal[2] >= 0 else -normal
    return sorted(images, key=lambda image: float(upwards @ np.array(image.ImagePositionPatient, dtype=np.float64)))


def region_segmentation(
    region: NDArray[np.uint8], origin_mm: NDArray[np.float64], images: Sequence[Dataset], *, bundle: str, version: str
) -> Dataset:
    """Make a segmentation with one binary segment, whose frames have the positions of the slices they belong to.

    So it is right for a tilted gantry and for slices that are not evenly spaced, which a volume with one affine is not.

    Args:
        region: `(S, R, C)`, 0 or 1, from the feet to the head.
        origin_mm: centre of its first voxel, RAS, `(3,)`.
        images: datasets of the S slices, pixels not needed, in any order.
        bundle: name of the bundle that found it.
        version: of the bundle.

    Returns:
        a dataset to be saved or sent; of an empty region all frames are there, and empty.

    Raises:
        RefusedError: the region does not lie on these slices.

    Reference:
        DICOM PS3.3 A.51 (segmentation), C.8.20.2 (segmentation image module).
    """
    import highdicom as hd  # an extra
    from highdicom.sr.coding import CodedConcept

    sources = from_feet_to_head(images)
    _check_grid(region, origin_mm, sources)
    for source in sources:
        for keyword in MAY_BE_EMPTY:
            setattr(source, keyword, source.get(keyword))
    algorithm = hd.AlgorithmIdentificationSequence(
        name=bundle, version=version, family=CodedConcept("123110", "DCM", "Artificial Intelligence")
    )
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="suspicious region",
        segmented_property_category=CodedConcept("49755003", "SCT", "Morphologically abnormal structure"),
        segmented_property_type=CodedConcept("52988006", "SCT", "Lesion"),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they show the patient's name
        return hd.seg.Segmentation(
            source_images=sources,
            pixel_array=region.astype(np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[segment],
            series_instance_uid=generate_uid(),
            series_number=900,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="neuro-oncology bundles",
            manufacturer_model_name=bundle,
            software_versions=version,
            device_serial_number="none",
            series_description="Research only: suspicious region",
            omit_empty_frames=bool(region.any()),
        )


def _check_grid(region: NDArray[np.uint8], origin_mm: NDArray[np.float64], sources: Sequence[Dataset]) -> None:
    shape = (len(sources), int(sources[0].Rows), int(sources[0].Columns))
    if region.shape != shape:
        raise RefusedError.of("grid_mismatch", "region", expected=f"{shape}, as the series", got=f"{region.shape}")
    first_mm = np.array(sources[0].ImagePositionPatient, dtype=np.float64) * (-1, -1, 1)  # LPS to RAS
    off_mm = float(np.linalg.norm(first_mm - origin_mm))
    if off_mm > SAME_PLACE_MM:
        got = f"one {off_mm:.1f} mm from it"
        raise RefusedError.of("grid_mismatch", "region", expected="the series' first voxel", got=got)
