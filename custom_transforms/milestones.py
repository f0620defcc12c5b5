"""Keep the checkpoints that a training is later asked for: each stage's end, and the best by each score."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from torch import nn
from torch.optim import Optimizer

from custom_transforms.atomic_file import remove_leftovers, whole_file
from custom_transforms.best_model import plain
from custom_transforms.choose_threshold import best_f1_point
from custom_transforms.curriculum import Stage, stage_number
from custom_transforms.curves import read_history, scalars
from custom_transforms.patient_scores import PatientScores


class MilestonesHandler:
    """Write `stage<n>.pt`, `best_f1.pt`, `best_auc.pt` and the table `checkpoint_summary.csv`.

    Every file holds `network`, `optimizer`, `epoch`, `stage`, `metrics`, `threshold`, `history` (the rows of
    `history.csv`) and `weights_source`, as plain values that `torch.load(weights_only=True)` takes. Beside a file of an
    epoch with a threshold stands `<stem>.operating_point.json`, so that inference can use the two. Attach after
    `TrainingCurvesHandler`, so that the history holds this epoch, and before `TrainingCheckpointHandler`, so that a
    resumed run knows the best scores.

    Args:
        evaluator: engine with the metrics of validation.
        objects: `network` and `optimizer`.
        stages: of the curriculum, which tell where one ends.
        folder: of the checkpoints and their table.
        history: the file `history.csv`.
        metric: gives the threshold of this validation, and the patients that it comes from.
        origin: of the threshold; see `OperatingPointHandler`.
    """

    SCORES = ("f1", "auc")

    def __init__(
        self,
        evaluator: SupervisedEvaluator,
        objects: Mapping[str, nn.Module | Optimizer],
        *,
        stages: Sequence[Stage],
        folder: str | Path,
        history: str | Path,
        metric: PatientScores,
        origin: Mapping[str, Any],
    ) -> None:
        self.evaluator = evaluator
        self.objects = {name: plain(it) if isinstance(it, nn.Module) else it for name, it in objects.items()}
        self.stages = stages
        self.folder = Path(folder)
        self.history = Path(history)
        self.metric = metric
        self.origin = origin

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run at the end of each epoch."""
        remove_leftovers(self.folder)
        last_stage = stage_number(self.stages, engine.state.max_epochs)
        names = [*(f"best_{name}.pt" for name in self.SCORES), *(f"stage{1 + i}.pt" for i in range(last_stage))]
        engine.state.milestone_files = [self.folder / name for name in names]  # for which room must be
        engine.state.milestones = {}  # file name to its row in the table
        engine.state_dict_user_keys.append("milestones")
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Write what is due, on the first rank."""
        state, epoch = engine.state, engine.state.epoch
        validated = self.evaluator.state.epoch == epoch
        metrics = scalars(self.evaluator.state.metrics) if validated else {}
        due = [f"best_{name}.pt" for name in self.SCORES if self._is_best(state.milestones, name, metrics)]
        if stage_number(self.stages, epoch + 1) > state.stage or epoch == state.max_epochs or engine.should_terminate:
            due.append(f"stage{state.stage}.pt")
        threshold = self.metric.threshold if validated else float("nan")
        row = {"epoch": epoch, "stage": state.stage, "threshold": threshold, **metrics}
        for name in due:
            state.milestones[name] = row
        if due and idist.get_rank() == 0:
            content: dict[str, Any] = {name: it.state_dict() for name, it in self.objects.items()}
            content |= {"epoch": epoch, "stage": state.stage, "metrics": metrics, "threshold": threshold}
            content |= {"history": read_history(self.history), "weights_source": state.weights_source}
            for name in due:
                with whole_file(self.folder / name) as file:
                    torch.save(content, file)
                if math.isfinite(threshold):
                    point = best_f1_point(self.metric, self.folder / name, origin=self.origin)
                    point.write((self.folder / name).with_suffix(".operating_point.json"))
            self._write_table(state.milestones)

    def _is_best(self, milestones: Mapping[str, Mapping[str, float]], name: str, metrics: Mapping[str, float]) -> bool:
        best = milestones.get(f"best_{name}.pt", {}).get(name, -math.inf)
        return metrics.get(name, math.nan) > best  # false for NaN

    def _write_table(self, milestones: Mapping[str, Mapping[str, float]]) -> None:
        rows: list[dict[str, Any]] = [{"file": name, **row} for name, row in sorted(milestones.items())]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with whole_file(self.folder / "checkpoint_summary.csv") as file, file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
