from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from custom_transforms import archive
from custom_transforms.archive import unpack_zip
from custom_transforms.refusal import RefusedError

SLICE = np.random.default_rng(88).integers(0, 255, 3000, dtype=np.uint8).tobytes()
SECRET = "Doe_Jane"  # of a member; no refusal may show it


def files_below(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def make_zip(path: Path, *names: str, data: bytes = SLICE, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name) if method == zipfile.ZIP_STORED else name, data)
    return path


def special(kind: int, mode: int = 0o777) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        member = zipfile.ZipInfo(f"{SECRET}.dcm")
        member.external_attr = (kind | mode) << 16
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("a.dcm", SLICE)
            made.writestr(member, "/etc/passwd")
        return path

    return make


def named(*names: str) -> Callable[[Path], Path]:
    return lambda path: make_zip(path, *names)


def encrypted(path: Path) -> Path:
    return spoil(make_zip(path, f"{SECRET}.dcm"), flags=1)


def by_lzma(path: Path) -> Path:
    return make_zip(path, f"{SECRET}.dcm", method=zipfile.ZIP_LZMA)


def spoil(path: Path, *, flags: int | None = None, sizes: int | None = None, checksum: int | None = None) -> Path:
    """Change the last member's flags, its declared size or checksum, in its own header and in the zip's list."""
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # APPNOTE 4.3.7 and 4.3.12
        start = raw.rindex(signature)
        if flags is not None:
            struct.pack_into("<H", raw, start + at, flags)
        if checksum is not None:
            struct.pack_into("<I", raw, start + at + 8, checksum)
        if sizes is not None:
            struct.pack_into("<I", raw, start + at + 16, sizes)
    path.write_bytes(raw)
    return path


def overlapping(path: Path) -> Path:
    """Let the list's second member point to the bytes of the first (Fifield's full overlap)."""
    make_zip(path, f"{SECRET}.dcm", f"{SECRET}.dcn")
    raw = bytearray(path.read_bytes())
    struct.pack_into("<I", raw, raw.rindex(b"PK\1\2") + 42, 0)
    path.write_bytes(raw)
    return path


