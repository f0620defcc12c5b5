"""A training that is resumed ends where an uninterrupted one does, and has room for what it keeps."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Events
from small_trainer import Scores, line, trainer_with

from custom_transforms.best_model import BestModelHandler
from custom_transforms.milestones import MilestonesHandler
from custom_transforms.newest_checkpoint import newest_checkpoint
from custom_transforms.refusal import RefusedError
from custom_transforms.training_checkpoint import TrainingCheckpointHandler


def resumable(folder: Path, *, resume: bool | str, max_epochs: int = 5) -> tuple[Any, torch.nn.Module]:
    network, evaluator = line(), Scores([0.1, 0.6, 0.2, 0.5, 0.4])
    keep = BestModelHandler(evaluator, network, folder / "model.pt", patience=99)  # type: ignore[arg-type]
    trainer = trainer_with(network, evaluator, keep, max_epochs=max_epochs)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(trainer.optimizer, T_max=max_epochs)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: schedule.step())
    objects = {"network": network, "optimizer": trainer.optimizer, "schedule": schedule}
    TrainingCheckpointHandler(folder / "training.pt", objects, resume=resume).attach(trainer)
    return trainer, network


def stopped_after(trainer: Any, epoch: int) -> Any:
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=epoch), lambda engine: engine.terminate())
    return trainer


def test_resumed_training_ends_where_uninterrupted_training_ends(tmp_path: Path) -> None:
    whole, expected = resumable(tmp_path / "whole", resume=False)
    whole.run()
    stopped_after(resumable(tmp_path / "parts", resume=False)[0], 3).run()
    second, found = resumable(tmp_path / "parts", resume=True)
    second.run()
    assert torch.equal(found.weight, expected.weight)
    assert second.optimizer.param_groups[0]["lr"] == whole.optimizer.param_groups[0]["lr"] == 0
    assert (second.state.epoch, second.state.iteration) == (5, 10)
    assert (second.state.best_score, second.state.best_score_epoch) == (0.6, 2)  # 0.5 did not replace the better model


def test_resume_that_cannot_go_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="missing_checkpoint: training.pt"):
        resumable(tmp_path, resume=True)[0].run()
    resumable(tmp_path, resume=False)[0].run()
    with pytest.raises(RefusedError, match="other_max_epochs: training.pt: expected max_epochs 5 as in it, got 9"):
        resumable(tmp_path, resume=True, max_epochs=9)[0].run()
    with pytest.raises(RefusedError, match="nothing_left: training.pt"):
        resumable(tmp_path, resume=True)[0].run()
    other = trainer_with(torch.nn.Linear(1, 2))
    TrainingCheckpointHandler(tmp_path / "training.pt", {"network": other.network}, resume=True).attach(other)
    with pytest.raises(RefusedError, match="checkpoint_mismatch"):
        other.run()
    with pytest.raises(ValueError, match="resume to be one of false, true, auto, got maybe"):
        TrainingCheckpointHandler(tmp_path / "training.pt", {}, resume="maybe")


def damage(path: Path) -> None:
    """Change one byte of a weight, which torch itself would not notice."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = next(entry for entry in archive.infolist() if "/data/" in entry.filename)
    extra = int.from_bytes(content[entry.header_offset + 28 : entry.header_offset + 30], "little")
    content[entry.header_offset + 30 + len(entry.filename) + extra] ^= 1
    path.write_bytes(content)


def test_auto_takes_the_newest_whole_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, expected = resumable(tmp_path / "whole", resume=False)
    whole.run()
    parts = tmp_path / "parts"
    stopped_after(resumable(parts, resume="auto")[0], 3).run()  # there is none: it starts
    damage(parts / "training.pt")
    with pytest.raises(RefusedError, match="damaged_checkpoint: training.pt: .* got another checksum"):
        resumable(parts, resume="true")[0].run()
    again, found = resumable(parts, resume="auto")
    epochs: list[int] = []
    again.add_event_handler(Events.EPOCH_STARTED, lambda engine: epochs.append(engine.state.epoch))
    stopped_after(again, 3).run()
    assert "damaged_checkpoint: training.pt" in caplog.text
    assert epochs == [3]
    assert [newest_checkpoint(parts / name, fall_back=False).state["trainer"]["iteration"] for name in FILES] == [6, 4]  # type: ignore[union-attr]
    last, found = resumable(parts, resume="auto")
    last.run()
    assert torch.equal(found.weight, expected.weight)
    for name in FILES:
        (parts / name).write_bytes(b"PK")
    anew, found = resumable(parts, resume="auto")
    anew.run()
    assert torch.equal(found.weight, expected.weight)


