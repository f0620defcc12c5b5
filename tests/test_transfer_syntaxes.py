"""Compressed pixel data: lossless gives the same voxels, lossy is told, damage and missing decoders are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from ct_files import ct_dataset, save, stored_slices
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from custom_transforms.ct_study import read_ct
from custom_transforms.dicom import decoders, headers
from custom_transforms.refusal import RefusedError

LOSSLESS = ["1.2", "1.2.1.99", "1.2.2", "1.2.4.57", "1.2.4.70", "1.2.4.80", "1.2.4.90", "1.2.5"]
LOSSY = {"1.2.4.50": 65, "1.2.4.81": 1, "1.2.4.91": 5}  # largest error of these files in HU, worked out with pydicom


def file_of(real_scans: Path, syntax: str) -> Path:
    (file,) = (real_scans / "ct_transfer_syntaxes").glob(f"*_1.2.840.10008.{syntax}.dcm")
    return file


@pytest.fixture(scope="module")
def plain(real_scans: Path) -> np.ndarray:
    """HU of the uncompressed file, by hand: slope 1, intercept -1024, padding -32768 unused."""
    source = pydicom.dcmread(file_of(real_scans, "1.2.1"))
    return np.maximum(np.frombuffer(source.PixelData, "<i2").reshape(1, 512, 512) - 1024.0, -1024)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_files_have_identical_voxels(real_scans: Path, plain: np.ndarray, syntax: str) -> None:
    volume = read_ct(file_of(real_scans, syntax))
    np.testing.assert_array_equal(volume.hu, plain)
    assert volume.notes == ()


@pytest.mark.parametrize("syntax", LOSSY)
def test_lossy_files_are_told(real_scans: Path, plain: np.ndarray, syntax: str) -> None:
    volume = read_ct(file_of(real_scans, syntax))
    assert np.abs(volume.hu - plain).max() <= LOSSY[syntax]
    assert volume.notes == ("lossy compression",)


@pytest.mark.parametrize("syntax", ["1.2.4.51", "1.2.4.53", "1.2.4.55"])
def test_syntaxes_without_a_decoder_are_refused(real_scans: Path, syntax: str) -> None:
    with pytest.raises(RefusedError, match="unsupported_transfer_syntax: .*got JPEG"):
        read_ct(file_of(real_scans, syntax))


def test_missing_decoder_names_the_extra(real_scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "has_decoder", lambda syntax: False)
    with pytest.raises(RefusedError, match=r"no_decoder: .*pip install 'neuro-oncology-bundles\[dicom\]'"):
        read_ct(file_of(real_scans, "1.2.4.70"))


@pytest.mark.parametrize("syntax", ["1.2.4.50", "1.2.4.57", "1.2.4.70", "1.2.4.80", "1.2.4.90", "1.2.5"])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_stream_cut_short_is_refused(real_scans: Path, tmp_path: Path, syntax: str, kept: float) -> None:
    source = pydicom.dcmread(file_of(real_scans, syntax))
    (whole,) = decoders.encapsulated_frames(source)
    source.PixelData = pydicom.encaps.encapsulate([whole[: int(kept * len(whole)) // 2 * 2]])
    source.save_as(tmp_path / "cut.dcm")
    with pytest.raises(RefusedError, match="truncated_pixels|damaged_pixels"):
        read_ct(tmp_path / "cut.dcm")


def test_rle_needs_no_extra(tmp_path: Path) -> None:
    values = stored_slices(1)[0]
    image = ct_dataset(values, 0.0, 1)
    image.compress(RLELossless, encoding_plugin="pydicom")
    np.testing.assert_array_equal(read_ct(save(image, tmp_path / "rle.dcm")).hu[0], values)


def test_a_deflated_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = ct_dataset(np.zeros((64, 64), dtype=np.int16), 0.0, 1)
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = save(image, tmp_path / "deflated.dcm")
    assert read_ct(file).hu.shape == (1, 64, 64)
    monkeypatch.setattr(headers, "LARGEST_INFLATED", 4096)
    with pytest.raises(RefusedError, match="too_large"):
        read_ct(file)
