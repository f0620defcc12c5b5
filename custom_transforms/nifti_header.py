"""The header of a NIfTI file, judged before anything is inflated or allocated on its word."""

from __future__ import annotations

import math
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from custom_transforms.refusal import RefusedError

SIZE_1, SIZE_2 = 348, 540  # of a header of NIfTI-1 and NIfTI-2, and its first field, sizeof_hdr
MAGIC = {SIZE_1: (344, b"n+1\0"), SIZE_2: (4, b"n+2\0\r\n\x1a\n")}  # where it stands, and that of a single file
PAIR = b"ni"  # how the magic of a header begins whose voxels lie in another file
MOST_VOXELS = 2**27  # 512 x 512 x 512; the four modalities of BraTS in one file have a quarter of it
MOST_BYTES = 2**30  # of voxels as stored; with the float32 that they become, 1.5 GiB
LATEST_OFFSET = 2**26  # header extensions hold text, of a few MB at most
MILLIMETRES = (0, 2)  # code of the unit: not stated, mm; metres (1) and micrometres (3) are what is left


@dataclass(frozen=True, eq=False)
class VoxelLayout:
    """Where in a file the voxels are, and what they mean.

    Attributes:
        header: nibabel's header.
        shape: axes as stated, the first runs fastest.
        dtype: storage type, with byte order.
        offset: bytes before the first voxel.
        slope: factor of the stored values.
        intercept: added to the product.
    """

    header: nib.Nifti1Header
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float

    @property
    def end(self) -> int:
        """Bytes up to the end of the last voxel."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def parse_header(raw: bytes, name: str) -> VoxelLayout:
    """Read the header; nothing is mended, as nibabel would.

    Args:
        raw: the file's first bytes, decompressed, `SIZE_2` if there are so many.
        name: of the file, for messages.

    Raises:
        RefusedError: no NIfTI header, a pair of files, or a field that cannot be.
    """
    header = _header(raw, name)
    shape = _shape(header["dim"], name)
    dtype = _dtype(header, name)
    size = math.prod(shape)
    if size > MOST_VOXELS or size * dtype.itemsize > MOST_BYTES:
        expected = f"at most {MOST_VOXELS} voxels and {MOST_BYTES} bytes of them"
        raise RefusedError.of("absurd_dimensions", name, expected=expected, got=" x ".join(map(str, shape)))
    offset = float(header["vox_offset"])
    if not len(header.binaryblock) <= offset <= LATEST_OFFSET or offset % 1:
        expected = f"the voxels to begin {len(header.binaryblock)} to {LATEST_OFFSET} bytes into the file"
        raise RefusedError.of("bad_offset", name, expected=expected, got=f"{offset:g}")
    if int(header["xyzt_units"]) & 7 not in MILLIMETRES:
        raise RefusedError.of("unit_not_mm", name, expected="millimetres", got="another unit of length")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite([slope, intercept]).all():
        raise RefusedError.of("bad_scale", name, expected="a finite slope and intercept", got=f"{slope}, {intercept}")
    if slope == 0:  # "not scaled" in the standard
        slope, intercept = 1.0, 0.0
    return VoxelLayout(header, shape, dtype, int(offset), slope, intercept)


def _header(raw: bytes, name: str) -> nib.Nifti1Header:
    orders = {"<": int.from_bytes(raw[:4], "little"), ">": int.from_bytes(raw[:4], "big")}
    fits = [(order, size) for order, size in orders.items() if size in MAGIC]
    if not fits or len(raw) < fits[0][1]:
        raise RefusedError.of("not_nifti", name, expected="a NIfTI header", got=_describe(raw))
    order, size = fits[0]
    place, magic = MAGIC[size]
    found = raw[place : place + len(magic)]
    if found != magic:
        if found.startswith(PAIR):
            raise RefusedError.of("nifti_pair", name, expected="header and voxels in one file", got="half of a pair")
        raise RefusedError.of("wrong_magic", name, expected=f"the magic of a NIfTI file, {magic!r}", got="another")
    kind: type[nib.Nifti1Header] = nib.Nifti1Header if size == SIZE_1 else nib.Nifti2Header
    return kind(raw[:size], endianness=order, check=False)


def _describe(raw: bytes) -> str:
    """Say what bytes are instead of a NIfTI header, without repeating them."""
    if not raw:
        return "an empty file"
    if raw.startswith(b"\x1f\x8b"):
        return "gzip data (a .nii.gz file under the name of a .nii file)"
    if raw.lstrip()[:1] == b"<":
        return "a page of HTML or XML"
    return "something else"


def _shape(dim: NDArray[np.integer], name: str) -> tuple[int, ...]:
    """Axes of a NIfTI image: `dim[0]` is their number, the others their lengths."""
    count = int(dim[0])
    if not 1 <= count <= 7 or min(dim[1 : count + 1]) < 1:
        expected = "1 to 7 axes with a length of at least 1"
        raise RefusedError.of("absurd_dimensions", name, expected=expected, got=str(dim.tolist()))
    return tuple(int(length) for length in dim[1 : count + 1])


def _dtype(header: nib.Nifti1Header, name: str) -> np.dtype[np.generic]:
    try:
        dtype: np.dtype[np.generic] = header.get_data_dtype()
    except KeyError as error:
        code = int(header["datatype"])
        raise RefusedError.of("unknown_datatype", name, expected="a NIfTI data type", got=f"{code}") from error
    if dtype.fields is not None or dtype.kind not in "iuf" or not dtype.itemsize:
        raise RefusedError.of("not_scalar", name, expected="one number a voxel", got=str(dtype))
    return dtype
