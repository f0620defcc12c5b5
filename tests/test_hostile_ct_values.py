"""A head whose values are no Hounsfield units any more, or cannot be decoded, is refused with its reason."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ct_files import enhanced_dataset, save, spoil
from head_files import Change, check, head_values, heights_mm, write_head_series
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from custom_transforms.refusal import RefusedError

ONE = 13
CORRUPT = b"\xff\x4f\xff\x51" + bytes(range(200)) + b"\xff\xd9"  # marks of JPEG 2000 around nothing


def one(**tags: object) -> Change:
    return lambda image, index: spoil(image, **tags) if index == ONE else None


def every(**tags: object) -> Change:
    return lambda image, index: spoil(image, **tags)


def stored(values_of: Callable[[NDArray[np.int32]], NDArray[np.int32]], **tags: object) -> Change:
    """Replace what is stored of each slice."""

    def change(image: FileDataset, index: int) -> None:
        values = values_of(head_values()[index].astype(np.int32))
        spoil(image, PixelData=values.astype(np.int16).tobytes(), **tags)

    return change


def eight_bits(hu: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.clip((hu + 160) * 255 // 400, 0, 255)


def compressed(stream: bytes, syntax: str) -> Change:
    def change(image: FileDataset, index: int) -> None:
        if index == ONE:
            image.PixelData = encapsulate([stream])
            image["PixelData"].is_undefined_length = True
            image.file_meta.TransferSyntaxUID = syntax

    return change


VALUES: dict[str, tuple[Change, str]] = {
    "slope missing": (one(RescaleSlope=None), "missing_tag"),
    "intercept missing": (one(RescaleIntercept=None), "missing_tag"),
    "slope zero": (one(RescaleSlope=0), "bad_tag"),
    "slope NaN": (one(RescaleSlope="nan"), "bad_tag"),
    "intercept NaN": (one(RescaleIntercept="nan"), "bad_tag"),
    "intercept infinite": (one(RescaleIntercept="inf"), "bad_tag"),
    "slope beyond all measure": (every(RescaleSlope="1e30"), "bad_tag"),
    "intercept beyond all measure": (every(RescaleIntercept="-1e30"), "bad_tag"),
    "other units": (every(RescaleType="OD"), "not_hounsfield"),
    "inverted": (stored(lambda hu: -hu), "implausible_hu"),
    "inverted MONOCHROME1": (
        stored(lambda hu: 2000 - hu, PhotometricInterpretation="MONOCHROME1"),
        "implausible_hu",
    ),
    "negative slope": (every(RescaleSlope=-1), "implausible_hu"),
    "sign lost": (stored(lambda hu: hu, PixelRepresentation=0), "implausible_hu"),
    "wrapped at 8 bits": (stored(lambda hu: hu & 255), "implausible_hu"),
    "wrapped at 10 bits": (stored(lambda hu: (hu + 1024) & 1023, RescaleIntercept=-1024), "implausible_hu|not_a_head"),
    "unsigned read as signed": (stored(lambda hu: hu + 32768, RescaleIntercept=0), "implausible_hu|not_a_head"),
    "unshifted": (stored(lambda hu: hu + 1024), "implausible_hu"),
    "shifted twice": (every(RescaleIntercept=-1024), "implausible_hu|not_a_head"),
    "shifted by 100": (every(RescaleIntercept=100), "implausible_hu"),
    "stretched": (every(RescaleSlope=3), "implausible_hu|not_a_head"),
    "windowed to 0..255": (stored(eight_bits), "implausible_hu"),
    "windowed, with the old intercept": (stored(eight_bits, RescaleIntercept=-1024), "implausible_hu|not_a_head"),
    "clipped to soft tissue": (stored(lambda hu: np.clip(hu, -1000, 150)), "implausible_hu"),
    "clipped air": (stored(lambda hu: np.clip(hu, -100, 3000)), "implausible_hu"),
    "few grey levels": (stored(lambda hu: hu // 32 * 32), "implausible_hu"),
    "constant": (stored(lambda hu: np.zeros_like(hu)), "implausible_hu"),
    "noise": (
        stored(lambda hu: np.random.default_rng(int(hu.sum()) % 997).integers(-1000, 2000, hu.shape, dtype=np.int32)),
        "implausible_hu|not_a_head",
    ),
    "pixel data missing": (one(PixelData=None), "no_pixel_data"),
    "pixel data short": (one(PixelData=b"\0" * 1000), "truncated_pixels"),
    "pixel data long": (one(PixelData=b"\0" * 100_000), "surplus_pixels"),
    "rows absurd": (every(Rows=65_535), "bad_tag"),
    "no rows": (every(Rows=0), "bad_tag"),
    "frames absurd": (one(NumberOfFrames=2_000_000_000), "bad_tag"),
    "32 bits": (every(BitsAllocated=32), "bad_tag"),
    "more bits stored than there are": (every(BitsStored=17), "bad_tag"),
    "corrupt JPEG 2000": (compressed(CORRUPT, JPEG2000Lossless), "damaged_pixels|killed_worker"),
    "corrupt JPEG": (compressed(b"\xff\xd8" + b"\x13" * 90 + b"\xff\xd9", JPEGBaseline8Bit), "damaged_pixels"),
    "corrupt RLE": (compressed(b"\xff" * 64, RLELossless), "damaged_pixels|truncated_pixels"),
    "private transfer syntax": (compressed(b"\0" * 64, "1.3.6.1.4.1.5962.300.1"), "unsupported_transfer_syntax"),
}


def intercept_of_one(image: FileDataset, index: int) -> None:
    """Store all slices unshifted, and say so of all but one."""
    stored(lambda hu: hu + 1024, RescaleIntercept=0 if index == ONE else -1024)(image, index)


VALUES["intercept of one slice"] = intercept_of_one, "implausible_hu"
SPOILT: dict[str, Callable[[NDArray[np.int32]], NDArray[np.int32]]] = {
    "zero": np.zeros_like,
    "air": lambda hu: np.full_like(hu, -1024),
    "unshifted": lambda hu: hu + 1024,
    "shifted twice": lambda hu: hu - 1024,
    "shifted by 100": lambda hu: hu + 100,
    "shifted by 300": lambda hu: hu + 300,
    "inverted": lambda hu: -hu,
    "windowed to 0..255": eight_bits,
    "clipped to soft tissue": lambda hu: np.clip(hu, -1000, 150),
    "wrapped at 10 bits": lambda hu: ((hu + 1024) & 1023) - 1024,
}


@pytest.mark.parametrize("name", VALUES)
def test_head_with_wrong_values_is_refused(tmp_path: Path, name: str) -> None:
    change, reason = VALUES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom tells of a wrong value when it is written
        write_head_series(tmp_path, change=change)
    with pytest.raises(RefusedError, match=f"^({reason}): ") as refusal:
        check(tmp_path)
    assert "expected" in str(refusal.value)


def test_private_transfer_syntax_is_not_shown(tmp_path: Path) -> None:
    write_head_series(tmp_path, change=compressed(b"\0" * 64, "1.3.6.1.4.1.5962.300.1"))
    with pytest.raises(RefusedError, match="got an unknown transfer syntax$"):
        check(tmp_path)


def test_enhanced_object_with_damaged_groups_is_refused(tmp_path: Path) -> None:
    image = enhanced_dataset(head_values(), heights_mm(), NumberOfFrames=26)
    with pytest.raises(RefusedError, match="^bad_tag: enhanced.dcm: expected functional groups of 26 frames, got 27"):
        check(save(image, tmp_path / "enhanced.dcm"))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (head_values() + 1024, "implausible_hu"),
        (-head_values(), "implausible_hu"),
        (np.clip(head_values(), 0, 80), "implausible_hu"),
        (head_values()[16:], "too_little_head"),
        (np.stack([head_values()] * 2, axis=-1), "not_a_volume"),
    ],
    ids=["unshifted", "inverted", "windowed", "half a head", "4D"],
)
def test_nifti_with_wrong_values_is_refused(tmp_path: Path, values: NDArray[np.int16], reason: str) -> None:
    turned = values.transpose(2, 1, 0, *range(3, values.ndim))
    nib.save(nib.Nifti1Image(turned, np.diag([-1.2, -1.2, 5, 1])), tmp_path / "head.nii.gz")
    with pytest.raises(RefusedError, match=f"^{reason}: head.nii.gz: expected"):
        check(tmp_path / "head.nii.gz")


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_slices_in_the_middle_of_a_head_are_refused_by_their_number(
    tmp_path: Path, name: str, count: int
) -> None:
    values = head_values().copy()
    values[ONE : ONE + count] = SPOILT[name](values[ONE : ONE + count].astype(np.int32))
    nib.save(nib.Nifti1Image(values.transpose(2, 1, 0), np.diag([-1.2, -1.2, 5, 1])), tmp_path / "head.nii")
    write_head_series(tmp_path / "head", values)
    for study in ("head.nii", "head"):
        with pytest.raises(RefusedError, match=f"^implausible_hu: .* in slice {ONE + 1} of 27 from the feet$"):
            check(tmp_path / study)
