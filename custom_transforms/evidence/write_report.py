"""Draw an evaluation and write its page."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from custom_transforms.atomic_file import whole_file
from custom_transforms.evidence.case_pictures import case_pictures
from custom_transforms.evidence.classifier_figures import draw_classifier
from custom_transforms.evidence.evaluation_folder import EvaluationFolder, read_evaluation_folder
from custom_transforms.evidence.html_report import render_page, shown
from custom_transforms.evidence.looked import read_looked
from custom_transforms.evidence.report_text import files_of
from custom_transforms.evidence.segmenter_figures import draw_segmenter
from custom_transforms.pictures import picture_bytes

REPORT, FIGURES = "report.html", "figures"


class Report(NamedTuple):
    """What is to be written: the page, and its figures as PNG by name."""

    page: str
    figures: dict[str, bytes]


def write_report(folder: str | Path) -> Path:
    """Write `figures/*.png` and `report.html` from what an evaluation left in a folder.

    Needs neither images nor network nor torch.

    Args:
        folder: with `metrics.json` and `patients.csv`; for pictures of cases also `row_ids.csv` and `overlays`.

    Returns:
        path of the page.

    Raises:
        RefusedError: see `read_evaluation_folder`.
    """
    return save_report(draw_report(read_evaluation_folder(Path(folder))), Path(folder))


def draw_report(evaluation: EvaluationFolder) -> Report:
    """Draw everything before anything is written."""
    folder, is_segmenter = evaluation.path, evaluation.summary["task"] == "segmentation"
    rows = evaluation.rows
    pictures = draw_segmenter(rows) if is_segmenter else draw_classifier(evaluation.summary, rows)
    drawn = {picture.name: picture_bytes(picture.figure) for picture in pictures}
    figures = [shown(part.title, part.caption, part.words, drawn[part.name]) for part in pictures]
    looked = None if is_segmenter else read_looked(folder, evaluation.summary, rows)
    patients = case_pictures(folder, rows) if is_segmenter else looked.pictures if looked else []
    cases = [
        shown(title, caption, words, file.read_bytes() if file else None) for title, caption, words, file in patients
    ]
    files = files_of(folder, has_cases=any(part.png for part in cases))
    page = render_page(evaluation.summary, pictures=figures, cases=cases, looked=looked, files=files)
    return Report(page, drawn)


def save_report(report: Report, folder: Path) -> Path:
    """Write figures and page, each whole or not at all, the page last; figures of an earlier evaluation go."""
    for name, png in report.figures.items():
        with whole_file(folder / FIGURES / f"{name}.png") as file:
            file.write_bytes(png)
    for left in (folder / FIGURES).glob("*.png"):
        if left.stem not in report.figures:
            left.unlink()
    with whole_file(folder / REPORT) as file:
        file.write_text(report.page, encoding="utf-8")
    return folder / REPORT
