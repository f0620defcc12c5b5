"""A worker reads for its parent, within its limits, and whatever it does, the parent goes on."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from ct_files import stored_slices, write_series
from torch.utils.data import DataLoader

from custom_transforms.ct_study import read_ct
from custom_transforms.fingerprint import fingerprint
from custom_transforms.isolated_readers import read_ct_isolated, read_patient_isolated
from custom_transforms.load_ct import LoadImageStudyd
from custom_transforms.load_mri import LoadImageModalitiesd
from custom_transforms.refusal import RefusedError
from custom_transforms.runs import isolation
from custom_transforms.runs.isolation import run_isolated, worker_pid
from custom_transforms.runs.limits import Limits

SMALL = Limits(memory_mib=1024, seconds=60)
ON_LINUX = sys.platform == "linux"


def run(function: str, limits: Limits = SMALL, scratch_mib: int = 0, **arguments: object) -> dict[str, Any]:
    name = f"misbehaving:{function}"
    return run_isolated(name, arguments, name="case_7", limits=limits, scratch_mib=scratch_mib)


def is_running(pid: int) -> bool:
    place = Path(f"/proc/{pid}")
    with suppress(OSError):  # it is gone
        has_ended = (place / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not has_ended or len(list((place / "task").iterdir())) > 1  # its first thread may end before the others
    return False


def wait_until_gone(pid: int) -> None:
    while is_running(pid):
        time.sleep(0.01)


def test_arrays_and_values_come_back_as_they_were() -> None:
    back = run("arrays", shape=[40, 512, 512])
    big = np.arange(40 * 512 * 512, dtype=np.float32).reshape(40, 512, 512)
    np.testing.assert_array_equal(back["big"], big)
    np.testing.assert_array_equal(back["turned"], big.T.astype(np.uint8))
    assert (back["big"].dtype, back["turned"].dtype, back["empty"].dtype) == (np.float32, np.uint8, np.int16)
    assert (back["empty"].shape, back["single"].shape, back["single"]) == ((0, 3), (), 2.5)
    assert back["big"].flags.writeable
    assert (back["notes"], back["nothing"]) == (["a", "é"], None)


def test_one_worker_serves_study_after_study() -> None:
    first = run("report")
    assert first == {"pid": worker_pid(), "torch_free": True, "threads": "1"}
    assert run("report") == first
    assert first["pid"] != os.getpid()


def test_a_worker_that_has_served_its_time_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    first = run("report")["pid"]
    monkeypatch.setattr(isolation, "STUDIES_PER_WORKER", 0)
    assert run("report")["pid"] != first
    wait_until_gone(first)


def test_a_refusal_comes_back_as_it_was() -> None:
    line = "constant_image: p1_t1.nii.gz: expected contrast, got one value, 0"
    with pytest.raises(RefusedError, match=f"^{line}$") as told:
        run("refuse", line=line)
    assert told.value.reason_code == "constant_image"


def test_another_error_is_a_refusal_that_quotes_nothing() -> None:
    with pytest.raises(RefusedError, match="^unreadable_file: case_7: expected files that can be read, got KeyError$"):
        run("raise_with_a_name")
    with pytest.raises(RefusedError, match="^unreadable_file: .*got PanicException$"):
        run("panic")


@pytest.mark.skipif(not ON_LINUX, reason="memory has a limit on Linux alone")
def test_what_needs_too_much_memory_is_refused() -> None:
    assert run("take_memory", mib=200) == {"whole": True}
    expected = "^too_large: case_7: expected a study that is read within 1024 MiB of memory, got more$"
    with pytest.raises(RefusedError, match=expected):
        run("take_memory", mib=1024)
    with pytest.raises(RefusedError, match=expected):  # said by a reader that takes every error for damage
        run("take_memory_quietly")


@pytest.mark.parametrize("function", ["loop", "hold_the_interpreter"])
def test_what_never_ends_is_ended(function: str) -> None:
    run("report")  # starts the worker
    with pytest.raises(RefusedError, match="^timed_out: case_7: expected a study that is read within 0.5 s, got more$"):
        run(function, limits=Limits(memory_mib=1024, seconds=0.5))
    assert run("report")["pid"] == worker_pid()


def test_a_study_that_kills_two_workers_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(RefusedError, match=r"^killed_worker: case_7: .*two processes that died of it \(SIGABRT\)$"),
    ):
        run("abort")
    assert [record.message for record in caplog.records] == ["the process that read a study died (SIGABRT)"] * 2
    with pytest.raises(RefusedError, match=r"^killed_worker: .*\(exit status 3\)$"):
        run("start_thread_and_die")
    assert run("report")["pid"] == worker_pid()


def test_a_worker_that_died_once_is_replaced(tmp_path: Path) -> None:
    assert run("abort_the_first_time", mark=str(tmp_path / "mark")) == {"done": True}


def test_a_worker_that_was_killed_while_idle_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    first = run("report")["pid"]
    os.kill(first, signal.SIGKILL)
    wait_until_gone(first)
    assert run("report")["pid"] != first
    assert not caplog.records


def test_what_libraries_print_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("print_things") == {"answer": ""}
    assert capfd.readouterr() == ("", "")


def test_signals_meant_for_the_parent_do_not_end_a_worker() -> None:
    assert run("interrupt_self") == {"alive": True}


def test_files_are_written_only_to_a_folder_of_its_own() -> None:
    with pytest.raises(RefusedError, match="^unreadable_file: case_7: .*got FileNotFoundError$"):  # no folder for it
        run("write_file", mib=1)
    file = Path(run("write_file", scratch_mib=2, mib=1)["file"])
    assert not file.parent.exists()
    with pytest.raises(RefusedError, match="^no_room: case_7: .*got less$"):
        run("write_file", scratch_mib=2, mib=3)


def test_a_function_that_is_not_there_is_no_fault_of_the_study() -> None:
    with pytest.raises(ChildProcessError, match="expected a function that can be imported, got misbehaving:none: Attr"):
        run("none")


@pytest.mark.skipif(not ON_LINUX, reason="memory has a limit on Linux alone")
def test_a_worker_that_cannot_start_is_no_fault_of_the_study() -> None:
    with pytest.raises(ChildProcessError, match=r"a reading process that starts within 120 s and 8 MiB, got its end"):
        run("report", limits=Limits(memory_mib=8))


def test_limits_below_anything_are_refused() -> None:
    with pytest.raises(ValueError, match="expected memory and time above 0"):
        Limits(seconds=0)


CHILD = """
import signal
import sys
from custom_transforms.runs.isolation import run_isolated
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
try:
    run_isolated("misbehaving:sleep_long", {"mark": sys.argv[1]}, name="x", scratch_mib=int(sys.argv[2]))
