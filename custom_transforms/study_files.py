"""List the files of a study's folder, and nothing that lies outside of it."""

from __future__ import annotations

import os
from pathlib import Path

from custom_transforms.refusal import RefusedError

LARGEST_COUNT = 20_000  # files of a folder; a study has some thousand at most


def files_below(folder: Path) -> list[Path]:
    """List the files of a folder and its sub-folders, in the order of their paths.

    Names that begin with a dot are passed over. Links to what lies inside are passed over too: what they
    point to is listed itself.

    Raises:
        RefusedError: a link that points out of the folder or nowhere, a pipe or device, which may never end, a folder
            that cannot be opened, or too many files.
    """
    root, files, waiting = folder.resolve(), [], [folder]
    while waiting:
        for entry in _entries(waiting.pop(), folder):
            name = Path(entry.path).relative_to(folder).as_posix()
            if entry.is_symlink():
                _check_link(Path(entry.path), root, name)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif not entry.is_file(follow_symlinks=False):
                raise RefusedError.of("unreadable_file", name, expected="a file", got="a pipe, socket or device")
            else:
                files.append(Path(entry.path))
            if len(files) + len(waiting) > LARGEST_COUNT:
                raise RefusedError.of("too_many_files", ".", expected=f"at most {LARGEST_COUNT} files", got="more")
    return sorted(files)


def _entries(place: Path, folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        name = place.relative_to(folder).as_posix()
        raise RefusedError.of("unreadable_file", name, expected="a folder", got=str(error.strerror)) from None


def _check_link(link: Path, root: Path, name: str) -> None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # Python 3.10 to 3.12 raise RuntimeError on a loop of links
        raise RefusedError.of("unreadable_file", name, expected="a file", got="a link that points nowhere") from None
    if not target.is_relative_to(root):
        expected = "files inside the study's folder"
        raise RefusedError.of("link_outside", name, expected=expected, got="a link that points out of it")
