"""Stages of training, the checkpoints that mark them, and the threshold that goes with the best model."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from torch.utils.data import DataLoader

from custom_transforms.best_model import BestModelHandler
from custom_transforms.choose_threshold import OperatingPointHandler
from custom_transforms.curriculum import CurriculumHandler, Stage, parameter_groups, stage_number
from custom_transforms.curves import TrainingCurvesHandler
from custom_transforms.milestones import MilestonesHandler
from custom_transforms.operating_point import OperatingPoint, read_operating_point
from custom_transforms.patient_scores import PatientScores
from custom_transforms.refusal import RefusedError
from custom_transforms.slice_classifier import SliceClassifier
from custom_transforms.training_checkpoint import TrainingCheckpointHandler

GROUPS: Any = [
    {"layers": ["fc"], "lr": 5e-5, "weight_decay": 1e-3},
    {"layers": ["layer4"], "lr": 1e-5, "weight_decay": 1e-4},
    {"layers": ["layer3"], "lr": 5e-6, "weight_decay": 1e-4},
]
STAGES: list[Stage] = [
    {"first_epoch": 0, "layers": ["fc"]},
    {"first_epoch": 1, "layers": ["fc", "layer4"]},
    {"first_epoch": 3, "layers": ["fc", "layer4", "layer3"]},
]


class Small(torch.nn.Module):
    """Three layers under the names of the real network."""

    def __init__(self) -> None:
        super().__init__()
        self.layer3, self.layer4, self.fc = (torch.nn.Linear(1, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(self.layer4(self.layer3(x)))
        return y


def test_each_stage_trains_the_published_number_of_weights() -> None:
    network = SliceClassifier()
    optimizer = torch.optim.Adam(parameter_groups(network, GROUPS))
    handler = CurriculumHandler(network, optimizer, [{**stage, "first_epoch": epoch}
                                for stage, epoch in zip(STAGES, (0, 5, 12), strict=True)])  # fmt: skip
    trainer = SupervisedTrainer("cpu", 13, DataLoader([]), network, optimizer, loss_function=torch.nn.MSELoss())
    handler.attach(trainer)
    counts = {}
    for trainer.state.epoch in range(1, 51):
        handler(trainer)
        counts[trainer.state.epoch] = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    assert counts[1] == counts[5] == 1_049_601  # 2048 x 512 + 512, and 512 + 1
    assert counts[6] == counts[12] == 16_014_337
    assert counts[13] == counts[50] == 23_112_705
    assert sum(weight.numel() for weight in network.parameters()) == 24_551_361


def test_groups_carry_their_rates_and_hold_every_weight_of_their_layers() -> None:
    groups = parameter_groups(Small(), GROUPS)
    assert [(group["lr"], group["weight_decay"], len(group["params"])) for group in groups] == [
        (5e-5, 1e-3, 2), (1e-5, 1e-4, 2), (5e-6, 1e-4, 2)]  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "stages", "message"),
    [
        ([{"layers": ["layer9"], "lr": 1, "weight_decay": 0}], STAGES, "expected layers of layer3, layer4, fc"),
        ([*GROUPS, GROUPS[0]], STAGES, "expected each layer in one group"),
        (GROUPS[:2], STAGES, "expected a learning rate for layer3, got none"),
        (GROUPS, [{"first_epoch": 2, "layers": ["fc"]}], r"stages from epoch 0 on, in order, got first epochs \[2\]"),
    ],
)
def test_curriculum_that_cannot_be_followed_is_refused(groups: Any, stages: Any, message: str) -> None:
    network = Small()
    with pytest.raises(ValueError, match=message):
        CurriculumHandler(network, torch.optim.Adam(parameter_groups(network, groups)), stages)


def make_trainer(
    folder: Path, probs: list[list[float]], *, resume: bool | str = False, split: str = "validation", patience: int = 9
) -> SupervisedTrainer:
    """Train five epochs; in epoch e two positives and two negatives are validated to have the e-th `probs`."""
    torch.manual_seed(1)
    network, metric = Small(), PatientScores("f1")
    optimizer = torch.optim.Adam(parameter_groups(network, GROUPS))
    evaluator = SupervisedEvaluator("cpu", DataLoader([]), network, key_val_metric={"auc": PatientScores()})
    batches = DataLoader([{"image": torch.ones(2, 1), "label": torch.ones(2, 1)}], batch_size=None)
    trainer = SupervisedTrainer("cpu", 5, batches, network, optimizer, loss_function=torch.nn.MSELoss())
    trainer.state.weights_source = {"pretrained": "none"}

    @trainer.on(Events.EPOCH_COMPLETED)
    def _validate() -> None:
        given = zip((1, 1, 0, 0), probs[trainer.state.epoch - 1], strict=True)
        metric.rows = [{"case": f"p{i}", "label": label, "prob": prob} for i, (label, prob) in enumerate(given)]
        area = PatientScores()
        area.rows = metric.rows
        evaluator.state.epoch, evaluator.state.key_metric_name = trainer.state.epoch, "auc"
        evaluator.state.metrics = {"f1": metric.compute(), "auc": area.compute()}

    CurriculumHandler(network, optimizer, STAGES).attach(trainer)
    BestModelHandler(evaluator, network, folder / "model.pt", patience=patience).attach(trainer)
    origin = {"split": split, "data_list": folder / "data_list.json", "version": "9", "settings": {}}
    OperatingPointHandler(metric, folder / "model.pt", folder / "operating_point.json", origin=origin).attach(trainer)
    TrainingCurvesHandler(evaluator, folder).attach(trainer)
    objects: Any = {"network": network, "optimizer": optimizer}
    history = folder / "history.csv"
    MilestonesHandler(evaluator, objects, stages=STAGES, folder=folder / "milestones", history=history,
                      metric=metric, origin=origin).attach(trainer)  # fmt: skip
    TrainingCheckpointHandler(folder / "training.pt", objects, resume=resume).attach(trainer)
    return trainer


PROBS = [[0.4, 0.2, 0.3, 0.1], [0.9, 0.2, 0.8, 0.7], [0.9, 0.8, 0.3, 0.1], [float("nan")] * 4, [0.9, 0.6, 0.7, 0.1]]


def read_summary(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "milestones" / "checkpoint_summary.csv").open() as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_milestones_hold_all_that_is_later_asked_for(tmp_path: Path) -> None:
    make_trainer(tmp_path, PROBS).run()

    rows = read_summary(tmp_path)
    assert {name: row["epoch"] for name, row in rows.items()} == {
        "stage1.pt": "1", "stage2.pt": "3", "stage3.pt": "5", "best_f1.pt": "3", "best_auc.pt": "3"}  # fmt: skip
    content = torch.load(tmp_path / "milestones" / "best_f1.pt", weights_only=True)
    assert content["metrics"] == {"f1": 1.0, "auc": 1.0}
    assert content["threshold"] == pytest.approx(0.55)
    assert content["stage"] == 2
    assert content["weights_source"] == {"pretrained": "none"}
    assert [row["epoch"] for row in content["history"]] == ["1", "2", "3"]
    Small().load_state_dict(content["network"])
    assert len(content["optimizer"]["param_groups"]) == 3


def test_threshold_is_that_of_the_best_model_and_of_validation(tmp_path: Path) -> None:
    (tmp_path / "data_list.json").write_bytes(b"a list")
    make_trainer(tmp_path, PROBS).run()
    point = read_operating_point(tmp_path / "operating_point.json", tmp_path / "model.pt")
    assert read_operating_point(tmp_path / "operating_point.json", tmp_path / "model.safetensors") == point
    assert (point.threshold, point.rule, point.split) == (pytest.approx(0.55), "best-f1", "validation")
    assert (point.patients, point.positives, point.version) == (4, 2, "9")
    assert point.calibration == {"kind": "none"}
    assert point.data_list_sha256 == hashlib.sha256(b"a list").hexdigest()
    assert point.warnings == [f"{name} patients: 2, under 10 a choice says little" for name in ("positive", "negative")]
    assert "p0" not in (tmp_path / "operating_point.json").read_text()


def test_resumed_training_is_in_its_stage_and_knows_its_best(tmp_path: Path) -> None:
    interrupted = make_trainer(tmp_path, PROBS)
    interrupted.add_event_handler(Events.EPOCH_COMPLETED(once=3), interrupted.terminate)
    interrupted.run()
    best = (tmp_path / "milestones" / "best_f1.pt").read_bytes()

    resumed = make_trainer(tmp_path, PROBS, resume=True)
    stages = []
    resumed.add_event_handler(Events.EPOCH_STARTED, lambda engine: stages.append(engine.state.stage))
    resumed.run()
    assert stages == [3, 3]
    assert (tmp_path / "milestones" / "best_f1.pt").read_bytes() == best
    assert read_summary(tmp_path)["stage3.pt"]["epoch"] == "5"
    trained = {name: weight.requires_grad for name, weight in resumed.network.named_parameters()}
    assert all(trained.values())


def test_frozen_layers_do_not_move(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = Small().state_dict()
    make_trainer(tmp_path, PROBS).run()
    after_stage_1 = torch.load(tmp_path / "milestones" / "stage1.pt", weights_only=True)["network"]
    moved = {name for name in before if not torch.equal(before[name], after_stage_1[name])}
    assert moved == {"fc.weight", "fc.bias"}
    assert stage_number(STAGES, 1) == 1


def test_training_that_ends_early_leaves_its_last_stage(tmp_path: Path) -> None:
    make_trainer(tmp_path, [PROBS[2], *PROBS[:4]], patience=1).run()
    rows = read_summary(tmp_path)
    assert {name: row["epoch"] for name, row in rows.items() if name.startswith("stage")} == {
        "stage1.pt": "1", "stage2.pt": "2"}  # fmt: skip


def test_milestones_and_an_earlier_model_have_their_own_thresholds(tmp_path: Path) -> None:
    make_trainer(tmp_path, PROBS).run()
    of_milestone = tmp_path / "milestones" / "best_auc.operating_point.json"
    assert read_operating_point(of_milestone, tmp_path / "milestones" / "best_auc.pt").threshold == pytest.approx(0.55)
    earlier = (tmp_path / "operating_point.json").read_text()
    make_trainer(tmp_path, [PROBS[2]] * 5).run()
    assert (tmp_path / "operating_point.previous.json").read_text() == earlier
    read_operating_point(tmp_path / "operating_point.previous.json", tmp_path / "model.previous.pt")
    read_operating_point(tmp_path / "operating_point.json", tmp_path / "model.pt")


def test_resumed_training_mends_a_threshold_that_a_kill_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = OperatingPoint.write

    def write_or_die(point: OperatingPoint, path: Path) -> None:
        if point.threshold == pytest.approx(0.55):  # of the third epoch, whose model is written by then
            raise KeyboardInterrupt
        write(point, path)

    monkeypatch.setattr(OperatingPoint, "write", write_or_die)
    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path, PROBS).run()
    monkeypatch.undo()
    with pytest.raises(RefusedError, match="operating_point_of_other_weights"):
        read_operating_point(tmp_path / "operating_point.json", tmp_path / "model.pt")
    make_trainer(tmp_path, PROBS, resume="auto").run()
    assert read_operating_point(tmp_path / "operating_point.json", tmp_path / "model.pt").threshold == pytest.approx(
        0.55
    )


@pytest.mark.parametrize("split", ["test", "training"])
def test_threshold_is_never_chosen_on_the_test_or_the_training_fold(split: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=f"threshold_from_{split}"):
        make_trainer(tmp_path, PROBS, split=split).run()
    assert not (tmp_path / "operating_point.json").exists()