except KeyboardInterrupt:
    sys.exit("interrupted")
"""


def start_child(folder: Path, scratch_mib: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Start a process whose worker is busy; give it and the worker's number."""
    folder.mkdir()
    (folder / "tmp").mkdir()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "TMPDIR": str(folder / "tmp")}
    command = [sys.executable, "-c", CHILD, str(folder), str(scratch_mib)]
    child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    while not (marks := [int(mark.name) for mark in folder.iterdir() if mark.name.isdigit()]):
        assert child.poll() is None
        time.sleep(0.02)
    return child, marks[0]


@pytest.mark.skipif(not ON_LINUX, reason="looks into /proc")
def test_nothing_is_left_of_a_parent_that_was_killed(tmp_path: Path) -> None:
    child, worker = start_child(tmp_path / "a", scratch_mib=1)
    assert is_running(worker)
    child.kill()
    child.wait()
    wait_until_gone(worker)
    assert list((tmp_path / "a" / "tmp").iterdir()) == []


@pytest.mark.skipif(not ON_LINUX, reason="looks into /proc")
def test_interrupt_ends_both_without_a_traceback(tmp_path: Path) -> None:
    child, worker = start_child(tmp_path / "a")
    os.kill(worker, signal.SIGINT)  # as a terminal does, to both
    child.send_signal(signal.SIGINT)
    assert child.communicate()[1] == "interrupted\n"
    wait_until_gone(worker)


@pytest.mark.skipif(not ON_LINUX, reason="forks")
def test_a_fork_gets_a_worker_of_its_own() -> None:
    mine = run("report")["pid"]
    loader = DataLoader(range(4), batch_size=None, num_workers=2, collate_fn=_pids, multiprocessing_context="fork")
    seen = list(loader)
    assert {worker for _, worker in seen} == {worker for _, worker in seen[:2]}
    assert len({mine, os.getpid(), *(pid for pair in seen for pid in pair)}) == 6
    for _, worker in seen:
        wait_until_gone(worker)
    assert run("report")["pid"] == mine


def _pids(_: int) -> tuple[int, int]:
    return os.getpid(), run("report")["pid"]


def test_threads_take_turns() -> None:
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(run("report")["pid"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [worker_pid()] * 8


def test_nothing_of_the_current_folder_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nibabel", "numpy", "queue", "custom_transforms"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", ".", str(tmp_path), *sys.path])
    folder = write_series(tmp_path / "series", stored_slices(12))
    assert read_ct_isolated("series", limits=Limits(memory_mib=1000)).hu.shape == (12, 6, 8)
    assert not (tmp_path / "ran").exists()
    assert folder.is_dir()


def test_isolated_readers_give_what_the_plain_ones_give(tmp_path: Path, phantoms: Path) -> None:
    folder = write_series(tmp_path / "series", stored_slices(12), SliceThickness=3)
    plain, isolated = read_ct(folder), read_ct_isolated(folder)
    for name in ("hu", "affine", "slice_positions_mm"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(isolated, name))
    assert isolated.notes == plain.notes == ("2.00 mm between slices not imaged",)
    with pytest.raises(RefusedError, match="^no_such_series: "):
        read_ct_isolated(folder, 7)
    (image, *_) = phantoms.glob("*/*_flair.nii.gz")
    with pytest.raises(RefusedError, match="^missing_modality: .*_flair.nii.gz: "):
        read_patient_isolated([image])


def test_zip_of_a_folder_is_the_folder(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "series", stored_slices(12))
    file = shutil.make_archive(str(tmp_path / "case_7"), "zip", folder)
    loaded = LoadImageStudyd()({"image": file})
    np.testing.assert_array_equal(loaded["image"], read_ct(folder).hu.transpose(2, 1, 0)[None])
    assert loaded["case"] == "case_7"
    (tmp_path / "cut.zip").write_bytes(Path(file).read_bytes()[:-30])
    with pytest.raises(RefusedError, match=r"^damaged_archive: cut.zip: .* \(case cut\)$"):
        LoadImageStudyd()({"image": tmp_path / "cut.zip"})


def test_limits_are_knobs_that_change_no_fingerprint(tmp_path: Path) -> None:
    wide, narrow = LoadImageStudyd(), LoadImageStudyd(memory_mib=900, seconds=50)
    assert narrow.series_reader.limits == Limits(900, 50)
    assert fingerprint(wide) == fingerprint(narrow)
    assert LoadImageModalitiesd("image", seconds=50).limits == Limits(4096, 50)
    assert fingerprint(LoadImageModalitiesd("image", seconds=50)) == fingerprint(LoadImageModalitiesd("image"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedError, match=r"^not_dicom: .* \(case empty\)$"):
        narrow({"image": tmp_path / "empty"})
