"""Training on a GPU: its step in half precision beside float32, and from the loader beside one batch in memory."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer

from benchmarks.job import Job
from custom_transforms.data_list import load_fold

STEPS = 40
COUNTED_AGAIN = 10  # how often an epoch has each patient, so that it is long beside the start of the loader's workers
IN_EVERY_STEP = ("finish_step", "skip_bad_steps", "gradient_clip", "CurriculumHandler")  # handlers that work there
Batch = dict[str, Any]


class Training:
    """A bundle's trainer as its config makes it, with the handlers that work in every step.

    Args:
        bundle: folder.
        dataset_dir: folder with a data list.
        cache_dir: where prepared patients go.
        workers: of the loader.
    """

    def __init__(self, bundle: Path, dataset_dir: Path, cache_dir: Path, *, workers: int) -> None:
        self.file = bundle / "configs" / "train.json"
        self.options: dict[str, object] = {"bundle_root": str(bundle), "dataset_dir": str(dataset_dir)}
        self.options |= {"cache_dir": str(cache_dir), "num_workers": workers, "pretrained": "none"}
        dataset = self._parser().get_parsed_content("train::dataset")
        getattr(dataset, "volumes", dataset).prepare(num_workers=workers)
        patients = load_fold(dataset_dir / "data_list.json", "training", dataset_dir)
        self.options["train::dataset::data"] = patients * COUNTED_AGAIN
        self.batch: Batch = next(iter(self._parser().get_parsed_content("train::dataloader")))

    def step_job(self, name: str, *, epochs: int = 0) -> Job:
        """Take steps in float32 and as the config has it, from one batch, after so many epochs."""
        batches = [self.batch] * STEPS
        return Job(
            f"{name}, {STEPS} steps, GPU",
            partial(_first_loss, self._trainer(amp=False), batches, epochs),
            partial(_first_loss, self._trainer(amp=True), batches, epochs),
            equal=lambda expected, found: abs(expected - found) <= 0.02 * abs(expected),
            tolerance="2 % of the first loss: half precision",
            runs=2,
            describe=lambda expected, found: f"first loss {expected:.4g} and {found:.4g}",
        )

    def loader_job(self, name: str) -> Job:
        """Train an epoch from the loader beside as many steps from one batch in memory; 0.8 is to be reached."""
        trainer, loader = self._trainer(amp=True), self._parser().get_parsed_content("train::dataloader")
        return Job(
            f"{name}, {len(loader)} steps, GPU",
            partial(_first_loss, trainer, [self.batch] * len(loader), 0),
            partial(_first_loss, trainer, loader, 0),
            equal=lambda expected, found: True,
            tolerance="none: the same step on other batches",
            runs=1,
            to_reach=0.8,
        )

    def _parser(self) -> ConfigParser:
        parser = ConfigParser()
        parser.read_config(self.file)
        for name, setting in self.options.items():
            parser[name] = setting
        handlers = parser["train::handlers"]
        parser["train::handlers"] = [
            part for part in handlers if any(word in part["_target_"] for word in IN_EVERY_STEP)
        ]
        return parser

    def _trainer(self, *, amp: bool) -> SupervisedTrainer:
        parser = self._parser()
        parser["train::trainer::amp"] = amp
        torch.manual_seed(0)
        return parser.get_parsed_content("train::trainer")


def _first_loss(trainer: SupervisedTrainer, batches: Collection[Batch], epochs: int) -> float:
    """Train one epoch, after so many that are taken as done, and give its first loss."""
    losses: list[torch.Tensor] = []
    torch.manual_seed(0)  # the same dropout
    trainer.data_loader = batches
    state = trainer.state
    state.epoch, state.max_epochs, state.iteration, state.epoch_length = epochs, epochs + 1, 0, len(batches)
    with trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(state.output[0]["loss"])):
        trainer.run()
    torch.cuda.synchronize()
    return float(losses[0])
