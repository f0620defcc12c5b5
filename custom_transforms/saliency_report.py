"""Say where in its most suspicious slices a classifier looked, and whether that matters to its answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.networks.utils import eval_mode
from torch import nn

from custom_transforms.class_activation import SliceGradCam
from custom_transforms.deletion import Deletion, Slice
from custom_transforms.evidence.deletion_summary import MATTERS, draw_deletion, summarise_deletion
from custom_transforms.evidence.evaluation_folder import METRICS, read_evaluation_folder
from custom_transforms.evidence.evidence_files import read_cases, write_json, write_table
from custom_transforms.file_hash import file_sha256
from custom_transforms.mri_study import case_name
from custom_transforms.patient_bag import BagsDataset
from custom_transforms.patient_metrics import Row, evaluated_patients
from custom_transforms.pictures import save_picture
from custom_transforms.refusal import RefusedError
from custom_transforms.saliency_picture import SalientSlice, draw_saliency

EVEN = 0.5  # probability from which an answer is positive where no decision was made
FOLDER = "saliency"


class SaliencyReportHandler:
    """Draw evidence map and Grad-CAM of each patient's top slices, and check both by deletion.

    Goes on a MONAI `SupervisedEvaluator` with `EvidenceInferer`, one patient a batch, after an evaluation has written
    `patients.csv` and `row_ids.csv` into the same folder. Deletion is measured in the slice with the highest
    probability of every patient with a positive answer, right or wrong: a map claims to show what speaks for
    metastases, and a negative answer rests on no place. It writes `saliency/<row>.png` for each patient, and
    `deletion.csv`, `deletion.json` and `deletion.png` for those with a positive answer.

    Args:
        network: slice classifier with its weights loaded.
        dataset: the patients that the evaluator sees.
        output_dir: folder of the evaluation.
        deletion: how pixels are deleted.
        top_slices: slices of a patient that are drawn, 1 at least.
        weights: file of the network, for its hash.
        fold: part of the data list.
        version: of the bundle.
        note: what the reader must know of the data, such as that they are synthetic.

    Raises:
        RefusedError: `top_slices` below 1; when the evaluator starts, no evaluation in the folder, or one of other
            patients or weights.
    """

    def __init__(
        self,
        network: nn.Module,
        dataset: BagsDataset,
        output_dir: str | Path,
        *,
        deletion: Deletion,
        top_slices: int = 3,
        weights: str | Path,
        fold: str,
        version: str = "",
        note: str = "",
    ) -> None:
        if top_slices < 1:
            raise RefusedError.of("wrong_setting", "top_slices", expected="at least 1", got=str(top_slices))
        self.network = network
        self.dataset = dataset
        self.output_dir = Path(output_dir)
        self.deletion = deletion
        self.top_slices = top_slices
        self.weights = Path(weights)
        self.context = {"note": note, "task": "deletion", "version": version, "fold": fold}

    def attach(self, engine: Engine) -> None:
        """Look for the evaluation first, then draw and delete patient by patient, and sum up at the end."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def start(self, engine: Engine) -> None:
        """Read which row of the evaluation each patient is; after this the network's weights must not change."""
        wanted, patients = engine.state.epoch_length or 0, len(self.dataset)
        if wanted > patients:
            expected = f"at most {patients}, as many as there are"
            raise RefusedError.of("wrong_setting", "explained_patients", expected=expected, got=str(wanted))
        self.evaluated = evaluated_rows(self.output_dir, file_sha256(self.weights), self.context["fold"])
        self.indices = {case_name(item): index for index, item in enumerate(self.dataset.data)}
        if not self.indices.keys() <= self.evaluated.keys():
            expected = "the patients of this data list and fold (run evaluating again)"
            raise RefusedError.of("other_evaluation", "row_ids.csv", expected=expected, got="others")
        self.positive_by = "decision"
        if not any(row.get("decision") in ("positive", "negative") for row in self.evaluated.values()):
            self.positive_by = f"probability of at least {EVEN}"
        self.grad_cam = SliceGradCam(self.network)
        self.explained: set[str] = set()
        self.rows: list[Row] = []

    def __call__(self, engine: Engine) -> None:
        """Draw a patient, and delete in the slice that decides where the answer is positive."""
        for patient in evaluated_patients(engine):
            row = self.evaluated[patient["case"]]
            shown, slices = self._salient(patient)
            save_picture(draw_saliency(shown, title=self._title(row)), self.output_dir / FOLDER / f"{row['row']}.png")
            self.explained.add(row["row"])
            if self._is_positive(row):
                self.rows += self._deleted(row, shown[0], slices[0, 0].cpu().numpy())

    def write(self) -> None:
        """Write the table, the picture and the summary of deletion; what an earlier run left goes."""
        for left in (self.output_dir / FOLDER).glob("*.png"):
            if left.stem not in self.explained:
                left.unlink()
        named = {name: self.output_dir / f"deletion.{name}" for name in ("csv", "png", "json")}
        if self.rows:
            write_table(named["csv"], self.rows)
            save_picture(draw_deletion(self.rows, note=self.context["note"]), named["png"])
        else:
            named["csv"].unlink(missing_ok=True)
            named["png"].unlink(missing_ok=True)
        maps = summarise_deletion(self.rows)
        context: dict[str, Any] = {key: value for key, value in self.context.items() if value}
        context |= {"date": datetime.now(timezone.utc).date().isoformat(), "weights_sha256": file_sha256(self.weights)}
        context |= {"patients_drawn": len(self.explained), "patients": len({row["row"] for row in self.rows})}
        context |= {"positive_by": self.positive_by, **asdict(self.deletion), "maps": maps}
        write_json(named["json"], context | {"warnings": warnings_of(maps)})
        for warning in warnings_of(maps):
            logging.getLogger(__name__).warning(warning)

    def _salient(self, patient: Mapping[str, Any]) -> tuple[list[SalientSlice], torch.Tensor]:
        """Take the top slices of a patient, highest probability first, and what the network sees of them."""
        maps = torch.as_tensor(patient["pred"]).detach().float()
        probs = maps[:, 1, 0, 0].sigmoid().cpu()
        top = probs.argsort(descending=True, stable=True)[: self.top_slices]
        slices = torch.as_tensor(patient["image"])[top.to(patient["image"].device)]
        evidence, grad_cam = maps[:, 0].double().sigmoid().cpu()[top].numpy(), self.grad_cam(slices).cpu().numpy()
        bag = self.dataset.bag(self.indices[patient["case"]])
        shown = [
            SalientSlice(int(bag.slice_index[index]), float(probs[index]), np.array(bag.image[index, 0]), *both)
            for index, *both in zip(top.tolist(), evidence, grad_cam, strict=True)
        ]
        return shown, slices

    def _deleted(self, row: Row, shown: SalientSlice, image: Slice) -> list[Row]:
        found: list[Row] = []
        for name, coarse in (("evidence", shown.evidence), ("grad_cam", shown.grad_cam)):
            along, random = self.deletion(image, coarse, self._probs)
            found += [
                {"row": row["row"], "label": row["label"], "slice": shown.number, "map": name, "percent": percent,
                 "prob": float(prob), "random_prob": float(chance)}
                for percent, prob, chance in zip(self.deletion.percent, along, random.mean(axis=0), strict=True)
            ]  # fmt: skip
        return found

    def _probs(self, slices: Slice) -> Slice:
        """Return the probabilities `(N,)` of slices `(N, H, W)`."""
        device = next(self.network.parameters()).device
        with eval_mode(self.network):
            outputs = self.network(torch.from_numpy(slices)[:, None].to(device))
        probs: Slice = outputs[:, 0].float().sigmoid().cpu().numpy()
        return probs

    def _is_positive(self, row: Row) -> bool:
        return row.get("decision") == "positive" if self.positive_by == "decision" else float(row["prob"]) >= EVEN

    def _title(self, row: Row) -> str:
        title = f"{row['row']}: probability {float(row['prob']):.2f}, label {row['label']}"
        return f"{title}\n{self.context['note']}" if self.context["note"] else title


def evaluated_rows(folder: Path, weights_sha256: str, fold: str) -> dict[str, Row]:
    """Read the rows of `patients.csv` by case; the decisions in them must be of this network and fold.

    Raises:
        RefusedError: see `read_evaluation_folder`; an evaluation of others, or one whose key to the row ids is gone.
    """
    evaluation = read_evaluation_folder(folder)
    if (evaluation.summary.get("weights_sha256"), evaluation.summary.get("fold")) != (weights_sha256, fold):
        expected = "an evaluation of these weights on this fold (run evaluating again)"
        raise RefusedError.of("other_evaluation", METRICS, expected=expected, got="another")
    try:
        cases = read_cases(folder)
        return {cases[row["row"]]: row for row in evaluation.rows}
    except (FileNotFoundError, KeyError) as error:
        expected = "the key to the row ids, as evaluating writes it"
        raise RefusedError.of("missing_evaluation", "row_ids.csv", expected=expected, got="none of all rows") from error


def warnings_of(maps: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say of each map that is not shown to matter that it is not, and what that means."""
    doubtful = {name: part for name, part in maps.items() if part["finding"] != MATTERS}
    return [f"{name}: {part['finding']}: {part['words']}" for name, part in doubtful.items()]