def quoted(path: Path) -> Path:
    """Let the first member's data run over the header of the second, which is quoted in it (Fifield's quoting)."""
    make_zip(path, f"{SECRET}.dcm", f"{SECRET}.dcn", method=zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    for start in (raw.index(b"PK\3\4") + 18, raw.index(b"PK\1\2") + 20):
        struct.pack_into("<II", raw, start, len(SLICE) + 60, len(SLICE) + 60)
    path.write_bytes(raw)
    return path


def test_folders_and_odd_names_come_out_as_they_went_in(tmp_path: Path) -> None:
    names = ["a/b/1.dcm", "a/B 2.dcm", "Größe ü/IM 0001", "三\u3000/x.zip", "12:30 scan", "...", "a/c..d"]
    made = make_zip(tmp_path / "x.zip", *names)
    with zipfile.ZipFile(made, "a") as more:
        more.mkdir("empty") if hasattr(more, "mkdir") else more.writestr("empty/", "")
        more.writestr("none.dcm", b"")
    unpack_zip(made, tmp_path / "out")
    assert files_below(tmp_path / "out") == dict.fromkeys(names, SLICE) | {"none.dcm": b""}
    assert (tmp_path / "out/empty").is_dir()


def test_stored_members_prefix_and_permissions(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("run.sh")
    member.external_attr = (stat.S_IFREG | 0o4777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        made.writestr(member, SLICE)
    (tmp_path / "x.zip").write_bytes(b"#!/bin/sh\n" + (tmp_path / "x.zip").read_bytes())  # self-extracting
    unpack_zip(tmp_path / "x.zip", tmp_path / "out")
    assert files_below(tmp_path / "out") == {"run.sh": SLICE}
    assert not (tmp_path / "out/run.sh").stat().st_mode & 0o7111


UNSAFE = {
    "absolute path": named("a.dcm", f"/tmp/{SECRET}"),
    "two slashes": named(f"//host/{SECRET}"),
    "parent": named(f"a/../../{SECRET}"),
    "parent at the end": named(f"{SECRET}/.."),
    "drive letter": named(f"C:/{SECRET}"),
    "drive letter below": named(f"a/c:{SECRET}"),
    "backslash": named(f"a\\{SECRET}"),
    "no name": named("./"),
    "control character": named(f"{SECRET}\n.dcm"),
    "long name": named("x" * 256),
    "deep": named("d/" * 64 + SECRET),
    "same name twice": named(SECRET, SECRET),
    "same place twice": named(SECRET, f"./{SECRET}"),
    "case differs": named(SECRET, SECRET.upper()),
    "folder's case differs": named(f"{SECRET}/1", f"{SECRET.upper()}/2"),
    "accent written otherwise": named("u\u0308", "\u00fc"),
    "file as folder": named(SECRET, f"{SECRET}/a"),
    "folder as file": named(f"{SECRET}/a", SECRET),
    "symlink": special(stat.S_IFLNK),
    "named pipe": special(stat.S_IFIFO),
    "device": special(stat.S_IFCHR),
    "socket": special(stat.S_IFSOCK),
    "encrypted": encrypted,
    "lzma": by_lzma,
    "overlapping": overlapping,
    "quoted": quoted,
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", UNSAFE.values(), ids=UNSAFE)
def test_unsafe_member_is_refused_before_anything_is_written(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    make(tmp_path / "x.zip")
    with pytest.raises(RefusedError, match=r"^unsafe_archive: x\.zip: expected .*member \d") as caught:
        unpack_zip(tmp_path / "x.zip", tmp_path / "out")
    assert SECRET.lower() not in str(caught.value).lower()
    assert files_below(tmp_path / "out") == {}


def test_nul_in_a_name_is_refused(tmp_path: Path) -> None:
    made = make_zip(tmp_path / "x.zip", f"{SECRET}~.dcm")
    made.write_bytes(made.read_bytes().replace(b"~", b"\0"))
    with pytest.raises(RefusedError, match="control characters"):
        unpack_zip(made, tmp_path / "out")


def test_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    made = make_zip(tmp_path / "x.zip", "bomb", data=bytes(archive.HARMLESS_BYTES + 1))
    with pytest.raises(RefusedError, match=r"^too_large: x\.zip: expected at most 67108864 bytes"):
        unpack_zip(made, tmp_path / "out")


def test_slice_of_air_is_no_bomb(tmp_path: Path) -> None:
    made = make_zip(tmp_path / "x.zip", "air", data=bytes(512 * 512 * 2))
    unpack_zip(made, tmp_path / "out")
    assert (tmp_path / "out/air").stat().st_size == 512 * 512 * 2


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    with pytest.raises(RefusedError, match="^too_large: .*at most 2 members, got 3"):
        unpack_zip(make_zip(tmp_path / "x.zip", "a", "b", "c"), tmp_path / "out")


def test_long_list_of_members_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 4000)
    made = make_zip(tmp_path / "x.zip", *[f"{number:0200}" for number in range(20)])
    with pytest.raises(RefusedError, match="^too_large: x.zip: expected a list of members"):
        unpack_zip(made, tmp_path / "out")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("lie", [-1000, 1000])
def test_member_that_lies_about_its_size_is_refused(tmp_path: Path, lie: int, method: int) -> None:
    made = make_zip(tmp_path / "x.zip", "a", SECRET, method=method)
    spoil(made, sizes=len(SLICE) + lie, checksum=zlib.crc32((SLICE + bytes(1000))[: len(SLICE) + lie]))
    with pytest.raises(RefusedError, match=r"^(unsafe|damaged)_archive: x\.zip: .*member 2") as caught:
        unpack_zip(made, tmp_path / "out")
    assert SECRET not in str(caught.value)
    assert files_below(tmp_path / "out") == {}  # not even the first, which was whole


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def wrong_byte(raw: bytes) -> bytes:
    return raw[:1000] + bytes([raw[1000] ^ 1]) + raw[1001:]


def other_name(raw: bytes) -> bytes:
    return raw.replace(SECRET.encode(), b"x" * len(SECRET), 1)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": cut,
    "byte": wrong_byte,
    "names differ": other_name,
    "page": lambda raw: b"<html>" * 99,
    "none": lambda raw: b"",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_zip_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    made = make_zip(tmp_path / "x.zip", SECRET)
    made.write_bytes(damage(made.read_bytes()))
    with pytest.raises(RefusedError, match=r"^damaged_archive: x\.zip: ") as caught:
        unpack_zip(made, tmp_path / "out")
    assert SECRET not in str(caught.value)
    assert files_below(tmp_path / "out") == {}


def test_mutants_are_unpacked_or_refused_and_nothing_else(tmp_path: Path) -> None:
    random = np.random.default_rng(88)
    raw = make_zip(tmp_path / "x.zip", "a/1", "a/2", data=SLICE[:200] + bytes(400)).read_bytes()
    refused = 0
    for number in range(300):
        mutant = np.frombuffer(raw, np.uint8).copy()
        mutant[random.integers(len(raw), size=random.integers(1, 4))] = random.integers(256)
        (tmp_path / "x.zip").write_bytes(mutant.tobytes())
        try:
            unpack_zip(tmp_path / "x.zip", tmp_path / f"out{number}")
        except RefusedError:
            refused += 1
            assert files_below(tmp_path / f"out{number}") == {}
    assert refused > 100


def test_beginnings_are_read_of_what_is_safe_to_unpack_alone(tmp_path: Path) -> None:
    made = make_zip(tmp_path / "x.zip", "b", "a/1")
    assert list(archive.member_beginnings(made, 10)) == [("a/1", SLICE[:10]), ("b", SLICE[:10])]
    wrong_first = made.read_bytes().replace(b"PK\3\4", b"PK\3\5", 1)  # the header before "b"
    for content in (wrong_first, b"", made.read_bytes()[:-4]):
        made.write_bytes(content)
        assert list(archive.member_beginnings(made, 10)) == []
    assert list(archive.member_beginnings(by_lzma(made), 10)) == []


def test_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path)
    with pytest.raises(FileExistsError, match="empty"):
        unpack_zip(make_zip(tmp_path / "x.zip", "a/b"), tmp_path / "out")
    assert [left.name for left in (tmp_path / "out").iterdir()] == ["a"]
