"""Refuse to start without data, and prepare volumes before the first step."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from pathlib import Path

import ignite.distributed as idist

from custom_transforms.prepared_volumes import PreparedVolumes
from custom_transforms.refusal import RefusedError


def require_data(folds: Mapping[str, Sized], data_list: str | Path, *, num_workers: int = 0) -> None:
    """Check that every fold has patients, then prepare the volumes that are kept prepared.

    Stands in a config's `run` before the engine: MONAI's engines take an empty data set for a finished one.

    Args:
        folds: name of a fold to its data set; a `PreparedVolumes` is worked out now, with a progress bar.
        data_list: file that the items come from, for the message.
        num_workers: processes that prepare.

    Raises:
        RefusedError: the data list does not exist, or a fold has fewer patients than there are ranks to share it.
    """
    for fold, data in folds.items():
        if len(data) < idist.get_world_size():
            _refuse(fold, len(data), Path(data_list))
    for fold, data in folds.items():
        if isinstance(data, PreparedVolumes):
            data.prepare(num_workers=num_workers, description=f"preparing {fold}")


def _refuse(fold: str, patients: int, data_list: Path) -> None:
    if not data_list.is_file():
        hint = "a data list (scripts/build_data_lists.py makes one from a folder)"
        raise RefusedError.of("missing_data_list", data_list.name, expected=hint, got=f"no file {data_list}")
    wanted = f"at least {idist.get_world_size()} patient(s) in '{fold}'"
    raise RefusedError.of("empty_data_set", data_list.name, expected=wanted, got=str(patients))