FILES = ("training.pt", "training.previous.pt")


def test_training_that_has_ended_is_left_as_it_is_by_auto(tmp_path: Path) -> None:
    resumable(tmp_path, resume=False)[0].run()
    before = (tmp_path / "training.pt").read_bytes()
    trainer, _ = resumable(tmp_path, resume="auto")
    epochs: list[int] = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: epochs.append(engine.state.epoch))
    trainer.run()
    assert epochs == []
    assert (tmp_path / "training.pt").read_bytes() == before


def test_new_training_never_falls_back_to_an_earlier_one(tmp_path: Path) -> None:
    resumable(tmp_path, resume=False)[0].run()
    stopped_after(resumable(tmp_path, resume=False)[0], 1).run()
    damage(tmp_path / "training.pt")
    trainer, _ = resumable(tmp_path, resume="auto")
    epochs: list[int] = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: epochs.append(engine.state.epoch))
    trainer.run()
    assert epochs[0] == 1


def test_other_data_than_the_checkpoints_are_refused(tmp_path: Path) -> None:
    stopped_after(resumable(tmp_path, resume=False)[0], 2).run()
    trainer, _ = resumable(tmp_path, resume=True)
    trainer.state.epoch_length = 7
    with pytest.raises(RefusedError, match="other_data: training.pt: expected 2 steps an epoch as in it, got 7"):
        trainer.run()


def test_room_for_checkpoints_is_asked_for_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom_transforms.resources.free_disk_bytes", lambda folder: 10)
    with pytest.raises(RefusedError, match="too_little_disk: "):
        resumable(tmp_path, resume=False)[0].run()
    assert list(tmp_path.iterdir()) == []


def on_a_quota(folder: Path, *handlers: Any) -> tuple[Any, TrainingCheckpointHandler, int]:
    """Make a trainer, its checkpoints and the size of its network, beside which what a file adds is small."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(1, 900), torch.nn.Linear(900, 900), torch.nn.Linear(900, 1))
    trainer = trainer_with(network, *handlers)
    objects = {"network": network, "optimizer": trainer.optimizer}
    checkpoints = TrainingCheckpointHandler(folder / "training.pt", objects, resume="auto")
    checkpoints.attach(trainer)
    return trainer, checkpoints, sum(4 * weight.numel() for weight in network.parameters())


def give_quota(folder: Path, quota_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(_: Path) -> int:
        return quota_bytes - sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    monkeypatch.setattr("custom_transforms.resources.free_disk_bytes", free)


def test_resumed_run_needs_no_room_for_what_it_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, _, network_bytes = on_a_quota(tmp_path)
    give_quota(tmp_path, (3 * 3 + 3) * network_bytes, monkeypatch)  # Adam keeps two numbers a weight
    stopped_after(trainer, 3).run()
    on_a_quota(tmp_path)[0].run()
    give_quota(tmp_path, 8 * network_bytes, monkeypatch)  # two checkpoints are there, and one must be written
    trainer, checkpoints, _ = on_a_quota(tmp_path)
    with pytest.raises(RefusedError, match="too_little_disk: "):
        checkpoints.read(trainer)


def test_room_for_milestones_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: Any = [{"first_epoch": epoch, "layers": []} for epoch in (0, 4, 5)]  # the last comes after the fifth epoch
    nothing: Any = SimpleNamespace()
    milestones = MilestonesHandler(nothing, {}, stages=stages, folder=tmp_path / "milestones",
                                   history=tmp_path, metric=nothing, origin={})  # fmt: skip
    trainer, checkpoints, network_bytes = on_a_quota(tmp_path, milestones)
    needed = ((3 + 2 + 2) * 3 + 3) * network_bytes  # two of the best and two of stages
    give_quota(tmp_path, needed, monkeypatch)
    checkpoints.read(trainer)
    give_quota(tmp_path, needed - 1, monkeypatch)
    with pytest.raises(RefusedError, match="too_little_disk: "):
        checkpoints.read(trainer)
