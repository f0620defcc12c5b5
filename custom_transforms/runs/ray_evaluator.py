"""Run a network over many studies on a Ray cluster: the same work, the same ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.data import list_data_collate
from monai.handlers import CheckpointLoader
from torch.nn import Module

from custom_transforms.outside_score import OutsideScoreHandler
from custom_transforms.predictions import PredictionsHandler
from custom_transforms.refusal import RefusedError, last_line, refusal_in
from custom_transforms.runs.studies import Studies
from custom_transforms.runs.study_evaluator import StudyEvaluator
from custom_transforms.runs.study_items import StudyItems

REPEATS = 1  # of a task whose actor died, when it may have been the machine; a study is then done alone, once


class RayEvaluator(StudyEvaluator):
    """`StudyEvaluator` whose studies are prepared and predicted by actors of Ray Data.

    The actors write the outputs, whole or not at all, to a folder that all machines share; this process alone writes
    the ledger, in which a study that Ray did twice counts once. Machines need this package and the inputs under the
    same paths. Ray is that of `RAY_ADDRESS`, else it is started on this machine.

    Args:
        preparing_actors: processes that read and prepare, one CPU each.
        predicting_actors: processes that run the network.
        gpus_per_actor: GPUs of each of the latter; 0 for CPUs.
        options: see `StudyEvaluator`.
    """

    def __init__(
        self,
        *,
        preparing_actors: int = 2,
        predicting_actors: int = 1,
        gpus_per_actor: float = 0,
        studies: Studies,
        network: Module,
        **options: Any,
    ) -> None:
        super().__init__(studies=studies, network=network, **options)
        self.actors = (preparing_actors, predicting_actors)
        self.gpus_per_actor = gpus_per_actor
        for_actors = (OutsideScoreHandler, PredictionsHandler)
        self._handlers = [one for one in options["val_handlers"] if isinstance(one, for_actors)]
        self._load = [one for one in options["val_handlers"] if isinstance(one, CheckpointLoader)]
        shared = ("inferer", "postprocessing")
        self._options = {"network": network, **{name: options[name] for name in shared}}

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]
        """Do all studies that are missing or changed.

        Raises:
            SomeRefusedError: at the end, where some of all studies have no result.
            RefusedError: something that concerns all studies.
        """
        with self.studies.opened():
            for load in self._load:
                load(self)
            while self.studies.next_round():
                for account, found in self._stream():
                    if self.studies.received(account):
                        self.studies.record(account, **found)
                self.studies.worker_died()
        self.studies.tell_refused()

    def _stream(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Give what the actors found, in any order; studies over which they died are left out."""
        import ray

        if not ray.is_initialized():
            os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is reported to anybody
            environment = {"env_vars": {"PYTHONPATH": _import_path()}}
            ray.init(include_dashboard=False, log_to_driver=False, runtime_env=environment)
        context = ray.data.DataContext.get_current()
        context.max_errored_blocks = -1
        context.enable_progress_bars = False
        indices = self.studies.all_at_once()
        repeats = 0 if self.studies.with_suspects else REPEATS
        preparing, predicting = (
            {"compute": ray.data.ActorPoolStrategy(size=min(count, len(indices))), "max_task_retries": repeats}
            for count in self.actors
        )
        self._options["network"] = self._options["network"].cpu()
        rows = (
            ray.data.from_items([{"index": index} for index in indices], override_num_blocks=len(indices))
            .map(_Preparing, fn_constructor_args=(self.studies.dataset,), num_cpus=1, **preparing)
            .map(_Predicting, fn_constructor_args=(self._options, self._handlers), **self._where(), **predicting)
        )
        for row in rows.iter_rows():
            found = ray.cloudpickle.loads(row["found"])
            if isinstance(found, str):
                raise RefusedError(found)
            yield found

    def _where(self) -> dict[str, float]:
        return {"num_gpus": self.gpus_per_actor} if self.gpus_per_actor else {"num_cpus": 1}


class _Preparing:
    """Read and prepare, on CPUs."""

    def __init__(self, dataset: StudyItems) -> None:
        self.dataset = dataset

    def __call__(self, row: dict[str, int]) -> dict[str, bytes]:
        from ray import cloudpickle  # Ray's own way between its processes; nothing of it is kept

        return {"prepared": cloudpickle.dumps(self.dataset[row["index"]])}


class _Predicting:
    """Run the network and write the outputs."""

    def __init__(self, options: dict[str, Any], handlers: list[OutsideScoreHandler | PredictionsHandler]) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        options["network"].to(device)
        self.evaluator = StudyEvaluator(
            studies=None,  # type: ignore[arg-type]  # the driver alone writes the ledger
            val_data_loader=[],  # type: ignore[arg-type]
            val_handlers=handlers,
            device=device,
            amp=device.type == "cuda",
            **options,
        )
        self.evaluator.fire_event(Events.STARTED)

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        from ray import cloudpickle

        self.evaluator.fire_event(Events.ITERATION_STARTED)
        try:
            found: object = self.evaluator.work_on(list_data_collate([cloudpickle.loads(row["prepared"])]))
        except Exception as error:  # it ends the run; raised here, Ray would leave this one study out
            found = str(refusal_in(error) or f"could_not_run: .: expected results, got {last_line(error)}")
        return {"found": cloudpickle.dumps(found)}


def _import_path() -> str:
    """Where the actors find this package, as this process does."""
    root = Path(__file__).resolve().parents[2]
    return os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
