"""Unpack a zip that somebody else made: every member is checked before a byte is written, and counted while it is."""

from __future__ import annotations

import copy
import errno
import io
import os
import shutil
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from custom_transforms.refusal import RefusedError

MAX_MEMBERS = 20_000  # images of the largest studies of one scan are a few thousand
MAX_DIRECTORY_BYTES = 8 << 20  # of the zip's own list, which `zipfile` reads whole; 400 bytes a member
MAX_BYTES = 4 << 30
MAX_RATIO = 100  # deflate reaches 1032; lossless CT 2 to 4, air and phantoms 20
HARMLESS_BYTES = 64 << 20  # up to here no ratio is refused: a slice of nothing but air is legitimate
MAX_NAME, MAX_PART, MAX_DEPTH = 1024, 255, 64  # characters, bytes of a part, parts
BLOCK_BYTES = 1 << 20
LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE 4.3.7: signature, lengths of the name and of the extra field
ENCRYPTED = 0x1 | 0x40 | 0x2000  # APPNOTE 4.4.4: bits 0, 6 and 13


def unpack_zip(path: str | Path, into: str | Path) -> None:
    """Unpack regular files and folders; what a member is called decides nothing beyond its place below `into`.

    Members are named in refusals by their number in the zip, from 1, as their names may identify a person. Zips inside
    are files like others. Neither permissions nor times are taken over.

    Args:
        path: the zip.
        into: folder of its own: made here, or empty. After a failure nothing is left in it.

    Raises:
        RefusedError: `unsafe_archive`, a member that would leave the folder, overwrite another, or is no regular file
            that can be read without a password; `too_large`, more members or bytes than a study has; or
            `damaged_archive`.
        OSError: the zip cannot be read, `into` is not empty, or its disk is too full.

    Reference:
        PKWARE, APPNOTE.TXT 6.3.10; Fifield, A better zip bomb, WOOT 2019 (members that overlap).

    Example:
        >>> unpack_zip("patient.zip", "build/unpacked")
    """
    path, into = Path(path), Path(into)
    with path.open("rb", buffering=0) as file:  # opened first: a zip that is missing makes no folder
        into.mkdir(parents=True, exist_ok=True)
        if any(into.iterdir()):
            raise FileExistsError(errno.ENOTEMPTY, "expected an empty folder to unpack into", str(into))
        try:
            _unpack(file, path.name, into)
        except BaseException:
            for left in into.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            raise


def member_beginnings(path: Path, size: int) -> Iterator[tuple[str, bytes]]:
    """Give names and first bytes of a zip's files, in order of the names; of one that is not safe to unpack nothing."""
    with suppress(Exception), path.open("rb", buffering=0) as file:
        archive = zipfile.ZipFile(_Bounded(file, path.name))
        _checked(archive, path.name, os.fstat(file.fileno()).st_size)
        for member in sorted(archive.filelist, key=lambda member: member.filename):
            with suppress(Exception), archive.open(member) as stream:
                yield member.filename, stream.read(size)


def _unpack(file: io.FileIO, name: str, into: Path) -> None:
    try:
        archive = zipfile.ZipFile(_Bounded(file, name))
        places = _checked(archive, name, os.fstat(file.fileno()).st_size)
    except (RefusedError, OSError):
        raise
    except Exception as error:  # `zipfile` raises whatever the bytes happen to lead to
        got = f"one whose list of members cannot be read ({type(error).__name__})"
        raise RefusedError.of("damaged_archive", name, expected="a whole zip", got=got) from error
    if sum(member.file_size for member in archive.filelist) > shutil.disk_usage(into).free:
        raise OSError(errno.ENOSPC, f"not enough room to unpack {name}", str(into))
    for number, (member, place) in enumerate(zip(archive.filelist, places, strict=True), start=1):
        target = into.joinpath(*place.parts)
        (target if member.is_dir() else target.parent).mkdir(parents=True, exist_ok=True)
        if not member.is_dir():
            _write_member(archive, member, target, f"member {number}", name)


class _Bounded(io.BufferedReader):
    """A file that is never read in one piece larger than a zip's list of members may be."""

    def __init__(self, file: io.FileIO, name: str) -> None:
        super().__init__(file)
        self.zip_name = name

    def read(self, size: int | None = -1, /) -> bytes:
        if size and size > MAX_DIRECTORY_BYTES:
            expected = f"a list of members of at most {MAX_DIRECTORY_BYTES} bytes"
            raise RefusedError.of("too_large", self.zip_name, expected=expected, got=f"{size} bytes")
        return super().read(size)


