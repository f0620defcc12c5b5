"""Which studies are still to be done, and the ledger of what became of each."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils.data import Sampler

from custom_transforms.atomic_file import remove_leftovers
from custom_transforms.refusal import SomeRefusedError
from custom_transforms.runs.failures import kills_its_worker
from custom_transforms.runs.folder_lock import Shard, hold_briefly, lock_folder
from custom_transforms.runs.ledger import (
    BEGAN,
    DONE,
    Entry,
    Ledger,
    find_ledgers,
    newest_rows,
    note_death,
    now,
    read_row,
    read_salt,
)
from custom_transforms.runs.reassigned_names import remove_outputs, remove_reassigned
from custom_transforms.runs.study_items import StudyItems
from custom_transforms.runs.study_record import still_holds
from custom_transforms.runs.summary import SUMMARY, sum_up, tell
from custom_transforms.runs.work import describe_work, files_in_use, require_unchanged

logger = logging.getLogger(__name__)
DEATHS_UNTIL_FAILED = 2


class Studies(Sampler[int]):
    """The sampler of a run over many studies, which gives those that are missing or changed, and keeps the ledger.

    Building it touches no file. Only the process that runs the network writes; the loader's workers prepare.

    Args:
        dataset: all studies.
        output_dir: folder of results and ledgers.
        work: arguments of `describe_work`, by name.
        shard: share of this run, as `2/4`; by default all.
        retry_refused: also do what was refused or failed before, though nothing has changed.
    """

    def __init__(
        self,
        dataset: StudyItems,
        output_dir: str | Path,
        *,
        work: Mapping[str, Any],
        shard: str = "",
        retry_refused: bool = False,
    ) -> None:
        self.dataset = dataset
        self.output_dir = Path(output_dir)
        self.shard = shard
        self.retry_refused = retry_refused
        self._work = work
        self._todo: Sequence[int] = range(len(dataset))
        self.summary: dict[str, Any] = {}
        self._pending: dict[int, Entry | None] = {}  # what is to be done, with its newest row
        self._in_loader: set[int] = set()  # handed to a worker, and not come back
        self.with_suspects = False  # this round is of one study over which a process may have died

    def __len__(self) -> int:
        """Count the studies of this round."""
        return len(self._todo)

    def __iter__(self) -> Iterator[int]:
        """Give the studies of this round, and note for each that it was begun."""
        for index in self._todo:
            self._begin(index)
            row = {"row": self.dataset.row_id(index), "status": "started", "deaths": self._deaths(index), "date": now()}
            self._ledger.append(row, durable=False)
            yield index

    def all_at_once(self) -> list[int]:
        """Give the studies of this round without noting it: when this process dies, it is not over one of them."""
        for index in self._todo:
            self._begin(index)
        return list(self._todo)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the output folder, find what is to be done, and sum up at the end, also when that is early.

        Raises:
            RefusedError: another run holds the folder, or there are no weights.
        """
        self._in_use = files_in_use(self._work)
        work, shard = describe_work(**self._work), Shard.of(self.shard)
        with lock_folder(self.output_dir, shard):
            with hold_briefly(self.output_dir):  # one salt for all shards, and each old result is removed once
                salts = [read_salt(path) for path in find_ledgers(self.output_dir)]
                self._ledger = Ledger(self.output_dir / shard.ledger, *salts[:1])
                self.dataset.salt, self._about_work = self._ledger.salt, work
                remove_reassigned(self.output_dir, self._ledger, self.dataset.owners())
            self._begun_at = self._ledger.size
            remove_leftovers(self.output_dir)
            newest = newest_rows(self.output_dir)
            mine = [index for index in range(len(self.dataset)) if shard.holds(index)]
            entries = {index: newest.get(self.dataset.row_id(index)) for index in mine}
            self._pending = {index: entry for index, entry in entries.items() if self._is_wanted(index, entry)}
            try:
                yield
            finally:
                self._ledger.close()
                with hold_briefly(self.output_dir):
                    ids = [self.dataset.row_id(index) for index in range(len(self.dataset))]
                    self.summary = sum_up(self.output_dir, ids, work["fingerprint"])
                    logger.info(tell(self.summary))

    def tell_refused(self) -> None:
        """End a run with its own exit status where a study has no result.

        Raises:
            SomeRefusedError: some were refused or failed.
        """
        if self.summary["refused"] or self.summary["failed"]:
            expected = "results of all studies"
            raise SomeRefusedError.of("some_refused", SUMMARY, expected=expected, got=tell(self.summary))

    def next_round(self) -> bool:
        """Choose what to do next; False when nothing is left.

        A study over which a process may have died comes first and alone, so that no other is blamed the next time.
        """
        newest = newest_rows(self.output_dir)
        for index in list(self._pending):
            entry = newest.get(self.dataset.row_id(index))
            if entry and entry.ledger == self._ledger.path and entry.offset >= self._begun_at:
                self._pending[index] = entry
                if entry.status in DONE:
                    del self._pending[index]
        for index, entry in list(self._pending.items()):
            if entry and entry.status == "died" and entry.deaths >= DEATHS_UNTIL_FAILED:
                self._record_killer(index, entry)
                del self._pending[index]
        suspects = [index for index, entry in self._pending.items() if entry and entry.status == "died"]
        self.with_suspects, self._todo, self._in_loader = bool(suspects), suspects[:1] or list(self._pending), set()
        return bool(self._todo)

    def received(self, account: Mapping[str, Any]) -> bool:
        """Note that a study came back from the loader; False if it had come back before."""
        is_first = account["index"] in self._in_loader
        self._in_loader.discard(account["index"])
        return is_first

    def worker_died(self) -> None:
        """Note that a process of the loader died: any of the studies that it had may be the cause."""
        for index in sorted(self._in_loader):
            note_death(self._ledger, self.dataset.row_id(index), self._deaths(index))

    def record(self, account: Mapping[str, Any], **found: Any) -> None:
        """Write the row of a study that is done.

        Args:
            account: of `StudyItems`.
            found: `outputs` (file name to hash), `table` (columns of the table), `seconds`, `peak_mb`.
        """
        require_unchanged(self._in_use, self._work)
        failure = account.get("failure") or {"status": "ok", "code": "", "message": ""}
        deaths = self._deaths(account["index"])
        row = {name: account[name] for name in ("row", "case", "notes", "item", "state", "sha256")}
        row |= {"deaths": 0, "attempts": account.get("attempts", deaths + 1), "date": now()}
        self._ledger.append({**row, **failure, **found, **self._about_work})

    def _record_killer(self, index: int, entry: Entry) -> None:
        failure = vars(kills_its_worker(entry.deaths))
        account = {**self.dataset.account(index), "attempts": entry.deaths, "failure": failure}
        self.record(account, outputs={}, table={}, seconds=None, peak_mb=None)

    def _begin(self, index: int) -> None:
        entry = self._pending[index]
        if entry and entry.status == "ok":  # its results are of something else, or not whole
            remove_outputs(self.output_dir, entry)
        self._in_loader.add(index)

    def _deaths(self, index: int) -> int:
        entry = self._pending[index]
        return entry.deaths if entry else 0

    def _is_wanted(self, index: int, entry: Entry | None) -> bool:
        """Tell whether a study is missing or changed."""
        if entry is None or entry.status not in DONE:
            return True
        if self.retry_refused and entry.status != "ok" and entry.date < os.environ.get(BEGAN, now()):
            return True
        row = read_row(entry)
        if row["fingerprint"] != self._about_work["fingerprint"]:
            return True
        return not still_holds(row, self.dataset.data[index], folder=self.output_dir, salt=self.dataset.salt)
