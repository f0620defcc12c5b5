"""NIfTI files that are damaged, lie about themselves, or are something else: each refused with its reason."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom_transforms.nifti import read_nifti
from custom_transforms.nifti_stream import MOST_PADDING
from custom_transforms.refusal import RefusedError

AFFINE = np.array([[-1.5, 0, 0, 10], [0, -1.5, 0, 20], [0, 0, 3, -5], [0, 0, 0, 1]])
VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
NAN = float("nan")


def whole_file(kind: type = nib.Nifti1Image) -> bytes:
    image = kind(VOXELS, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    return image.to_bytes()


def patched(form: str, offset: int, *values: float) -> bytes:
    raw = bytearray(whole_file())
    struct.pack_into(f"<{form}", raw, offset, *values)
    return bytes(raw)


def refused(path: Path, raw: bytes) -> str:
    """Write a file and return the line of its refusal."""
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    with pytest.raises(RefusedError) as caught:
        read_nifti(path)
    line = str(caught.value)
    assert f": {path.name}: expected " in line
    assert "\n" not in line
    return line.split(":")[0]


HEADERS = {  # of NIfTI-1: reason, form and offset of a field, what is written into it
    "wrong magic": ("wrong_magic", "4s", 344, b"n+9\0"),
    "no magic: ANALYZE 7.5": ("wrong_magic", "4s", 344, b"\0\0\0\0"),
    "half of a pair": ("nifti_pair", "4s", 344, b"ni1\0"),
    "sizeof_hdr": ("not_nifti", "i", 0, 347),
    "no axes": ("absurd_dimensions", "h", 40, 0),
    "eight axes": ("absurd_dimensions", "h", 40, 8),
    "negative axis": ("absurd_dimensions", "h", 42, -2),
    "empty axis": ("absurd_dimensions", "h", 46, 0),
    "absurd axes": ("absurd_dimensions", "4h", 40, 3, 32767, 32767, 32767),
    "more voxels than memory": ("absurd_dimensions", "4h", 40, 3, 1024, 1024, 1024),
    "unknown data type": ("unknown_datatype", "h", 70, 5),
    "RGB": ("not_scalar", "2h", 70, 128, 24),
    "RGBA": ("not_scalar", "2h", 70, 2304, 32),
    "complex": ("not_scalar", "2h", 70, 32, 64),
    "binary": ("not_scalar", "2h", 70, 1, 1),
    "voxels inside the header": ("bad_offset", "f", 108, 0),
    "voxels far away": ("bad_offset", "f", 108, 3e9),
    "voxels nowhere": ("bad_offset", "f", 108, NAN),
    "voxels between two bytes": ("bad_offset", "f", 108, 352.5),
    "slope is NaN": ("bad_scale", "f", 112, NAN),
    "intercept is infinite": ("bad_scale", "f", 116, float("inf")),
    "metres": ("unit_not_mm", "B", 123, 1),
    "micrometres": ("unit_not_mm", "B", 123, 3),
    "spacing is zero": ("bad_spacing", "f", 80, 0),
    "spacing is negative": ("bad_spacing", "f", 84, -1.5),
    "spacing is NaN": ("bad_spacing", "f", 88, NAN),
    "unknown code of a form": ("no_orientation", "h", 254, 77),
    "no form at all": ("no_orientation", "2h", 252, 0, 0),
    "sform is NaN": ("singular_affine", "f", 280, NAN),
    "sform is infinite": ("singular_affine", "f", 284 + 8, float("inf")),
    "sform is singular": ("singular_affine", "4f", 280, 0, 0, 0, 10),
    "sform almost in one plane": ("singular_affine", "4f", 280, 0, -1.5, 0.1, 10),
    "qform is NaN": ("singular_affine", "f", 256, NAN),
    "qform is no rotation": ("bad_qform", "3f", 256, 2, 2, 2),
    "sform against qform: moved": ("sform_against_qform", "f", 292, 10.2),
    "sform against qform: left and right": ("sform_against_qform", "4f", 280, 1.5, 0, 0, 8.5),
    "sform against qform: spacing": ("sform_against_qform", "f", 320, 3.1),
}


@pytest.mark.parametrize("case", HEADERS)
def test_header_that_cannot_be(tmp_path: Path, case: str) -> None:
    reason, form, offset, *values = HEADERS[case]
    assert refused(tmp_path / "scan.nii.gz", patched(form, offset, *values)) == reason


def test_spacing_against_the_only_form(tmp_path: Path) -> None:
    raw = bytearray(patched("f", 88, 3.3))
    struct.pack_into("<h", raw, 252, 0)  # no qform, whose spacing it would be
    assert refused(tmp_path / "scan.nii", bytes(raw)) == "spacing_mismatch"


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 1), (1, 3, 4), (2, 2, 2, 2, 2), (2, 2, 2, 1, 4)])
def test_other_than_a_volume_or_a_stack(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert (
        refused(tmp_path / "a.nii.gz", nib.Nifti1Image(np.zeros(shape, np.int16), AFFINE).to_bytes()) == "not_a_volume"
    )


BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda raw: b"", "not_nifti"),
    "a page of HTML": (lambda raw: b"<!DOCTYPE html><html>not found</html>" * 50, "not_nifti"),
    "cut in the header": (lambda raw: raw[:200], "not_nifti"),
    "cut after the header": (lambda raw: raw[:352], "short_data"),
    "a voxel too few": (lambda raw: raw[:-2], "short_data"),
    "a slice too many": (lambda raw: raw + bytes(range(12)), "surplus_data"),
    "many zeros too many": (lambda raw: raw + bytes(MOST_PADDING + 1), "surplus_data"),
}


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("case", BYTES)
def test_content_that_is_not_what_the_header_says(tmp_path: Path, case: str, name: str) -> None:
    damage, reason = BYTES[case]
    assert refused(tmp_path / name, damage(whole_file())) == reason


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_some_zeros_after_the_last_voxel_are_padding(tmp_path: Path, kind: type) -> None:
    (tmp_path / "a.nii").write_bytes(whole_file(kind) + bytes(100))
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii")[0], VOXELS)


def test_nifti_2_with_line_ends_changed_on_its_way(tmp_path: Path) -> None:
    raw = whole_file(nib.Nifti2Image).replace(b"n+2\0\r\n\x1a\n", b"n+2\0\n\x1a\n\n")
    assert refused(tmp_path / "a.nii", raw) == "wrong_magic"


COMPRESSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "lost tail": (lambda raw: raw[:-4], "damaged_gzip"),
    "lost half": (lambda raw: raw[: len(raw) // 2], "damaged_gzip"),
    "wrong checksum": (lambda raw: raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:], "damaged_gzip"),
    "wrong length": (lambda raw: raw[:-1] + b"\1", "damaged_gzip"),
    "flipped bit": (lambda raw: raw[:40] + bytes([raw[40] ^ 16]) + raw[41:], "damaged_gzip"),
    "something behind it": (lambda raw: raw + b"more", "damaged_gzip"),
    "not compressed": (gzip.decompress, "damaged_gzip"),
    "no byte": (lambda raw: b"", "not_nifti"),
    "a page of HTML": (lambda raw: b"<html>", "damaged_gzip"),
}


@pytest.mark.parametrize("case", COMPRESSED)
def test_damaged_gzip(tmp_path: Path, case: str) -> None:
    path = tmp_path / "scan.nii.gz"
    damage, reason = COMPRESSED[case]
    path.write_bytes(damage(gzip.compress(whole_file())))
    with pytest.raises(RefusedError, match=f"^{reason}: scan.nii.gz: expected"):
        read_nifti(path)


def test_gzip_under_the_name_of_plain_nifti(tmp_path: Path) -> None:
    assert refused(tmp_path / "scan.nii", gzip.compress(whole_file())) == "not_nifti"


def test_gzip_in_parts_is_read(tmp_path: Path) -> None:
    raw = whole_file()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(raw[:370]) + gzip.compress(raw[370:]))
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii.gz")[0], VOXELS)


def test_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(whole_file()) + gzip.compress(bytes(2**26)))  # 64 MiB of zeros in 64 KB
    tracemalloc.start()
    with pytest.raises(RefusedError, match="surplus_data: bomb.nii.gz"):
        read_nifti(path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_pipe_and_folder_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "folder.nii.gz").mkdir()
    for name in ("pipe.nii", "folder.nii.gz"):
        with pytest.raises(RefusedError, match=f"unreadable_file: {name}"):
            read_nifti(tmp_path / name)
