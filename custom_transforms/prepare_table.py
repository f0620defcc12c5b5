"""Prepare all bags of a data list at once, and say what became of every slice."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset
from tqdm import tqdm

from custom_transforms.atomic_file import remove_leftovers, whole_file
from custom_transforms.cache_estimate import require_room
from custom_transforms.data_list import load_fold
from custom_transforms.mri_study import case_name
from custom_transforms.patient_bag import BagsDataset
from custom_transforms.prepared_items import preparing_loader
from custom_transforms.refusal import RefusedError, SomeRefusedError, last_line

COLUMNS = ("fold", "case", "slices", "kept", "dropped", "reasons", "notes", "refused")


def prepare_data_list(
    data_list: str | Path,
    *,
    folds: Sequence[str],
    base_dir: str | Path,
    transform: Callable[[Any], Any],
    cache_dir: str | Path,
    table: str | Path,
    num_workers: int = 0,
) -> None:
    """Prepare every patient of a data list, in parallel; those that were prepared before are only checked.

    One study that is refused does not keep the others waiting: it gets its row, and the run ends with its reason.

    Args:
        data_list: see `load_fold`.
        folds: names of the folds.
        base_dir: see `load_fold`.
        transform: see `BagsDataset`.
        cache_dir: see `BagsDataset`.
        table: csv file, one row a patient, with the columns `COLUMNS`.
        num_workers: processes.

    Raises:
        RefusedError: no patients, too little disk or memory, or, at the end, at least one study that was refused.
    """
    rows = []
    data = {name: load_fold(data_list, name, base_dir) for name in folds}
    by_fold = {name: BagsDataset(items, transform, cache_dir, bag_transform=dict) for name, items in data.items()}
    remove_leftovers(cache_dir)
    require_room([*by_fold.values()], num_workers=num_workers)
    for fold, bags in by_fold.items():
        loader = preparing_loader(_Rows(bags, fold), num_workers)
        rows += list(tqdm(loader, desc=f"preparing {fold}", unit="patient"))
    if not rows:
        name = Path(data_list).name
        raise RefusedError.of("empty_data_set", name, expected=f"patients in {', '.join(folds)}", got="none")
    with whole_file(table) as file, file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    refused = [row for row in rows if row["refused"]]
    if refused:
        expected = f"{len(rows)} studies that can be used"
        got = f"{len(refused)} that cannot, first {refused[0]['refused']}"
        raise SomeRefusedError.of("refused_studies", Path(table).name, expected=expected, got=got)


class _Rows(Dataset[dict[str, Any]]):
    """Rows of the table, each made by preparing its patient, inside a data loader's workers."""

    def __init__(self, bags: BagsDataset, fold: str) -> None:
        self.bags = bags
        self.fold = fold

    def __len__(self) -> int:
        return len(self.bags)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = {"fold": self.fold, "case": case_name(self.bags.data[index]), "refused": ""}
        try:
            self.bags.discard_if_damaged(index)
            bag = self.bags.bag(index)
        except RefusedError as error:
            return row | {"refused": last_line(error)}
        dropped: Mapping[str, str] = json.loads(str(np.asarray(bag.dropped)))
        reasons = Counter(reason.partition(":")[0] for reason in dropped.values())
        counts = {"slices": len(bag.image) + len(dropped), "kept": len(bag.image), "dropped": len(dropped)}
        told = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
        return row | counts | {"reasons": told, "notes": str(np.asarray(bag.notes))}
