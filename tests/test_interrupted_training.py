"""Training that is killed or told to end, and goes on, as a scheduler does it: each run in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BRATS, ROOT, run_bundle
from small_weights import checkpoint_hash

from custom_transforms.interruption import INTERRUPTION, InterruptedRunError
from custom_transforms.newest_checkpoint import previous, read_checkpoint

EPOCHS = 3


def options(phantoms: Path, folder: Path, **more: object) -> dict[str, object]:
    """Settings of epochs that last a second or two."""
    places = {"models_dir": folder / "models", "output_dir": folder / "eval", "cache_dir": folder.parent / "prepared"}
    small = {"channels": "[4,8,16,32,64]", "slice_size": "[48,48]", "slices_per_patient": 16, "batch_size": 2}
    return {"bundle_root": BRATS, "dataset_dir": phantoms, **places, **small, "max_epochs": EPOCHS, **more}


def start(settings: dict[str, object]) -> subprocess.Popen[str]:
    files = str([str(BRATS / "configs" / f"{name}.json") for name in ("train", "smoke")])
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", files, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read standard error, where the progress bar is, until it says something."""
    assert process.stderr is not None
    told = ""
    while text not in told:
        letters = process.stderr.read(1)
        assert letters, told
        told += letters
    return told


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
