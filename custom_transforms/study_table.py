"""Check study after study, and tell of all in a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

from custom_transforms.atomic_file import whole_file
from custom_transforms.fit_study import FitStudy
from custom_transforms.identifying import holds_identity, shown_name
from custom_transforms.refusal import RefusedError

WIDEST = 100  # letters of a reason in the table; the JSON file has it whole


class Row(TypedDict):
    """What is told of one study: `status` is `ok`, `refused` by a rule, or `failed` by anything else."""

    study: str
    status: str
    reason_code: str
    reason: str
    warnings: list[str]
    notes: list[str]


def check_studies(studies: Sequence[tuple[str, Path]], check: Callable[[Path], FitStudy]) -> Iterator[Row]:
    """Check one study after the other; one that cannot be checked does not stop the rest.

    Args:
        studies: names and places. A name that gives away whose study it is becomes the number of the study.
        check: raises a RefusedError where a study is not fit.
    """
    for number, (name, path) in enumerate(studies, start=1):
        shown = f"study {number} of {len(studies)}" if holds_identity(name, path) else name
        row = Row(study=shown, status="ok", reason_code="", reason="", warnings=[], notes=[])
        try:
            study = check(path)
            row["warnings"], row["notes"] = list(study.warnings), list(study.notes)
        except RefusedError as error:
            row["status"], row["reason_code"], row["reason"] = "refused", str(error).partition(":")[0], str(error)
        except Exception as error:  # the other studies are not lost with it; its text may hold what was read
            code, got = "failed_check", type(error).__name__
            reason = str(RefusedError.of(code, ".", expected="a study that can be checked", got=got))
            row["status"], row["reason_code"], row["reason"] = "failed", code, reason
        yield row


def check_only(place: Path, root: Path, check: Callable[[Path], FitStudy]) -> FitStudy:
    """Check the only study that was found in a folder.

    Raises:
        RefusedError: see `check`; its file is named relative to the folder.
    """
    try:
        return check(place)
    except RefusedError as error:
        file = place / error.file
        if not file.is_file():
            raise
        raise error.renamed(shown_name(file.relative_to(root).as_posix(), root)) from None


def keep_rows(rows: Iterable[Row], path: Path) -> list[Row]:
    """Write rows as JSON when all are there.

    Until then each stands in `PATH.partial`, one JSON object a line, where an end of whatever kind leaves it.
    """
    kept = []
    partial = path.with_name(f"{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            kept.append(row)
    with whole_file(path) as file:
        file.write_text(json.dumps({"studies": kept}, indent=1) + "\n")
    partial.unlink()
    return kept


def as_table(rows: Iterable[Row]) -> str:
    """Lay rows out for the screen, one line a study: status, name, and the reason or the warnings."""
    rows = list(rows)
    width = max((len(row["study"]) for row in rows), default=0)
    return "\n".join(f"{row['status']:7}  {row['study']:{width}}  {_told(row)}".rstrip() for row in rows)


def _told(row: Row) -> str:
    told = row["reason"] or "; ".join(f"warning: {text}" for text in row["warnings"])
    return told if len(told) <= WIDEST else told[: WIDEST - 1] + "…"
