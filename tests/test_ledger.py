"""The ledger, its lock, and the ids of studies: torch-free, and whole after any crash."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from custom_transforms.refusal import RefusedError
from custom_transforms.runs import supervise as supervise_module
from custom_transforms.runs.folder_lock import Shard, lock_folder
from custom_transforms.runs.ledger import Ledger, newest_rows, note_death, now, read_row, read_rows
from custom_transforms.runs.study_record import input_sha256, input_state, item_state, outputs_are_whole, row_id
from custom_transforms.runs.summary import sum_up, tell
from custom_transforms.runs.supervise import Supervisor

SALT = "00" * 16


def done(row: str, status: str = "ok", **more: Any) -> dict[str, Any]:
    failure = {"code": "", "message": ""} if status == "ok" else {"code": "no_ct", "message": "no_ct: .: expected, got"}
    return {"row": row, "case": f"case {row}", "status": status, "date": now(), "table": {}, "fingerprint": "f",
            **failure, **more}  # fmt: skip


def test_newest_row_of_a_study_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for row in (done("a", "refused"), done("b"), done("a", outputs={"a.nii.gz": "1"})):
        ledger.append(row)
    newest = newest_rows(tmp_path)
    assert {row: entry.status for row, entry in newest.items()} == {"a": "ok", "b": "ok"}
    assert read_row(newest["a"])["outputs"] == {"a.nii.gz": "1"}


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/passwd", "deeper/mask.nii.gz", "..", ""])
def test_ledger_reaches_no_file_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    Ledger(tmp_path / "ledger.jsonl").append(done("a", outputs={name: "1"}))
    with pytest.raises(RefusedError, match="damaged_ledger: ledger.jsonl: expected outputs in its folder"):
        read_row(newest_rows(tmp_path)["a"])


@pytest.mark.parametrize("torn", [b'{"row": "b", "sta', b"\0" * 70_000, b"{"])
def test_torn_last_line_is_dropped_on_opening(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    salt = Ledger(path).salt
    Ledger(path).append(done("a"))
    with path.open("ab") as stream:
        stream.write(torn)
    assert [row["row"] for _, row in read_rows(path)] == ["a"]  # also for who only reads
    again = Ledger(path)
    again.append(done("c"))
    assert again.salt == salt
    assert [row["row"] for _, row in read_rows(path)] == ["a", "c"]


def test_what_is_no_ledger_or_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text("no ledger\n")
    with pytest.raises(RefusedError, match="damaged_ledger: ledger.jsonl: expected a row at byte 0"):
        Ledger(tmp_path / "ledger.jsonl")
    (tmp_path / "ledger.jsonl").write_text(json.dumps({"ledger": 1, "salt": SALT}) + "\n{half\n" + "{}\n")
    with pytest.raises(RefusedError, match="damaged_ledger: ledger.jsonl: expected a row at byte"):
        list(read_rows(tmp_path / "ledger.jsonl"))


def test_row_without_room_leaves_the_ledger_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    before = ledger.path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:9]))
    with pytest.raises(OSError, match="No space left"):
        ledger.append(done("a"))
    assert ledger.path.read_bytes() == before


def test_row_id_is_of_the_place_in_the_input_and_needs_the_salt(tmp_path: Path) -> None:
    here = row_id(SALT, str(tmp_path / "a" / "Doe^Jane"), tmp_path / "a")
    assert here == row_id(SALT, str(tmp_path / "b" / "Doe^Jane"), tmp_path / "b")
    assert here != row_id("11" * 16, str(tmp_path / "a" / "Doe^Jane"), tmp_path / "a")
    assert here != row_id(SALT, [str(tmp_path / "a" / "Doe^Jane"), str(tmp_path / "a" / "x")], tmp_path / "a")
    assert len(here) == 16


def test_changed_files_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "study" / "deep"
    folder.mkdir(parents=True)
    (folder / "1.dcm").write_bytes(b"one")
    state, sha = input_state(SALT, tmp_path / "study"), input_sha256(tmp_path / "study")
    os.utime(folder / "1.dcm", (1, 1))
    assert input_state(SALT, tmp_path / "study") != state
    assert input_sha256(tmp_path / "study") == sha
    (folder / "2.dcm").write_bytes(b"two")
    assert input_sha256(tmp_path / "study") != sha


@pytest.mark.parametrize("said", [{"case": "b"}, {"series": 2}, {"modalities": ["T2", "T1"]}, {"slices": 9}])
def test_what_the_list_says_of_a_study_is_noticed(said: dict[str, object]) -> None:
    item = {"image": "/in/a", "case": "a", "series": 1, "modalities": ["T1", "T2"], "slices": 8, "label": 0}
    assert item_state(SALT, {**item, **said}) != item_state(SALT, item)
    assert item_state(SALT, {**item, "image": "/moved/a", "label": 1}) == item_state(SALT, item)
    assert item_state("11" * 16, item) != item_state(SALT, item)  # it may hold a name


def test_outputs_are_whole_only_with_their_content(tmp_path: Path) -> None:
    (tmp_path / "mask").write_bytes(b"mask")
    named = {"mask": hashlib.sha256(b"mask").hexdigest()}
    assert outputs_are_whole(tmp_path, named)
    assert not outputs_are_whole(tmp_path, {**named, "other": named["mask"]})
    (tmp_path / "mask").write_bytes(b"half")
    assert not outputs_are_whole(tmp_path, named)


def test_summary_adds_up_over_shards_and_the_table_has_each_study_once(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path / "ledger_1of2.jsonl", SALT), Ledger(tmp_path / "ledger_2of2.jsonl", SALT)
    first.append(done("a", table={"probability": 0.5}))
    first.append(done("gone"))
    first.append(done("b", "failed"))
    second.append(done("b", "refused"))  # by another number of shards, later
    second.append(done("c", fingerprint="other weights"))
    second.append({"row": "d", "status": "started", "date": now()})
    summary = sum_up(tmp_path, ["b", "a", "c", "d", "e"], "f")
    counts = {"studies": 5, "ok": 1, "refused": 1, "failed": 0, "pending": 3}
    assert {name: summary[name] for name in counts} == counts
    assert summary["refused_by_reason"] == {"no_ct": 1}
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert tell(summary) == "5 studies: 1 ok, 1 refused, 0 failed, 3 pending (1 no_ct)"
    with (tmp_path / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["case"], row["probability"], row["status"]) for row in rows] == [
        ("case b", "", "refused"), ("case a", "0.5", "ok")]  # fmt: skip
    assert rows[0]["reason"] == "no_ct: .: expected, got"


@pytest.mark.parametrize(("text", "expected"), [("", (1, 1)), ("1/1", (1, 1)), ("3/4", (3, 4))])
def test_shard_is_read(text: str, expected: tuple[int, int]) -> None:
    shard = Shard.of(text)
    assert (shard.index, shard.count) == expected


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2"])
def test_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="wrong_shard"):
        Shard.of(text)


def test_shards_share_out_every_study_once() -> None:
    shards = [Shard(index, 3) for index in (1, 2, 3)]
    assert all(sum(shard.holds(position) for shard in shards) == 1 for position in range(10))


@pytest.mark.parametrize(
    ("held", "wanted", "free"),
    [("", "", False), ("", "1/2", False), ("1/2", "", False), ("1/2", "1/2", False), ("1/2", "2/3", False),
     ("1/2", "2/2", True)],
)  # fmt: skip
def test_runs_exclude_each_other_but_not_shards_of_one_number(
    tmp_path: Path, held: str, wanted: str, free: bool
) -> None:
    folder = tmp_path / "out"
    with lock_folder(folder, Shard.of(held)):
        if free:
            with lock_folder(folder, Shard.of(wanted)):
                pass
        else:
            with pytest.raises(RefusedError, match="folder_in_use: out"), lock_folder(folder, Shard.of(wanted)):
                pass
    with lock_folder(folder, Shard.of(wanted)):  # free again
        pass


def test_what_a_run_forks_does_not_keep_its_lock(tmp_path: Path) -> None:
    with lock_folder(tmp_path, Shard()):
        (ready, told), (waiting, end) = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.close(end)
            os.write(told, b"!")
            os.read(waiting, 1)
            os._exit(0)
        os.read(ready, 1)
    with lock_folder(tmp_path, Shard()):
        pass
    os.close(end)
    os.waitpid(child, 0)


CHILD = """
import os, sys
from pathlib import Path
from custom_transforms.runs.ledger import DONE, Ledger, newest_rows, now
folder, fatal = Path(sys.argv[1]), sys.argv[2].split()
ledger = Ledger(folder / "ledger.jsonl")
for row in "abcd":
    entry = newest_rows(folder).get(row)
    if entry and entry.status in DONE:
        continue
    deaths = entry.deaths if entry else 0
    if deaths < 2:
        ledger.append({"row": row, "status": "started", "deaths": deaths, "date": now()})
        if row in fatal:
            os.kill(os.getpid(), 9)
    ledger.append({"row": row, "status": "ok" if deaths < 2 else "failed", "deaths": 0, "attempts": deaths,
                   "date": now()})
