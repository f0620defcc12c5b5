"""Turn the pixel data of a file into stored values, or say which decoder is missing."""

from __future__ import annotations

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import encaps
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from custom_transforms.dicom.frames import file_name
from custom_transforms.dicom.originals import transfer_syntax
from custom_transforms.refusal import RefusedError

# What pydicom and the packages of the extra decode (PS3.5 A.4): JPEG baseline and lossless, JPEG-LS, JPEG 2000, HTJ2K.
# JPEG with 12 bits (.51) and its retired relatives (.53, .55) have no decoder of good standing under a free licence.
BY_EXTRA = {f"1.2.840.10008.1.2.4.{last}" for last in (50, 57, 70, 80, 81, 90, 91, 201, 202, 203)}
RLE = "1.2.840.10008.1.2.5"
END_OF_IMAGE = b"\xff\xd9"  # last marker of JPEG, JPEG-LS and JPEG 2000 (ISO 10918-1 B.1.1.3, 14495-1, 15444-1 A.4.4)


def decode(source: FileDataset) -> NDArray[np.generic]:
    """Decode compressed pixel data of all frames.

    Returns:
        stored values `(F, R, C)` or, of a single frame, `(R, C)`; more axes where a pixel has several samples.

    Raises:
        RefusedError: no decoder for the transfer syntax, or damaged pixel data.
    """
    name = file_name(source)
    syntax = UID(transfer_syntax(source))
    if str(syntax) not in BY_EXTRA | {RLE}:
        expected = "a transfer syntax that can be decoded"
        raise RefusedError.of("unsupported_transfer_syntax", name, expected=expected, got=_shown(syntax))
    if not has_decoder(syntax):
        expected = "pip install 'neuro-oncology-bundles[dicom]'"
        raise RefusedError.of("no_decoder", name, expected=expected, got=f"no decoder for {syntax.name}")
    try:
        _check_frames(source, name, marked=str(syntax) != RLE)
        return np.asarray(source.pixel_array)
    except RefusedError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # each decoder has its own, some with text out of the file; a panic of Rust is no Exception
        raise RefusedError.of("damaged_pixels", name, expected=f"whole {_shown(syntax)}", got="damage") from None


def _shown(syntax: UID) -> str:
    """Registered name of a transfer syntax; a UID that is in no register may be anything, and is not shown."""
    return syntax.name if syntax.name != str(syntax) else "an unknown transfer syntax"


def has_decoder(syntax: UID) -> bool:
    """Tell whether a decoder for a transfer syntax is installed."""
    if int(pydicom.__version_info__[0]) >= 3:
        from pydicom.pixels.decoders.base import get_decoder  # pydicom 2 does not have it

        return bool(get_decoder(syntax).is_available)
    handlers = pydicom.config.pixel_data_handlers
    return any(handler.is_available() and handler.supports_transfer_syntax(syntax) for handler in handlers)


def encapsulated_frames(source: FileDataset) -> list[bytes]:
    """Split compressed pixel data to the streams of its frames (PS3.5 A.4)."""
    count = int(source.get("NumberOfFrames") or 1)
    if hasattr(encaps, "generate_frames"):
        return list(encaps.generate_frames(source.PixelData, number_of_frames=count))
    return list(encaps.generate_pixel_data_frame(source.PixelData, count))  # pydicom 2


def _check_frames(source: FileDataset, name: str, *, marked: bool) -> None:
    """Refuse a frame without its last marker: some decoders fill up what is lost."""
    count = int(source.get("NumberOfFrames") or 1)
    frames = encapsulated_frames(source)
    if len(frames) != count or any(marked and END_OF_IMAGE not in frame[-16:] for frame in frames):
        raise RefusedError.of("truncated_pixels", name, expected=f"{count} whole frames", got="less")
