"""Folders as an evaluation leaves them, made from random numbers: 120 patients of a classifier, 40 of a segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from custom_transforms.evidence.classifier_evidence import classifier_evidence
from custom_transforms.evidence.evidence_files import write_json, write_patients, write_table
from custom_transforms.evidence.segmenter_evidence import segmenter_evidence
from custom_transforms.pictures import picture_bytes

NOTE = "Synthetic: random numbers, not patients."
CONTEXT = {"version": "0.1.0", "date": "2026-11-27T21:00:00+00:00", "fold": "test"}
CONTEXT |= {"data_list_sha256": "0f" * 32, "weights_sha256": "a7" * 32}
Folder = dict[str, Any]


def classifier_rows(patients: int = 120, seed: int = 7) -> list[dict[str, Any]]:
    """Patients of a fair classifier, with sex, which of two is not known, and age."""
    random = np.random.default_rng(seed)
    label = random.random(patients) < 0.4
    prob = 1 / (1 + np.exp(-(random.normal(size=patients) * 1.3 + 1.7 * label - 1)))
    sex, age = random.choice(["F", "M"], patients), random.integers(18, 90, patients)
    sex[:2] = ""
    return [
        {"case": f"head_{index:03d}", "label": int(label[index]), "prob": float(prob[index]),
         "decision": "positive" if prob[index] >= 0.4 else "negative", "sex": str(sex[index]), "age": int(age[index])}
        for index in range(patients)
    ]  # fmt: skip


def write_classifier_folder(folder: Path, *, decided: bool = True, patients: int = 120, seed: int = 7) -> Folder:
    """Write tables and `metrics.json` after the contract; give its content."""
    rows = classifier_rows(patients, seed)
    write_patients(folder, rows, "test")
    measures = {
        "prevalences": [0.05, 0.2],
        "fixed": {"specificity": [0.9]},
        "subgroups": {"sex": None, "age": [40, 65]},
    }
    found = classifier_evidence(rows, threshold=0.4 if decided else None, **measures)
    summary: Folder = {"note": NOTE, "task": "classification", "bundle": "ct_metastasis_classifier", **CONTEXT}
    summary |= {"patients": patients, "positives": sum(row["label"] for row in rows), "settings": {"pooling": "max"}}
    point = {"threshold": 0.4, "rule": "sensitivity at least 0.85", "split": "validation", "patients": 90}
    point |= {"positives": 37, "date": "2026-11-20", "version": "2026-11-20.1", "weights_sha256": "a7" * 32}
    summary |= {"measures": measures, "operating_point": point if decided else None, **found}
    write_json(folder / "metrics.json", summary)
    return summary


def segmenter_rows(patients: int = 40, seed: int = 7) -> list[dict[str, Any]]:
    """Patients of a segmenter; the last has no enhancing tumour, and one voxel is marked."""
    random = np.random.default_rng(seed)
    rows = []
    for index in range(patients):
        for region, share in (("TC", 0.4), ("WT", 1.0), ("ET", 0.25)):
            truth_ml = 0.0 if (index == patients - 1 and region == "ET") else float(share * random.lognormal(3.3, 1))
            dice = float(np.clip(0.9 - 0.6 / (1 + truth_ml) - random.exponential(0.08), 0, 1)) if truth_ml else 0.0
            volume_ml = float(truth_ml * random.normal(1.02, 0.12)) if truth_ml else 0.001
            tp, fp = int(1000 * truth_ml * dice), int(1000 * max(volume_ml - truth_ml * dice, 0))
            counts = {"tp": tp, "fp": fp, "fn": int(1000 * truth_ml * (1 - dice)), "tn": 1_000_000}
            hd95_mm = 240.0 if not truth_ml else float(2 + 20 * (1 - dice) * random.random())
            rows.append({
                "case": f"BraTS_{index:03d}", "region": region, **counts,
                **{f"small_{name}": count // 10 for name, count in counts.items()},
                "dice": dice, "iou": dice / (2 - dice), "precision": dice, "recall": dice if truth_ml else "",
                "hd95_mm": hd95_mm, "surface_dice": min(1, dice + 0.05), "volume_ml": volume_ml,
                "truth_volume_ml": truth_ml, "volume_error_ml": volume_ml - truth_ml,
                "relative_volume_error": abs(volume_ml / truth_ml - 1) if truth_ml else "",
                "lesion_dice": dice * 0.9, "lesion_hd95_mm": hd95_mm * 1.4,
            })  # fmt: skip
    return rows


def write_segmenter_folder(folder: Path, *, patients: int = 40, seed: int = 7, drawn: bool = True) -> Folder:
    """Write tables, `metrics.json` and, if `drawn`, a small overlay for each patient; give the summary."""
    rows = segmenter_rows(patients, seed)
    named = write_patients(folder, rows, "test")
    lesions = [
        {"row": row["row"], "region": row["region"], "lesion": lesion, "volume_ml": row["truth_volume_ml"] / lesion**2,
         "dice": row["dice"], "hd95_mm": row["hd95_mm"], "counted": 1,
         "found": "found" if row["dice"] > 0.6 else "missed"}
        for row in named if row["truth_volume_ml"] for lesion in (1, 4)
    ]  # fmt: skip
    write_table(folder / "lesions.csv", lesions)
    found = segmenter_evidence(named, lesions)
    summary: Folder = {"note": NOTE, "task": "segmentation", "bundle": "brats_attention_unet", **CONTEXT, **found}
    floors = [
        {"region": name, "dice": 0.5, "modality": "T1ce", "threshold": 1.2, "direction": "above"}
        for name in found["regions"]
    ]
    summary |= {"best_single_threshold": {"mean_dice": 0.5, "regions": floors}}
    write_json(folder / "metrics.json", summary)
    figure = Figure(figsize=(1, 0.7), layout="compressed")
    figure.subplots().imshow(np.eye(6))
    picture = picture_bytes(figure)
    for case in dict.fromkeys(row["case"] for row in rows) if drawn else ():
        (folder / "overlays").mkdir(exist_ok=True)
        (folder / "overlays" / f"{case}.png").write_bytes(picture)
    return summary