def _checked(archive: zipfile.ZipFile, name: str, zip_bytes: int) -> list[PurePosixPath]:
    """Return the place of each member, all of which are safe, or refuse the zip."""
    members = archive.filelist
    if len(members) > MAX_MEMBERS:
        raise RefusedError.of("too_large", name, expected=f"at most {MAX_MEMBERS} members", got=str(len(members)))
    declared = sum(member.file_size for member in members)
    most = min(MAX_BYTES, max(HARMLESS_BYTES, MAX_RATIO * zip_bytes))
    if declared > most:
        expected = f"at most {most} bytes out of {zip_bytes} (ratio {MAX_RATIO}, {MAX_BYTES} in all)"
        raise RefusedError.of("too_large", name, expected=expected, got=f"{declared}")
    places = [PurePosixPath(member.orig_filename) for member in members]
    taken: dict[str, tuple[str, bool]] = {}  # by folded name: name as written, and whether a file has it
    for number, (member, place) in enumerate(zip(members, places, strict=True), start=1):
        fault = _fault(member, place) or _clash(place, member.is_dir(), taken)
        if fault:
            expected = "regular files and folders, each at a place of its own below the zip's root, without a password"
            raise RefusedError.of("unsafe_archive", name, expected=expected, got=f"member {number} {fault}")
    _refuse_overlaps(archive, name)
    return places


def _fault(member: zipfile.ZipInfo, place: PurePosixPath) -> str:
    """Say what is unsafe about a member by itself; an empty text if nothing is."""
    text, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    drive = any(part[1:2] == ":" and part[0].isalpha() for part in place.parts)
    if place.is_absolute() or drive:
        return "with an absolute path"
    if ".." in place.parts or "\\" in text:
        return "with '..' or a backslash in its path"
    if not place.parts or any(unicodedata.category(character) == "Cc" for character in text):
        return "with no name or control characters in it"
    if len(text) > MAX_NAME or len(place.parts) > MAX_DEPTH or max(map(len, map(os.fsencode, place.parts))) > MAX_PART:
        return "with an overlong name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "that is a link or another special file"
    if member.flag_bits & ENCRYPTED:
        return "that is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compressed by method {member.compress_type}, neither stored nor deflated"
    return ""


def _clash(place: PurePosixPath, is_dir: bool, taken: dict[str, tuple[str, bool]]) -> str:
    """Enter a member's place and the folders above it; say if another member has it on some file system."""
    for depth in range(1, len(place.parts) + 1):
        written, is_file = "/".join(place.parts[:depth]), depth == len(place.parts) and not is_dir
        known = taken.get(folded := unicodedata.normalize("NFC", unicodedata.normalize("NFC", written).casefold()))
        if known and (known[0] != written or known[1] or is_file):
            return "with the name of an earlier one, but for case or accents"
        taken[folded] = (written, is_file)
    return ""


def _refuse_overlaps(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse members that share bytes of the zip, or reach into its list of members."""
    file: BinaryIO = archive.fp  # type: ignore[assignment]  # open as long as the archive is
    in_order = sorted(archive.filelist, key=lambda member: member.header_offset)
    starts = [member.header_offset for member in in_order]
    for member, end in zip(in_order, [*starts[1:], archive.start_dir], strict=True):
        whole = member.header_offset >= 0 and member.header_offset + LOCAL_HEADER.size <= end
        if whole:
            file.seek(member.header_offset)
            signature, *lengths = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
            data_end = member.header_offset + LOCAL_HEADER.size + sum(lengths) + member.compress_size
            whole = signature == b"PK\x03\x04" and data_end <= end
        if not whole:
            number = archive.filelist.index(member) + 1
            got = f"member {number} that reaches into another or out of the zip"
            raise RefusedError.of("unsafe_archive", name, expected="members one after the other", got=got)


def _write_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, who: str, name: str) -> None:
    """Unpack one file; refused if it holds more or fewer bytes than the zip's list says."""
    asked = copy.copy(member)
    asked.file_size += 1  # `zipfile` stops at this size: a stream that holds more shows itself by one byte
    expected, written = f"{member.file_size} bytes, as its list of members says", 0
    try:
        with archive.open(asked) as source, target.open("xb") as out:
            while block := source.read(BLOCK_BYTES):
                written += len(block)
                if written > member.file_size:
                    raise RefusedError.of("unsafe_archive", name, expected=expected, got=f"{who} with more")
                out.write(block)
    except (RefusedError, OSError):
        raise
    except Exception as error:
        got = f"{who}, which cannot be unpacked ({type(error).__name__})"
        raise RefusedError.of("damaged_archive", name, expected=expected, got=got) from error
    if written < member.file_size:
        raise RefusedError.of("damaged_archive", name, expected=expected, got=f"{who} with {written}")
