"""Stored values of a stack to Hounsfield units."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.tag import Tag

from custom_transforms.dicom.decoders import decode
from custom_transforms.dicom.frames import CtSlice
from custom_transforms.dicom.originals import transfer_syntax
from custom_transforms.dicom.tags import Tags
from custom_transforms.refusal import RefusedError

Stored: TypeAlias = NDArray[np.integer[Any]]

AIR_HU = -1024.0  # lowest value of the usual 12-bit CT scale: what padding becomes
TISSUE_HU = (-500.0, 2000.0)  # padding in between could be taken for the patient, or the patient for padding
LARGEST_SLOPE, LARGEST_INTERCEPT = 1e3, 1e5  # HU; CT has 1, or some hundredths, and 0 or -1024
PIXEL_DATA = Tag("PixelData")
LARGEST_VOLUME = 1 << 30  # voxels; a whole-body CT of 2000 slices has half of it
# Implicit and explicit little endian, deflated, explicit big endian (PS3.5 A.1-A.3, A.5); bare files have no UID.
NATIVE = {"": "<", "1.2.840.10008.1.2": "<", "1.2.840.10008.1.2.1": "<", "1.2.840.10008.1.2.1.99": "<"}
NATIVE |= {"1.2.840.10008.1.2.2": ">"}


def hounsfield(planes: Sequence[CtSlice], name: str, *, least_hu: float = -np.inf) -> NDArray[np.float32]:
    """Read the pixels of a stack.

    Each slice is scaled by its own `RescaleSlope` and `RescaleIntercept` (PS3.3 C.11.1.1.2); padding becomes air.
    MONOCHROME1 says how a screen shows values (PS3.3 C.7.6.3.1.2) and does not touch them.

    Args:
        planes: planes of equal size, in order.
        name: of the study, for messages.
        least_hu: what lower values become.

    Returns:
        HU `(S, R, C)`, float32, in the order of the planes.

    Raises:
        RefusedError: not one grey value a pixel, no or impossible rescale tags, units other than HU, pixels that are
            missing, damaged, or cannot be decoded, padding that cannot be told from tissue.
    """
    if len(planes) * prod(planes[0].shape) > LARGEST_VOLUME:
        raise RefusedError.of("too_large", name, expected=f"at most {LARGEST_VOLUME} voxels", got="more")
    scales = [_scale(plane.tags) for plane in planes]
    hu = np.empty((len(planes), *planes[0].shape), dtype=np.float32)
    by_source: dict[int, list[int]] = {}
    for index, plane in enumerate(planes):
        by_source.setdefault(id(plane.source), []).append(index)
    for indices in by_source.values():
        frames = stored_values(planes[indices[0]])
        for index in indices:
            _rescale(frames[planes[index].frame], scales[index], planes[index].tags, least_hu, out=hu[index])
    return hu


def stored_values(plane: CtSlice) -> Stored:
    """Read the stored values of all frames of a plane's file, `(F, R, C)`.

    Raises:
        RefusedError: see `hounsfield`.
    """
    tags = plane.tags
    count = tags.whole("NumberOfFrames", default=1)
    shape = (count, *plane.shape)
    if tags.whole("SamplesPerPixel", default=1) != 1 or not tags.word("PhotometricInterpretation").startswith("MONO"):
        raise RefusedError.of("not_monochrome", tags.file, expected="one grey value a pixel", got="colour")
    kind, allocated, stored = _number_format(tags)
    syntax = transfer_syntax(plane.source)
    if syntax in NATIVE:
        raw = _raw_bytes(plane.source, tags.file)
        expected = prod(shape) * allocated // 8
        if len(raw) not in (expected, expected + expected % 2):
            code = "truncated_pixels" if len(raw) < expected else "surplus_pixels"
            raise RefusedError.of(code, tags.file, expected=f"{expected} bytes of pixels", got=f"{len(raw)}")
        values = np.frombuffer(raw, f"{NATIVE[syntax]}{kind}{allocated // 8}", count=prod(shape))
    else:
        values = np.asarray(decode(plane.source))
        if values.size != prod(shape) or values.shape[-2:] != plane.shape:
            raise RefusedError.of("damaged_pixels", tags.file, expected=f"{shape} pixels", got=f"{values.shape}")
    values = values.reshape(shape).astype(f"{kind}{allocated // 8}", copy=False)
    unused = allocated - stored  # bits above the stored ones may hold anything (PS3.5 8.1.1)
    return (values << unused) >> unused if unused else values


def _number_format(tags: Tags) -> tuple[str, int, int]:
    allocated, stored = tags.whole("BitsAllocated"), tags.whole("BitsStored")
    signed = tags.whole("PixelRepresentation")
    high = tags.whole("HighBit", default=stored - 1)
    if allocated not in (8, 16) or not 1 <= stored <= allocated or high != stored - 1 or signed not in (0, 1):
        got = f"{stored} of {allocated} bits, high bit {high}, representation {signed}"
        raise RefusedError.of("bad_tag", tags.file, expected="whole numbers of 8 or 16 bits", got=got)
    return "i" if signed else "u", allocated, stored


def _raw_bytes(source: FileDataset, file: str) -> bytes:
    """Read the pixel data, straight from its place in the file where that is plain; it is not kept in `source`."""
    try:
        element = next(element for element in source.values() if element.tag == PIXEL_DATA)
        if not (isinstance(element, RawDataElement) and _waits_in_file(element)):
            return bytes(source.PixelData)
        with Path(str(source.filename)).open("rb", buffering=0) as stream:
            stream.seek(element.value_tell - 4)
            if int.from_bytes(stream.read(4), "little" if element.is_little_endian else "big") == element.length:
                return stream.read(element.length)
        raise EOFError
    except Exception:  # the file was cut after its header, or changed since
        raise RefusedError.of("truncated_pixels", file, expected="whole pixel data", got="less") from None


def _waits_in_file(element: RawDataElement) -> bool:
    """Tell whether a value was passed over while reading, and lies plainly behind its length of 4 bytes (PS3.5 7.1)."""
    return element.VR in ("OB", "OW", None) and element.value is None and element.length > 0


def _scale(tags: Tags) -> tuple[float, float]:
    (slope,) = tags.required("RescaleSlope")
    (intercept,) = tags.required("RescaleIntercept")
    if not 0 < abs(slope) <= LARGEST_SLOPE or abs(intercept) > LARGEST_INTERCEPT:
        expected = f"RescaleSlope other than 0, up to {LARGEST_SLOPE:g}, RescaleIntercept up to {LARGEST_INTERCEPT:g}"
        raise RefusedError.of("bad_tag", tags.file, expected=expected, got="others")
    if tags.word("RescaleType") not in ("", "HU", "US"):  # PS3.3 C.11.1.1.2; US is unspecified
        raise RefusedError.of("not_hounsfield", tags.file, expected="Hounsfield units", got="another RescaleType")
    return slope, intercept


def _rescale(
    values: Stored,
    scale: tuple[float, float],
    tags: Tags,
    least_hu: float,
    out: NDArray[np.float32],
) -> None:
    """Write one plane to `out` in HU, step by step while it is in the processor's cache."""
    slope, intercept = scale
    scaled = values if slope == 1 else np.multiply(values, np.float32(slope), out=out, dtype=np.float32)
    np.add(scaled, np.float32(intercept), out=out, dtype=np.float32)
    np.maximum(out, np.float32(least_hu), out=out)
    limits = _padding(tags, values.dtype)
    if limits is None:
        return
    low, high = sorted(limit * slope + intercept for limit in limits)
    if high < least_hu - 1:  # became the least already, whatever the rounding
        return
    padded = (values >= limits[0]) & (values <= limits[1])
    if low < TISSUE_HU[1] and high > TISSUE_HU[0] and padded.any():
        expected = f"padding outside {TISSUE_HU[0]:g} to {TISSUE_HU[1]:g} HU"
        raise RefusedError.of("ambiguous_padding", tags.file, expected=expected, got=f"{low:g} to {high:g} HU")
    out[padded] = AIR_HU


def _padding(tags: Tags, dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """Lowest and highest padding value (PS3.3 C.7.5.1.1.2), as written with the wrong sign by some, read right."""
    if tags.numbers("PixelPaddingValue") is None:
        return None
    words = [tags.whole("PixelPaddingValue")]
    if tags.numbers("PixelPaddingRangeLimit") is not None:
        words.append(tags.whole("PixelPaddingRangeLimit"))
    mask = (1 << 8 * dtype.itemsize) - 1
    values = [int(np.array(word & mask, dtype=f"u{dtype.itemsize}").astype(dtype)) for word in words]
    return min(values), max(values)
