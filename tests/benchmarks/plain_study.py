"""A DICOM folder to a probability, as one would write it plainly: pydicom, scipy, torch, one slice after another.

usage: python -m benchmarks.plain_study FOLDER WEIGHTS RESULT.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pydicom
import torch
from brain_oracle import Mask, extract_brain, to_bag
from numpy.typing import NDArray

from benchmarks.plain_resnet import PlainResNet50

AIR_HU = -1024
SMALLEST_CM2, LEAST_SPREAD_HU, MOST_SPREAD_HU, METAL_HU, MOST_METAL = 10.0, 1.5, 30.0, 2500, 0.002


def read_series(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float64], tuple[float, float]]:
    """Give HU `(S, R, C)` from the feet up, the slices' positions in mm, and the distance of rows and of columns."""
    slices = [pydicom.dcmread(file) for file in folder.iterdir()]
    across, down = np.array(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    normal = np.cross(across, down)
    slices.sort(key=lambda part: float(normal @ np.array(part.ImagePositionPatient, dtype=float)))
    positions = np.array([float(normal @ np.array(part.ImagePositionPatient, dtype=float)) for part in slices])
    planes = [part.pixel_array * float(part.RescaleSlope) + float(part.RescaleIntercept) for part in slices]
    row_mm, column_mm = map(float, slices[0].PixelSpacing)
    return np.maximum(np.stack(planes), AIR_HU).astype(np.float32), positions, (row_mm, column_mm)


def is_usable(hu: NDArray[np.float32], brain: Mask, pixel_cm2: float) -> bool:
    """Tell whether a slice shows enough brain, with contrast, without metal or streaks."""
    inside = hu[brain]
    soft = inside[(inside >= -50) & (inside <= 100)]
    if inside.size * pixel_cm2 < SMALLEST_CM2 or not soft.size or (inside > METAL_HU).mean() > MOST_METAL:
        return False
    return bool(LEAST_SPREAD_HU <= soft.std() <= MOST_SPREAD_HU)


def classify(folder: Path, weights: Path) -> float:
    """Give the patient's probability, that of the most suspicious slice."""
    hu, positions, spacing_mm = read_series(folder)
    brain = extract_brain(hu, spacing_mm=spacing_mm, slice_positions_mm=positions)
    pixel_cm2 = spacing_mm[0] * spacing_mm[1] / 100
    kept = [number for number in range(len(hu)) if is_usable(hu[number], brain[number], pixel_cm2)]
    bag = torch.from_numpy(to_bag(hu, brain, spacing_mm=spacing_mm, kept=kept)).float()
    network = PlainResNet50()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    with torch.no_grad():
        logits = [network(plane[None, None]) for plane in bag]
    return float(torch.cat(logits).max().sigmoid())


if __name__ == "__main__":
    study, weights_file, result = map(Path, sys.argv[1:])
    result.write_text(json.dumps({"patient_probability": classify(study, weights_file)}))
