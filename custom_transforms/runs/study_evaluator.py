"""Run a network over many studies, of which none stops the others."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import Any

from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from torch.nn import Module

from custom_transforms.atomic_file import watch_files
from custom_transforms.file_hash import file_sha256
from custom_transforms.interruption import INTERRUPTION
from custom_transforms.refusal import causes
from custom_transforms.resources import PeakMemory, megabytes
from custom_transforms.runs.failures import concerns_all_studies, describe_failure, end_where_none_can_be_prepared
from custom_transforms.runs.studies import Studies
from custom_transforms.runs.study_items import STUDY

WORKER_DIED = re.compile(r"DataLoader worker \(pid")  # torch/utils/data/dataloader.py, and _error_if_any_worker_fails
DEVICE_LOST = re.compile(r"CUDA error|device-side assert")  # after it, nothing that this process asks of CUDA works


class StudyEvaluator(SupervisedEvaluator):
    """MONAI's evaluator of inference for `StudyItems`, with a row of a ledger for each study.

    A study that could not be prepared is passed on without network and postprocessing; one that fails in these gets a
    row as well. What would meet every study ends the run: weights, threshold, output folder.

    Args:
        studies: which are to be done; also the sampler of `val_data_loader`.
        val_data_loader: one study at a time.
        network: see `SupervisedEvaluator`, as all other arguments.
    """

    def __init__(self, *, studies: Studies, val_data_loader: DataLoader, network: Module, **options: Any) -> None:
        super().__init__(val_data_loader=val_data_loader, network=network, **options)
        self.studies = studies
        self._loader = val_data_loader

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]
        """Do all studies that are missing or changed.

        Raises:
            SomeRefusedError: at the end, where some of all studies have no result.
            RefusedError: something that concerns all studies.
        """
        with self.studies.opened():
            while self.studies.next_round():
                self.data_loader = self._alone() if self.studies.with_suspects else self._loader
                self.state.epoch_length = len(self.studies)
                try:
                    super().run(global_epoch)
                except RuntimeError as error:
                    if not _is_caused_by(error, WORKER_DIED):
                        raise
                    self._internal_run_generator = None  # else Ignite would take the next run for the rest of this one
                    self.studies.worker_died()
        self.studies.tell_refused()

    def _alone(self) -> DataLoader:
        """Prepare in a process of its own, which may die."""
        return DataLoader(self.studies.dataset, batch_size=1, sampler=self.studies, num_workers=1)

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict[str, Any]:
        """Work on a study that was prepared, and write its row in the ledger; a signal to end waits for that."""
        INTERRUPTION.in_step = True
        self.studies.received(json.loads(batchdata[STUDY][0]))
        account, found = self.work_on(batchdata)
        self.studies.record(account, **found)
        INTERRUPTION.in_step = False
        if INTERRUPTION.asked:
            INTERRUPTION.end()
        return self.state.output  # type: ignore[no-any-return]

    def work_on(self, batchdata: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run network and postprocessing on a batch of one study.

        Args:
            batchdata: item of `StudyItems`, collated.

        Returns:
            the study's account, with `failure` if there is one, and what `Studies.record` takes besides.

        Raises:
            Exception: what would meet every study.
        """
        account: dict[str, Any] = json.loads(batchdata[STUDY][0])
        began, outputs, table = time.monotonic(), {}, {}
        peak = PeakMemory(with_children=False)  # the loader's workers, its children, measure themselves
        self.state.batch, self.state.output = batchdata, [{}]
        if "failure" in account:
            end_where_none_can_be_prepared(account["failure"])
        else:
            with watch_files() as written:
                try:
                    super()._iteration(self, batchdata)
                    outputs = {file.name: file_sha256(file) for file in written}
                    table = self.state.output[0].get("table", {})
                except Exception as error:
                    for file in written:
                        file.unlink(missing_ok=True)
                    _end_where_all_would_fail(error)
                    account["failure"] = vars(describe_failure(error, "inference"))
        return account, {
            "outputs": outputs,
            "table": table,
            "seconds": {"preparing": account["seconds"], "inference": round(time.monotonic() - began, 3)},
            "peak_mb": {"preparing": account["peak_mb"], "inference": megabytes(peak.peak_bytes())},
        }


def _end_where_all_would_fail(error: Exception) -> None:
    if _is_caused_by(error, DEVICE_LOST):
        os.kill(os.getpid(), signal.SIGABRT)  # scripts/predict.py goes on in a new process, and knows over which study
    if _is_caused_by(error, WORKER_DIED) or concerns_all_studies(error):
        raise error


def _is_caused_by(error: Exception, text: re.Pattern[str]) -> bool:
    """Tell it also of an error that MONAI wrapped: torch tells of a dead worker in the middle of anything."""
    return any(text.search(str(link)) for link in causes(error))
