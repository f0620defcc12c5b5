"""A data set of studies of which none stops a run: what cannot be prepared becomes an item that says why."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from custom_transforms.file_stem import file_stem
from custom_transforms.mri_study import case_name
from custom_transforms.resources import PeakMemory, megabytes
from custom_transforms.runs.failures import describe_failure
from custom_transforms.runs.study_name import name_study
from custom_transforms.runs.study_record import input_sha256, input_state, item_state, row_id

STUDY = "study"  # key of an item's account, as JSON: a loader makes tensors of numbers


class StudyItems(Dataset[dict[str, Any]]):
    """Items of a data list, each prepared in the loader's worker, none of which raises.

    Args:
        data: items with `image` and, where it is named, `case`.
        transform: the bundle's preprocessing.
        base_dir: folder that the studies lie in; ids are made from what follows it in a path.

    An item that could be prepared has what `transform` leaves, and `study`, a JSON text with `row` (id), `index`,
    `case`, hashes of what the list says of it (`item`) and of its files (`state`, `sha256`), `seconds`, `peak_mb` and
    `notes`. Any other has `study` alone, which then also says `failure`.
    """

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any], base_dir: str | Path = "."
    ) -> None:
        self.data = data
        self.transform = transform
        self.base_dir = Path(base_dir)
        self.salt = ""  # of the ledger, once a run has begun

    def __len__(self) -> int:
        """Count studies."""
        return len(self.data)

    def row_id(self, index: int) -> str:
        """Give the id of a study in the ledger."""
        return row_id(self.salt, self.data[index]["image"], self.base_dir)

    def owners(self) -> dict[str, str]:
        """Give the row id of the study that each name, as files have it, belongs to; to a refused item last."""
        refused_first = sorted(enumerate(self.data), key=lambda numbered: "refused" not in numbered[1])
        return {file_stem(case_name(item)): self.row_id(index) for index, item in refused_first}

    def account(self, index: int) -> dict[str, Any]:
        """Say by what a study is known again; with `failure` where its files cannot be read."""
        item, row = self.data[index], self.row_id(index)
        account: dict[str, Any] = {"index": index, "row": row, "case": row, "notes": [], "state": "", "sha256": ""}
        account["item"] = item_state(self.salt, item)
        try:
            state, sha256 = input_state(self.salt, item["image"]), input_sha256(item["image"])
            account |= {"state": state, "sha256": sha256}
        except Exception as error:
            account["failure"] = vars(describe_failure(error, "preparing"))
        return account

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Prepare a study, or say why that cannot be."""
        began, peak, item = time.monotonic(), PeakMemory(), dict(self.data[index])
        account = self.account(index)
        prepared: dict[str, Any] = {}
        if "failure" not in account:
            try:
                item["case"], account["notes"] = name_study(item, account["row"])
                account["case"] = item["case"]
                prepared = self.transform(item)
            except Exception as error:
                account["failure"] = vars(describe_failure(error, "preparing"))
        account["seconds"] = round(time.monotonic() - began, 3)
        account["peak_mb"] = megabytes(peak.peak_bytes())
        return {**prepared, STUDY: json.dumps(account)}
