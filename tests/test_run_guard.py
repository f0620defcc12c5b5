from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BRATS, ROOT, run_bundle
from monai.bundle import ConfigParser

from custom_transforms.interruption import ADVICE, INTERRUPTION, InterruptedRunError
from custom_transforms.refusal import NotFiniteError, RefusedError, SomeRefusedError
from custom_transforms.run_guard import (
    end_run,
    guard_run,
    refuse_plain_output_when_tracked,
    refuse_unknown_ids,
    refuse_words_for_truth,
)

TRAIN = str(BRATS / "configs" / "train.json")


@pytest.mark.parametrize(
    "option",
    ["max_epochs", "train::trainer::max_epochs", "train#trainer#max_epochs", "steps::pad::_disabled_", "tracking_uri",
     "meta_file", "run_id", "+validate::handlers", "train::handlers::1::_disabled_"],
)  # fmt: skip
def test_known_options_pass(option: str) -> None:
    refuse_unknown_ids({"config_file": TRAIN, option: 1})


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("learnig_rate", "learning_rate"),
        ("train::trainer::max_epoch", "train::trainer::max_epochs"),
        ("xyz::_disabled_", ""),
    ],
)
def test_misspelt_option_is_refused_with_the_nearest_name(option: str, hint: str) -> None:
    with pytest.raises(RefusedError, match=f"unknown_option: --{option}: .*{hint}"):
        refuse_unknown_ids({"config_file": TRAIN, option: 1})


@pytest.mark.parametrize("word", ["false", "true", "FALSE", "'false'"])
def test_word_that_would_count_as_true_is_refused(word: str) -> None:
    with pytest.raises(RefusedError, match="word_for_truth: --class_conditional: expected True or False"):
        refuse_words_for_truth({"class_conditional": word})


@pytest.mark.parametrize(
    ("option", "value"),
    [("class_conditional", "False"), ("class_conditional", False), ("resume", "true"), ("resume", "auto"),
     ("steps::pad::_disabled_", "true"), ("note", "truth"), ("image_size", "96")],
)  # fmt: skip
def test_values_and_words_that_are_understood_pass(option: str, value: object) -> None:
    refuse_words_for_truth({option: value})


def test_tracked_run_keeps_its_config_or_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"""plain_output_dir: --output_dir: expected an expression, '\$"/x"'"""):
        refuse_plain_output_when_tracked({"tracking": "mlflow", "output_dir": "/x"})
    for options in ({"output_dir": "/x"}, {"tracking": "mlflow", "output_dir": '$"/x"'}, {"tracking": "mlflow"}):
        refuse_plain_output_when_tracked(options)


def test_ids_of_an_overlay_are_known() -> None:
    refuse_unknown_ids({"config_file": str([TRAIN, str(BRATS / "configs" / "evaluate.json")]), "fold": "test"})


def test_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["program", "run", "--learnig_rate", "1"])
    hook = sys.excepthook
    guard_run(str(tmp_path))
    assert sys.excepthook is hook


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"learnig_rate": 1, "bundle_root": BRATS}, "unknown_option: --learnig_rate: expected an id of the config"),
        ({}, "wrong_bundle_root: .: expected --bundle_root to name the folder that holds configs/"),
        ({"bundle_root": BRATS, "regions": "['tumour']"}, "regions: expected names from"),
        ({"bundle_root": BRATS, "dataset_dir": "/none"}, "missing_data_list: data_list.json: expected a data list"),
    ],
)
def test_mistake_ends_in_one_clear_line(options: dict[str, object], line: str) -> None:
    result = run_bundle("training", "train", **options)
    assert result.returncode == 3
    assert result.stderr.strip().splitlines()[-1].startswith(line)
    assert "Traceback" not in result.stderr


def test_error_in_a_worker_ends_in_one_clear_line(phantoms: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for case in phantoms.glob("Phantom_*"):
        (folder / case.name).symlink_to(case)
    broken = json.loads((phantoms / "data_list.json").read_text())
    broken["training"][1]["image"][2] = "none_t1ce.nii.gz"
    (folder / "data_list.json").write_text(json.dumps(broken))
    result = run_bundle("training", "train", "smoke", bundle_root=BRATS, dataset_dir=folder, num_workers=1)
    assert result.returncode == 3
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("refused_studies: ")
    assert "got 1, the first: missing_file: " in last
    assert broken["training"][1]["case"] in last


def test_args_file_is_checked_too(tmp_path: Path) -> None:
    ConfigParser.export_config_file({"config_file": TRAIN, "patiense": 3}, str(tmp_path / "args.json"))
    words = ["--args_file", str(tmp_path / "args.json"), "--bundle_root", str(BRATS)]
    command = [sys.executable, "-m", "monai.bundle", "run", *words]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "did you mean --patience?" in result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "cause",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),  # of safetensors
        OSError("102400 requested and 76768 written"),  # of numpy.save
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 270400 vs 270296"),  # of torch.save
        RuntimeError("Caught OSError in DataLoader worker process 0.\nOSError: [Errno 28] No space left on device"),
    ],
)
def test_full_disk_ends_in_one_clear_line(cause: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    error = RuntimeError("Failed to evaluate ConfigExpression")
    error.__cause__ = cause
    with pytest.raises(SystemExit) as ending:
        end_run(RuntimeError, error, None)
    assert ending.value.code == 3
    assert capsys.readouterr().err.strip().startswith("disk_full: output: expected room for what is written, got none")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RefusedError("a: b: expected c, got d"), 3),
        (SomeRefusedError("a: b: expected c, got d"), 2),
        (NotFiniteError("a: b: expected c, got d"), 70),
        (InterruptedRunError(ADVICE), 75),
        (RuntimeError("DataLoader worker (pid(s) 7) is killed by signal: Terminated. "), 75),  # it got the signal first
    ],
)
def test_exit_status_tells_what_to_do_next(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(INTERRUPTION, "asked", isinstance(error, InterruptedRunError))
    with pytest.raises(SystemExit) as ending:
        end_run(type(error), error, None)
    assert ending.value.code == status
    line = ADVICE if status == 75 else str(error)
    assert capsys.readouterr().err.strip().splitlines()[-1] == line


def test_foreign_error_keeps_its_traceback(phantoms: Path, tmp_path: Path) -> None:
    options = {"bundle_root": BRATS, "dataset_dir": phantoms, "cache_dir": tmp_path, "num_workers": 0}
    result = run_bundle("training", "train", "smoke", **options, learning_rate="$1 / 0")
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr
