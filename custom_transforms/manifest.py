"""The list of a bundle's files with their hashes, and what differs from it."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from custom_transforms.atomic_file import whole_file
from custom_transforms.file_hash import file_sha256
from custom_transforms.refusal import RefusedError

NAME = "manifest.json"
FORMAT_VERSION = 1
NOT_LISTED = (NAME, f"{NAME}.sig")  # a file cannot hold its own hash, nor the signature of itself
OUTPUT_FOLDERS = ("eval", "prepared")  # what runs write; nothing in them is named by a config or imported
CODE_CACHES = (".pyc", ".pyo")
LARGEST_BYTES = 16 << 20  # of a manifest; a bundle has about a hundred files
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class ListedFile:
    """One file of a bundle.

    Attributes:
        path: below the bundle's folder, with `/`.
        size: bytes.
        sha256: of the content, 64 hexadecimal digits.
    """

    path: str
    size: int
    sha256: str


def list_files(bundle: str | Path) -> list[ListedFile]:
    """Hash every file of a bundle, sorted by path: configs, docs, weights, LICENSE, a copied `custom_transforms`.

    What runs write, `eval/` and `prepared/` at the top, is left out, and so are the manifest and its signature.

    Args:
        bundle: the folder.

    Raises:
        RefusedError: a link or another special file, whose content may change without it, or a cache of compiled code,
            which Python would run in place of the file that it is of.
    """
    files = []
    for path, status in _walk(Path(bundle)):
        if fault := _fault(path, status):
            raise fault
        files.append(ListedFile(path, status.st_size, file_sha256(Path(bundle) / path)))
    return sorted(files)


def write_manifest(bundle: str | Path, path: str | Path | None = None) -> Path:
    """Write the manifest of a folder as it is now.

    Args:
        bundle: the folder.
        path: the manifest; the default, None, is `manifest.json` in the folder.

    Raises:
        RefusedError: see `list_files`.
    """
    path = Path(path or Path(bundle) / NAME)
    files = [asdict(file) for file in list_files(bundle)]
    with whole_file(path) as file:
        file.write_text(json.dumps({"format_version": FORMAT_VERSION, "files": files}, indent=1) + "\n")
    return path


def parse_manifest(raw: bytes, name: str = NAME) -> list[ListedFile]:
    """Read a manifest that may come from anybody.

    Raises:
        RefusedError: damaged, of another format, or with paths that point out of the bundle or repeat.
    """
    try:
        content = json.loads(raw if len(raw) <= LARGEST_BYTES else b"")
        if content["format_version"] != FORMAT_VERSION:
            got = f"format_version {content['format_version']!r:.20}"
            raise RefusedError.of("other_manifest_format", name, expected=str(FORMAT_VERSION), got=got)
        files = [ListedFile(**entry) for entry in content["files"]]
    except RefusedError:
        raise
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        expected = "a manifest as verify_bundle.py --write makes it"
        raise RefusedError.of("damaged_manifest", name, expected=expected, got="something else") from error
    sound = all(map(_is_sound, files)) and len({file.path for file in files}) == len(files)
    if not sound:
        expected = "paths below the bundle, each once, with sizes and hashes"
        raise RefusedError.of("damaged_manifest", name, expected=expected, got="others")
    return sorted(files)


def differences(bundle: str | Path, listed: list[ListedFile]) -> list[RefusedError]:
    """Name everything in which a bundle's folder differs from its manifest, one refusal each; none: they are the same.

    Nothing of the bundle is imported, parsed or run, and no link is followed.
    """
    bundle, wanted, found = Path(bundle), {file.path: file for file in listed}, []
    for path, status in _walk(bundle):
        file = wanted.pop(path, None)
        if fault := _fault(path, status):
            found.append(fault)
        elif file is None:
            got = f"a file of {status.st_size} bytes"
            found.append(RefusedError.of("surplus_file", path, expected="nothing, as the manifest says", got=got))
        elif status.st_size != file.size:
            expected, got = f"{file.size} bytes", str(status.st_size)
            found.append(RefusedError.of("changed_file", path, expected=expected, got=got))
        elif (sha256 := file_sha256(bundle / path)) != file.sha256:
            found.append(RefusedError.of("changed_file", path, expected=f"sha256 {file.sha256}", got=sha256))
    found += [RefusedError.of("missing_file", path, expected="a file", got="none") for path in wanted]
    return found


def _walk(bundle: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Give path and status of everything but plain folders, without following links; output folders are skipped."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in sorted(os.scandir(bundle / folder), key=lambda entry: entry.name):
            path, status = f"{folder}{entry.name}", entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                if path not in NOT_LISTED or not stat.S_ISREG(status.st_mode):
                    yield path, status
            elif path not in OUTPUT_FOLDERS:
                waiting.append(f"{path}/")


def _fault(path: str, status: os.stat_result) -> RefusedError | None:
    if not stat.S_ISREG(status.st_mode):
        got = "a link" if stat.S_ISLNK(status.st_mode) else "a special file"
        return RefusedError.of("special_file", path, expected="a regular file", got=got)
    if path.lower().endswith(CODE_CACHES):
        expected = "no cache of compiled code, which Python runs in place of its source (remove every __pycache__)"
        return RefusedError.of("code_cache", path, expected=expected, got="one")
    return None


def _is_sound(file: ListedFile) -> bool:
    if not isinstance(file.path, str) or type(file.size) is not int or not isinstance(file.sha256, str):
        return False
    place = PurePosixPath(file.path)
    inside = not place.is_absolute() and ".." not in place.parts and "\\" not in file.path and place.parts != ()
    return inside and str(place) == file.path and SHA256.fullmatch(file.sha256) is not None
