"""Refuse to start without data, and prepare volumes before the first step."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from custom_transforms.cache_estimate import require_room
from custom_transforms.file_stem import file_stem
from custom_transforms.mri_study import case_name
from custom_transforms.prepared_items import PreparedItems
from custom_transforms.refusal import RefusedError, last_line
from custom_transforms.refused_patients import leave_out_refused


class Fold(Protocol):
    """A data set made from items, such as `PreparedItems` or `monai.data.Dataset`."""

    data: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        """Count patients."""
        ...


def require_data(
    folds: Mapping[str, Fold],
    data_list: str | Path,
    *,
    num_workers: int = 0,
    max_refused: int = 0,
    refused_table: str | Path | None = None,
) -> None:
    """Check that every fold has patients, then prepare the volumes that are kept prepared.

    Stands in a config's `run` before the engine: MONAI's engines take an empty data set for a finished one; and before
    anything is made from the data sets, as a sampler, because refused patients are left out of them.

    Args:
        folds: name of a fold to its data set; a `PreparedItems` is worked out now, with a progress bar.
        data_list: file that the items come from, for the message.
        num_workers: processes that prepare.
        max_refused: so many patients, of all folds, may be left out because their files cannot be used.
        refused_table: csv file that names these, written where there are any; None: not.

    Raises:
        RefusedError: the data list is absent or damaged, a fold has fewer patients than there are ranks to share it,
            a patient is in two folds, two cases of a fold have one name, so that their results would overwrite each
            other, more patients are refused than may be, or there is too little disk or memory to prepare them.
    """
    for fold, data in folds.items():
        _refuse_few(fold, data, Path(data_list))
        _refuse_repeated(fold, data, Path(data_list))
    _refuse_leak(folds, Path(data_list))
    prepared = {fold: data for fold, data in folds.items() if isinstance(data, PreparedItems)}
    require_room([*prepared.values()], num_workers=num_workers)
    refused = {
        fold: data.prepare(num_workers=num_workers, description=f"preparing {fold}") for fold, data in prepared.items()
    }
    leave_out_refused(prepared, refused, max_refused=max_refused, table=refused_table)
    for fold, data in prepared.items():
        _refuse_few(fold, data, Path(data_list))


class RequireDataHandler:
    """Refuse to train on nothing where another program starts the trainer, past a config's `run`.

    A site of federated training whose data list is not where it should be would hand back the weights that it got,
    and take part in the average.

    Args:
        data_list: file that the items come from, for the message.
    """

    def __init__(self, data_list: str | Path) -> None:
        self.data_list = Path(data_list)

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run when the trainer starts, if it has nothing to draw from."""
        if engine.state.epoch_length == 0:
            engine.state.epoch_length = 1  # else MONAI would take it for finished
            engine.add_event_handler(Events.STARTED, self)

    def __call__(self) -> None:
        """Refuse.

        Raises:
            RefusedError: the data list is absent or damaged, or there is no patient to train on.
        """
        _refuse_few("training", (), self.data_list)


def _refuse_repeated(fold: str, data: Fold, data_list: Path) -> None:
    positions: dict[str, list[int]] = defaultdict(list)
    for position, item in enumerate(data.data, start=1):
        if "refused" in item:  # it has no results
            continue
        positions[file_stem(case_name(item))].append(position)
    most = max(positions.values(), key=len, default=[])
    if len(most) > 1:
        expected = f"a name of its own for each case in '{fold}'"
        got = f"one for the cases {', '.join(map(str, most[:5]))}{', …' * (len(most) > 5)} of it"
        raise RefusedError.of("repeated_case", data_list.name, expected=expected, got=got)


def _refuse_leak(folds: Mapping[str, Fold], data_list: Path) -> None:
    first: dict[str, tuple[str, int]] = {}
    for fold, data in folds.items():
        for position, item in enumerate(data.data, start=1):
            other, there = first.setdefault(str(item.get("patient", case_name(item))), (fold, position))
            if other != fold:  # told by position: a name may be a person's
                got = f"one in {other}, case {there}, and in {fold}, case {position}"
                raise RefusedError.of("patient_in_two_folds", data_list.name, expected="each patient in one", got=got)


def _refuse_few(fold: str, data: Sized, data_list: Path) -> None:
    if len(data) >= idist.get_world_size():
        return
    if not data_list.is_file():
        hint = "a data list (scripts/build_data_lists.py makes one from a folder)"
        raise RefusedError.of("missing_data_list", data_list.name, expected=hint, got=f"no file {data_list}")
    try:
        json.loads(data_list.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RefusedError.of("damaged_data_list", data_list.name, expected="JSON", got=last_line(error)) from error
    wanted = f"at least {idist.get_world_size()} patient(s) in '{fold}'"
    raise RefusedError.of("empty_data_set", data_list.name, expected=wanted, got=str(len(data)))
