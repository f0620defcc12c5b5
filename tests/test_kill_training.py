"""Training is killed at random moments while it writes: what it has kept can always be loaded."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from ignite.engine import Events
from monai.data import Dataset
from monai.engines import SupervisedTrainer
from sizes import KILLS
from torch.utils.data import DataLoader

from custom_transforms.atomic_file import remove_leftovers
from custom_transforms.best_model import BestModelHandler
from custom_transforms.choose_threshold import OperatingPointHandler
from custom_transforms.newest_checkpoint import read_checkpoint
from custom_transforms.operating_point import read_operating_point
from custom_transforms.refusal import RefusedError
from custom_transforms.safe_weights import read_weights
from custom_transforms.training_checkpoint import TrainingCheckpointHandler

EPOCHS = 10_000  # more than anybody waits for
SERVER = multiprocessing.get_context("forkserver")  # imports once; a fork of this process must not train
SERVER.set_forkserver_preload(["custom_transforms.choose_threshold", "custom_transforms.training_checkpoint"])


def train(folder: Path) -> None:
    """Train without end a network that takes some milliseconds to write, better in each epoch; go on where it was."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = torch.nn.Sequential(torch.nn.Linear(1, 300), torch.nn.Linear(300, 300), torch.nn.Linear(300, 1))
    item = {"image": torch.zeros(1), "label": torch.zeros(1)}
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=EPOCHS,
        train_data_loader=DataLoader(Dataset([item]), batch_size=1),
        network=network,
        optimizer=torch.optim.Adam(network.parameters()),
        loss_function=torch.nn.MSELoss(),
    )
    validation = SimpleNamespace(state=SimpleNamespace(epoch=0, metrics={"auc": 0.0}, key_metric_name="auc"))

    def validate(engine: Any) -> None:
        validation.state.epoch = engine.state.epoch
        validation.state.metrics["auc"] = engine.state.epoch / EPOCHS

    trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)
    rows = [{"label": 1, "prob": 0.9}, {"label": 0, "prob": 0.1}]
    model, scores = folder / "model.pt", SimpleNamespace(threshold=0.5, rows=rows)
    origin = {"split": "validation", "data_list": folder / "data_list.json", "version": "0", "settings": {}}
    BestModelHandler(validation, network, model, patience=EPOCHS).attach(trainer)  # type: ignore[arg-type]
    OperatingPointHandler(
        scores,  # type: ignore[arg-type]
        model,
        folder / "operating_point.json",
        origin=origin,
    ).attach(trainer)
    objects = {"network": network, "optimizer": trainer.optimizer}
    TrainingCheckpointHandler(folder / "training.pt", objects, resume="auto").attach(trainer)
    trainer.run()


def start(folder: Path) -> Any:
    """Train in another process; give it when it has come to the end of an epoch, and so writes all the time."""
    newest = folder / "training.pt"
    before = newest.stat().st_mtime_ns if newest.exists() else 0
    process = SERVER.Process(target=train, args=(folder,))
    process.start()
    while not newest.exists() or newest.stat().st_mtime_ns == before:
        assert process.is_alive()
        time.sleep(0.002)
    return process


def kill(process: Any) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def refusal_of_point(folder: Path) -> str:
    """Give the reason code for which inference would not start, if there is one."""
    try:
        read_operating_point(folder / "operating_point.json", folder / "model.pt")
    except RefusedError as error:
        return str(error).partition(":")[0]
    return ""


def sorted_values(weights: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [weights[name] for name in sorted(weights)]


def test_killed_at_any_moment_newest_checkpoint_and_best_model_load(tmp_path: Path) -> None:
    wait = random.Random(88)
    epochs, told = [0], set()
    for _ in range(KILLS):
        process = start(tmp_path)
        time.sleep(0.1 * wait.random())  # an epoch takes some hundredths of a second, most of it to write
        kill(process)
        newest, best = tmp_path / "training.pt", tmp_path / "model.pt"
        epochs.append(read_checkpoint(newest)["trainer"]["iteration"])
        assert set(torch.load(best, weights_only=True)) == set(read_checkpoint(newest)["network"])
        if (twin := best.with_suffix(".safetensors")).exists():  # never one of another model
            assert all(map(torch.equal, sorted_values(read_weights(twin)), sorted_values(read_weights(best))))
        told.add(refusal_of_point(tmp_path))
    assert told <= {"", "operating_point_of_other_weights"}  # killed between the two files: said, not passed over
    assert epochs == sorted(set(epochs))  # every process went on from what the one before had left
    remove_leftovers(tmp_path)
    known = {"training.pt", "training.previous.pt", "model.pt", "operating_point.json"}
    assert {file.name for file in tmp_path.iterdir()} - {"model.safetensors"} == known