failed = sum(entry.status == "failed" for entry in newest_rows(folder).values())
(folder / "summary.json").write_text('{"refused": 0, "failed": %d}' % failed)
"""


def supervise(folder: Path, script: str, *words: str) -> int:
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder), *words]
    return Supervisor(command, folder, Shard()).run()


def test_study_that_kills_its_process_twice_is_given_up_and_the_rest_is_done(tmp_path: Path) -> None:
    assert supervise(tmp_path, CHILD, "b d") == 2
    rows = {row["row"]: row for _, row in read_rows(tmp_path / "ledger.jsonl")}
    assert {name: row["status"] for name, row in rows.items()} == {"a": "ok", "b": "failed", "c": "ok", "d": "failed"}
    assert rows["b"]["attempts"] == 2


@pytest.mark.parametrize(("fatal", "expected"), [("", 0), ("a", 2)])
def test_exit_status_tells_whether_all_went_well(tmp_path: Path, fatal: str, expected: int) -> None:
    assert supervise(tmp_path, CHILD, fatal) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [("raise ValueError('no weights')", 3), ("import os; os.kill(os.getpid(), 9)", 3), ("raise SystemExit(75)", 75)],
)
def test_command_that_cannot_run_is_not_tried_for_ever(tmp_path: Path, script: str, expected: int) -> None:
    assert supervise(tmp_path, script) == expected


def test_death_of_the_supervisor_is_held_against_no_study(tmp_path: Path) -> None:
    """Its child dies with it, and the lock is free at once."""
    waiting = CHILD.replace("os.kill(os.getpid(), 9)", "__import__('time').sleep(600)")
    outer = f"""
        import sys
        from pathlib import Path
        from custom_transforms.runs.folder_lock import Shard
        from custom_transforms.runs.supervise import Supervisor
        Supervisor([sys.executable, "-c", {waiting!r}, {str(tmp_path)!r}, "b"], Path({str(tmp_path)!r}), Shard()).run()
    """
    ledger = tmp_path / "ledger.jsonl"
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(outer)], cwd=ROOT) as supervisor:
        while not ledger.exists() or "started" not in (newest_rows(tmp_path).get("b") or ()):
            assert supervisor.poll() is None
        supervisor.kill()
    with lock_folder(tmp_path, Shard()):
        assert newest_rows(tmp_path)["b"].deaths == 0
    assert supervise(tmp_path, CHILD, "") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_to_end_is_passed_on_and_held_against_no_study(tmp_path: Path, number: signal.Signals) -> None:
    waiting = CHILD.replace("os.kill(os.getpid(), 9)", "__import__('time').sleep(600)")
    outer = f"""
        import sys
        from pathlib import Path
        from custom_transforms.runs.folder_lock import Shard
        from custom_transforms.runs.supervise import Supervisor
        command = [sys.executable, "-c", {waiting!r}, {str(tmp_path)!r}, "b"]
        sys.exit(Supervisor(command, Path({str(tmp_path)!r}), Shard()).run())
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(outer)], cwd=ROOT) as supervisor:
        while not (tmp_path / "ledger.jsonl").exists() or "started" not in (newest_rows(tmp_path).get("b") or ()):
            assert supervisor.poll() is None
        supervisor.send_signal(number)
        assert supervisor.wait() == 75
    assert newest_rows(tmp_path)["b"].deaths == 0


def test_signal_that_comes_before_the_child_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def signalled() -> str:
        signal.raise_signal(signal.SIGTERM)
        return "now"

    monkeypatch.setattr(supervise_module, "now", signalled)
    assert supervise(tmp_path, "__import__('time').sleep(600)") == 75


def test_death_is_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    note_death(ledger, "a", 0)
    assert newest_rows(tmp_path)["a"][2:4] == ("died", 1)
