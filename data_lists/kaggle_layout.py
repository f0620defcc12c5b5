"""Cases of the Kaggle copy of BraTS 2020: one HDF5 file per slice and a table of all slices."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_lists.case_files import CaseFiles

SLICE_NAME = re.compile(r"volume_(?P<volume>\d+)_slice_(?P<slice>\d+)\.h5")
TABLE = "meta_data.csv"


def find_kaggle_cases(
    dataset_dir: Path, *, files: Sequence[str], modalities: tuple[str, ...], unlabelled: bool
) -> list[CaseFiles]:
    """Group slices into volumes and compare them with the table.

    Args:
        dataset_dir: folder of the data set.
        files: relative POSIX paths in it.
        modalities: channel order of the slices.
        unlabelled: leave masks out.

    Returns:
        One case per volume; the copy has no patient ids, so a volume counts as a patient.

    Raises:
        ValueError: If the table is missing or is not as described, a slice number is missing, a volume lies in two
            folders, or files and table differ.
    """
    slices: dict[str, dict[int, str]] = {}
    for path in files:
        match = SLICE_NAME.fullmatch(path.rpartition("/")[2])
        if match:
            found = slices.setdefault(f"volume_{match['volume']}", {})
            number = int(match["slice"])
            if found.setdefault(number, path) != path:
                raise ValueError(f"expected one file per slice, got {found[number]} and {path}")
    if not slices:
        return []
    tables = [path for path in files if path.rpartition("/")[2] == TABLE]
    if len(tables) != 1:
        raise ValueError(f"expected one {TABLE} beside the slices, got {', '.join(tables) or 'none'}")
    _check_against_table(slices, table=_read_table(dataset_dir / tables[0], name=tables[0]), name=tables[0])
    return [_case(volume, found, modalities=modalities, unlabelled=unlabelled) for volume, found in slices.items()]


def _case(volume: str, found: Mapping[int, str], *, modalities: tuple[str, ...], unlabelled: bool) -> CaseFiles:
    gaps = sorted(set(range(max(found) + 1)) - found.keys())
    if gaps:
        raise ValueError(f"expected slices 0 to {max(found)} of {volume}, got none numbered {gaps[0]}")
    folder, separator, _ = found[0].rpartition("/")
    pattern = f"{folder}{separator}{volume}_slice_*.h5"
    for number, path in found.items():
        if path != pattern.replace("*", str(number)):
            raise ValueError(f"expected {pattern.replace('*', str(number))}, got {path}")
    return CaseFiles(volume, volume, (pattern,), modalities, None if unlabelled else pattern, slices=len(found))


def _read_table(path: Path, *, name: str) -> dict[str, set[int]]:
    """Read the slice numbers of each volume from the columns slice_path, target, volume and slice."""
    table: dict[str, set[int]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for row in csv.DictReader(stream):
                file_name = f"volume_{int(row['volume'])}_slice_{int(row['slice'])}.h5"
                if row["slice_path"].rpartition("/")[2] != file_name:
                    raise ValueError(f"expected {file_name} in the row, got {row['slice_path']}")
                if int(row["slice"]) in table.setdefault(f"volume_{int(row['volume'])}", set()):
                    raise ValueError(f"expected one row per slice, got {file_name} twice")
                table[f"volume_{int(row['volume'])}"].add(int(row["slice"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise ValueError(
            f"{name}: expected the columns slice_path, target, volume, slice, got {type(error).__name__}: {error}"
        ) from error
    return table


def _check_against_table(slices: Mapping[str, Mapping[int, str]], *, table: Mapping[str, set[int]], name: str) -> None:
    for volume in sorted(slices.keys() | table.keys()):
        in_files, in_table = set(slices.get(volume, {})), table.get(volume, set())
        if in_files != in_table:
            first = min(in_files ^ in_table)
            raise ValueError(
                f"{name}: expected the slices that the files have, got {len(in_table)} rows and {len(in_files)} files "
                f"of {volume}; first difference {volume}_slice_{first}.h5"
            )
