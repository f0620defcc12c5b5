"""Tags are converted once where files store the same, and pixels are read from their place: nothing differs by that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from ct_files import ct_dataset, save, write_series
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from custom_transforms.ct_study import read_ct
from custom_transforms.dicom.headers import READ_TAGS, read_header
from custom_transforms.dicom.originals import original_slices
from custom_transforms.dicom.pixels import stored_values
from custom_transforms.dicom.tags import Converted, Tags
from custom_transforms.refusal import RefusedError

SYNTAXES = {"implicit": ImplicitVRLittleEndian, "explicit": ExplicitVRLittleEndian, "big endian": ExplicitVRBigEndian}
WORDS = [keyword for keyword in READ_TAGS if keyword != "PixelData"]


def large_values() -> NDArray[np.int16]:
    """Slices too large to be read with the header."""
    return np.random.default_rng(88).integers(-1000, 1500, (3, 64, 48), dtype=np.int16)


def written(file: Path, syntax: str = "explicit", **tags: object) -> FileDataset:
    image = ct_dataset(large_values()[0], 0.0, 1)
    image.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    image.PixelData = large_values()[0].astype(">i2" if syntax == "big endian" else "<i2").tobytes()
    for keyword, value in tags.items():
        setattr(image, keyword, value)
    return read_header(save(image, file), file.name)


def plainly(file: Path, keyword: str) -> tuple[str, ...]:
    value = pydicom.dcmread(file).get(keyword)
    values = value if isinstance(value, MultiValue) else [value]
    return tuple(str(part).upper() for part in values if part not in (None, ""))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_tags_of_each_file_say_what_the_file_holds(tmp_path: Path, syntax: str) -> None:
    converted: Converted = {}
    for number, padding in enumerate((-2000, -2000, 300)):
        signed = {"PixelRepresentation": 1, "PixelPaddingValue": padding, "InstanceNumber": number}
        source = written(tmp_path / f"{number}.dcm", syntax, **signed, SpecificCharacterSet="ISO_IR 100")
        tags = Tags("file", (source,), converted)
        for keyword in WORDS:
            assert tags.words(keyword) == plainly(tmp_path / f"{number}.dcm", keyword), keyword
        assert tags.numbers("PixelPaddingValue") == (padding,)


def test_same_bytes_in_two_character_sets_are_two_words(tmp_path: Path) -> None:
    converted: Converted = {}
    latin = written(tmp_path / "1.dcm", SpecificCharacterSet="ISO_IR 100", ConvolutionKernel="\u00c3\u00a4")
    unicode = written(tmp_path / "2.dcm", SpecificCharacterSet="ISO_IR 192", ConvolutionKernel="\u00e4")
    words = [Tags("file", (source,), converted).word("ConvolutionKernel") for source in (latin, unicode)]
    assert words == ["\u00c3\u00a4".upper(), "\u00c4"]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_are_those_of_the_file(tmp_path: Path, syntax: str) -> None:
    source = written(tmp_path / "1.dcm", syntax)
    (plane,), _ = original_slices([source], ".")
    assert np.array_equal(stored_values(plane)[0], large_values()[0])


def test_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "1.dcm")
    (plane,), _ = original_slices([source], ".")
    whole = (tmp_path / "1.dcm").read_bytes()
    for changed, got in ((whole[:-100], "6044"), (whole[:300], "less"), (whole[40:], "less")):
        (tmp_path / "1.dcm").write_bytes(changed)
        with pytest.raises(RefusedError, match=rf"truncated_pixels: 1.dcm: expected .*, got {got}"):
            stored_values(plane)
    (tmp_path / "1.dcm").unlink()
    with pytest.raises(RefusedError, match="truncated_pixels: 1.dcm: expected whole pixel data, got less"):
        stored_values(plane)


def test_images_at_one_place_that_differ_below_air_alone_are_refused(tmp_path: Path) -> None:
    values = large_values()
    values[1] = values[0]
    values[:2, 0, 0] = -1200, -1100
    with pytest.raises(RefusedError, match="two_images_one_position"):
        read_ct(write_series(tmp_path, values, np.array([0.0, 0.0, 5.0])))
