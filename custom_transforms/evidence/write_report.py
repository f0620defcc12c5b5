"""Draw an evaluation and write its page."""

from __future__ import annotations

from pathlib import Path

from custom_transforms.atomic_file import whole_file
from custom_transforms.evidence.case_pictures import case_pictures
from custom_transforms.evidence.classifier_figures import draw_classifier
from custom_transforms.evidence.evaluation_folder import EvaluationFolder, read_evaluation_folder
from custom_transforms.evidence.figure import Picture
from custom_transforms.evidence.html_report import render_page, shown
from custom_transforms.evidence.report_text import files_of
from custom_transforms.evidence.segmenter_figures import draw_segmenter
from custom_transforms.pictures import picture_bytes

REPORT, FIGURES = "report.html", "figures"


def write_report(folder: Path) -> Path:
    """Write `figures/*.png` and `report.html` from what an evaluation left in a folder.

    Everything is drawn before anything is written. Needs neither images nor network nor torch.

    Args:
        folder: with `metrics.json` and `patients.csv`; for pictures of cases also `row_ids.csv` and `overlays`.

    Returns:
        path of the page.

    Raises:
        RefusedError: see `read_evaluation_folder`.
    """
    found = read_evaluation_folder(folder)
    pictures = _draw(found)
    drawn = {picture.name: picture_bytes(picture.figure) for picture in pictures}
    figures = [shown(part.title, part.caption, part.words, drawn[part.name]) for part in pictures]
    cases = case_pictures(folder, found.rows) if found.summary["task"] == "segmentation" else []
    of_cases = [
        shown(part.title, part.caption, part.words, part.file.read_bytes() if part.file else None) for part in cases
    ]
    files = files_of(folder, has_cases=any(part.png for part in of_cases))
    page = render_page(found.summary, pictures=figures, cases=of_cases, files=files)
    for name, png in drawn.items():
        with whole_file(folder / FIGURES / f"{name}.png") as file:
            file.write_bytes(png)
    for left in (folder / FIGURES).glob("*.png"):
        if left.stem not in drawn:  # of an earlier evaluation
            left.unlink()
    with whole_file(folder / REPORT) as file:
        file.write_text(page, encoding="utf-8")
    return folder / REPORT


def _draw(found: EvaluationFolder) -> list[Picture]:
    if found.summary["task"] == "classification":
        return draw_classifier(found.summary, found.rows)
    return draw_segmenter(found.rows)
