"""Leave out what is no original axial CT image: other objects, localizers, derived and captured images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydicom.dataset import FileDataset

from custom_transforms.dicom.frames import CtSlice, frame_tags, parse_slice
from custom_transforms.dicom.tags import Converted, Tags
from custom_transforms.refusal import RefusedError

# CT Image, Enhanced CT Image, Legacy Converted Enhanced CT Image (PS3.4 B.5)
CT_CLASSES = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory, a DICOMDIR under any name (PS3.3 F.2)
# JPEG of 8 and 12 bits and JPEG-LS near-lossless: the syntaxes that always lose (PS3.5 A.4)
LOSSY_SYNTAXES = {f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 53, 55, 81)}
LOCALIZER = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
# Words of Image Type that say "computed from other images" whatever value 1 says (PS3.3 C.8.15.2, C.8.16.1.3)
COMPUTED = {"MIP", "MINIP", "MAX_IP", "MIN_IP", "MPR", "REFORMATTED", "AVERAGE", "PROJECTION", "SUBTRACTION", "VOLUME"}
COMPUTED |= {"SECONDARY", "CPR", "CURVED_MPR", "RESAMPLED", "FILTERED", "MAX", "MIN", "MEAN", "3D", "VRT", "SSD"}


def original_slices(sources: Sequence[FileDataset], name: str) -> tuple[list[CtSlice], list[str]]:
    """Keep the image planes that a scanner reconstructed as they are.

    Args:
        sources: all DICOM files of a folder, or one.
        name: of the study, for messages.

    Returns:
        the planes and notes on what was left out.

    Raises:
        RefusedError: another modality, nothing but localizers or derived images, several patients, or a plane with
            damaged tags.
    """
    converted: Converted = {}
    planes = [(source, frame, tags) for source in sources for frame, tags in enumerate(frame_tags(source, converted))]
    roots = [tags.root for _, _, tags in planes]
    _check_modality(roots, name)
    _check_patient(roots, name)
    kinds = [_kind(root, tags) for root, (_, _, tags) in zip(roots, planes, strict=True)]
    kept = [plane for plane, kind in zip(planes, kinds, strict=True) if not kind]
    left_out = Counter(kind for kind in kinds if kind)
    if not kept:
        kind = left_out.most_common(1)[0][0]
        raise RefusedError.of(f"only_{kind}", name, expected="original CT images", got=_told(left_out))
    for source, _, tags in kept:
        if "PixelData" not in source:
            raise RefusedError.of("no_pixel_data", tags.file, expected="an image", got="no pixel data")
    notes = [f"left out: {_told(left_out)}"] * bool(left_out)
    return [parse_slice(source, tags, frame) for source, frame, tags in kept], notes


def is_lossy(plane: CtSlice) -> bool:
    """Tell whether an image was ever compressed with loss (PS3.3 C.7.6.1.1.5), by its tag or its transfer syntax."""
    return "01" in plane.tags.words("LossyImageCompression") or transfer_syntax(plane.source) in LOSSY_SYNTAXES


def transfer_syntax(source: FileDataset) -> str:
    """UID of the transfer syntax; empty for a bare dataset without file meta information."""
    return str(source.file_meta.get("TransferSyntaxUID", "")) if hasattr(source, "file_meta") else ""


def _told(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(left_out.items()))


def _check_modality(roots: Sequence[Tags], name: str) -> None:
    """Refuse a folder without CT, and a CT series of which some files claim another modality.

    Every image and report has these tags (PS3.3 C.7.2.1, C.7.3.1); a file without them was cut in its header.
    """
    by_series: dict[str, set[str]] = {}
    for root in roots:
        missing = [
            keyword for keyword in ("Modality", "StudyInstanceUID", "SeriesInstanceUID") if not root.word(keyword)
        ]
        if missing and root.word("SOPClassUID") != DIRECTORY:
            raise RefusedError.of("missing_tag", root.file, expected=missing[0], got="none")
        by_series.setdefault(root.word("SeriesInstanceUID"), set()).add(root.word("Modality"))
    if not any("CT" in modalities for modalities in by_series.values()):
        found = ", ".join(sorted({part for parts in by_series.values() for part in parts if _is_code(part)}))
        raise RefusedError.of("wrong_modality", name, expected="CT", got=found or "no modality")
    if any("CT" in modalities and len(modalities) > 1 for modalities in by_series.values()):
        raise RefusedError.of("wrong_modality", name, expected="CT in all of a series", got="others in it")


def _check_patient(roots: Sequence[Tags], name: str) -> None:
    """Refuse images of several patients: by their ids, and where one is missing, by names and birth dates."""
    ids = {root.hashed("PatientID") for root in roots}
    people = {(root.hashed("PatientName"), root.hashed("PatientBirthDate")) for root in roots}
    several = len(ids - {""}) > 1 or ("" in ids and len({person for person in people if person[0]}) > 1)
    if several:
        raise RefusedError.of("several_patients", name, expected="files of one patient", got="of several")


def _is_code(word: str) -> bool:
    """Modalities are two to six letters (PS3.3 C.7.3.1.1.1); anything else is not shown."""
    return word.isalpha() and word.isascii() and len(word) <= 6


def _kind(root: Tags, tags: Tags) -> str:
    """Name the kind of what is no original CT image; empty for one that is."""
    if root.word("Modality") != "CT":
        return "other_objects"
    sop_class = root.word("SOPClassUID")
    if sop_class and sop_class not in CT_CLASSES:
        return "captures"
    parts = tags.words("FrameType") or tags.words("ImageType")
    words = {word for part in parts for word in part.replace("/", " ").split()} | set(parts)
    if words & LOCALIZER:
        return "localizers"
    # Compression with loss alone turns value 1 into DERIVED (PS3.3 C.7.6.1.1.5): such an image is still as acquired.
    lossy = "01" in root.words("LossyImageCompression")
    if words & COMPUTED or ("DERIVED" in words and not lossy):
        return "derived_images"
    return ""
