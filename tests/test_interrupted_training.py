"""Training that is killed or told to end, and goes on, as a scheduler does it: each run in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from conftest import BRATS, CT, ROOT, run_bundle
from small_weights import checkpoint_hash

from custom_transforms.interruption import INTERRUPTION, InterruptedRunError
from custom_transforms.newest_checkpoint import previous, read_checkpoint
from custom_transforms.safe_weights import read_weights

EPOCHS = 3


def options(phantoms: Path, folder: Path, **more: object) -> dict[str, object]:
    """Settings of epochs that last a second or two."""
    places = {"models_dir": folder / "models", "output_dir": folder / "eval", "cache_dir": folder.parent / "prepared"}
    small = {"channels": "[4,8,16,32,64]", "slice_size": "[48,48]", "slices_per_patient": 16, "batch_size": 2}
    return {"bundle_root": BRATS, "dataset_dir": phantoms, **places, **small, "max_epochs": EPOCHS, **more}


def start(settings: dict[str, object], *, largest_file_bytes: int | None = None) -> subprocess.Popen[str]:
    """Train; to the writer of a file that is larger than that, the disk is full."""
    files = str([str(Path(str(settings["bundle_root"])) / "configs" / f"{name}.json") for name in ("train", "smoke")])
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", files, *words]
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limits = (hard if largest_file_bytes is None else largest_file_bytes, hard)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=limit)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read standard error, where the progress bar is, until it says something."""
    assert process.stderr is not None
    told = ""
    while text not in told:
        letters = process.stderr.read(1)
        assert letters, told
        told += letters
    return told


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; give exit status and standard error."""
    _, told = process.communicate()
    return process.returncode, told


def test_killed_and_interrupted_training_ends_where_an_undisturbed_one_does(phantoms: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    undisturbed = start(options(phantoms, whole, num_workers=1))
    settings = options(phantoms, parts, resume="auto", num_workers=1)  # the first of the three starts anew
    first = start(settings)
    read_until(first, f"[2/{EPOCHS}]: [2/")
    time.sleep(0.2)
    first.kill()
    first.communicate()
    second = start(settings)
    read_until(second, f"[3/{EPOCHS}]: [2/")
    second.send_signal(signal.SIGUSR1)
    _, told = second.communicate()
    assert second.returncode == 75, told
    assert told.strip().splitlines()[-1].startswith("interrupted: ")
    assert "Traceback" not in told
    assert read_checkpoint(parts / "models" / "training.pt")["trainer"]["iteration"] == 2 * 24
    third = start(settings)
    assert third.wait() == undisturbed.wait() == 0
    for name in ("training.pt", previous(Path("training.pt")).name):
        assert checkpoint_hash(parts / "models" / name) == checkpoint_hash(whole / "models" / name)
    assert (parts / "models" / "model.pt").read_bytes() == (whole / "models" / "model.pt").read_bytes()
    assert (parts / "eval" / "history.csv").read_bytes() == (whole / "eval" / "history.csv").read_bytes()
    assert not [*tmp_path.rglob(".unfinished_*")]


def curriculum(heads: Path, folder: Path, **more: object) -> dict[str, object]:
    """Settings of three stages of an epoch each, of six steps that last long enough to be interrupted."""
    stages = {"stages::1::first_epoch": 1, "stages::2::first_epoch": 2}
    small = {"image_size": 64, "widths": "[8,16,32,64]", "slices_per_bag": 24}
    places = {"models_dir": folder / "models", "output_dir": folder / "eval", "cache_dir": folder.parent / "prepared"}
    return {"bundle_root": CT, "dataset_dir": heads, **places, **small, **stages, "max_epochs": EPOCHS, **more}


def point_of(path: Path) -> dict[str, object]:
    of_the_bytes = ("date", "weights_sha256", "operating_point_version")
    return {name: it for name, it in json.loads(path.read_text()).items() if name not in of_the_bytes}


def test_curriculum_that_is_told_to_end_in_mid_epoch_ends_where_an_undisturbed_one_does(
    heads: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    undisturbed = start(curriculum(heads, whole))
    settings = curriculum(heads, parts, resume="auto")
    first = start(settings)
    read_until(first, f"training [2/{EPOCHS}]: [1/6]")
    first.send_signal(signal.SIGTERM)
    status, told = ended(first)
    assert status == 75, told
    trainer = read_checkpoint(parts / "models" / "training.pt")["trainer"]
    assert (trainer["iteration"], trainer["stage"]) == (6, 1)
    for process in (start(settings), undisturbed):
        status, told = ended(process)
        assert status == 0, told
    written = [file.relative_to(whole) for file in whole.rglob("*") if file.suffix in (".pt", ".safetensors", ".csv")]
    milestones = {"best_auc.pt", "best_f1.pt", "stage1.pt", "stage2.pt", "stage3.pt", "checkpoint_summary.csv"}
    assert {file.name for file in written} == milestones | {
        "model.pt", "model.safetensors", "history.csv", "training.pt", "training.previous.pt"}  # fmt: skip
    for file in written:
        # what a resumed training has read it pickles with other references: the same content in other bytes
        content = checkpoint_hash if file.suffix == ".pt" else Path.read_bytes
        assert content(parts / file) == content(whole / file), file
    points = [file.relative_to(whole) for file in whole.rglob("*operating_point.json")]
    assert len(points) == 6
    assert all(point_of(parts / file) == point_of(whole / file) for file in points)


def test_disk_that_fills_up_ends_the_run_in_one_line_and_the_last_checkpoint_stays(
    phantoms: Path, tmp_path: Path
) -> None:
    settings = options(phantoms, tmp_path / "run", max_epochs=2, resume="auto")
    first = start(settings)
    read_until(first, "[2/2]: [2/")
    first.kill()
    first.communicate()
    newest = tmp_path / "run" / "models" / "training.pt"
    before = checkpoint_hash(newest)
    second = start(settings, largest_file_bytes=newest.stat().st_size // 2)  # the best model, without moments, fits
    status, told = ended(second)
    assert status == 3, told
    assert told.strip().splitlines()[-1].startswith("disk_full: output: expected room for what is written, got none")
    assert "Traceback" not in told
    assert checkpoint_hash(newest) == before
    read_weights(tmp_path / "run" / "models" / "model.pt")
    status, told = ended(start(settings))
    assert status == 0, told
    assert read_checkpoint(newest)["trainer"]["iteration"] == 2 * 24


def test_preparing_ends_at_once_and_leaves_nothing_half_written(phantoms: Path, tmp_path: Path) -> None:
    process = start(options(phantoms, tmp_path / "run"))
    read_until(process, "preparing training")
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate()
    assert process.returncode == 75, told
    assert told.strip().splitlines()[-1].startswith("interrupted: ")
    assert "Traceback" not in told
    assert all(not folder.name.startswith(".unfinished") for folder in (tmp_path / "prepared").glob("*"))


def test_steps_that_are_never_finite_end_with_their_own_status(phantoms: Path, tmp_path: Path) -> None:
    result = run_bundle("training", "train", "smoke", **options(phantoms, tmp_path / "run", learning_rate=1e30))
    assert result.returncode == 70, result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("not_finite: training: expected finite loss and gradient, got 3 steps in a row without")
    assert "Phantom_" in line


def test_signal_waits_for_the_step_and_workers_pass_it_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logging.disable", lambda: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        INTERRUPTION.catch()
        INTERRUPTION.in_step = True
        os.kill(os.getpid(), signal.SIGUSR1)
        assert INTERRUPTION.asked
        INTERRUPTION.in_step, INTERRUPTION.asked = False, False
        with pytest.raises(InterruptedRunError):
            os.kill(os.getpid(), signal.SIGTERM)
        INTERRUPTION.asked = False
        monkeypatch.setattr("os.getpid", lambda: 1)  # as in a process that was forked
        signal.raise_signal(signal.SIGTERM)
        assert not INTERRUPTION.asked
    finally:
        INTERRUPTION.in_step = INTERRUPTION.asked = False
        for number, handler in before.items():
            signal.signal(number, handler)
