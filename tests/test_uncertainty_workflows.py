"""Both bundles with `uncertainty.json`: what is written, that evaluation draws as inference does, what is done anew."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import BRATS, CT
from monai.bundle import ConfigParser
from monai.networks.nets import AttentionUnet
from test_contracts import SMALL, run

from custom_transforms.load_weights import StrictCheckpointLoader
from custom_transforms.refusal import causes
from custom_transforms.slice_classifier import SliceClassifier


def write_unets(folder: Path, *seeds: int) -> list[str]:
    for number, seed in enumerate(seeds):
        torch.manual_seed(seed)
        network = AttentionUnet(2, 4, 1, SMALL[BRATS]["channels"], (2, 2, 2, 2), dropout=0.2)
        torch.save(network.state_dict(), folder / f"fold{number}.pt")
    return [str(folder / f"fold{number}.pt") for number in range(len(seeds))]


def read(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    image = nib.load(path)
    return image.get_fdata(), image.affine


def test_segmenter_writes_maps_and_lesions_on_the_grid_of_the_input(phantoms: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(phantoms), "output_dir": str(tmp_path / "out"), "uncertainty": ["ensemble", "flips"]}
    options["checkpoints"] = write_unets(tmp_path, 4, 5)
    run(BRATS, "inference+uncertainty", **options)
    cases = [item["case"] for item in json.loads((phantoms / "data_list.json").read_text())["test"]]
    assert len(cases) == 2
    for case in cases:
        scan, affine = read(phantoms / case / f"{case}_t1ce.nii.gz")
        found = {name: read(tmp_path / "out" / f"{case}_{name}.nii.gz") for name in
                 ("probability", "entropy", "mutual_information", "mask")}  # fmt: skip
        for voxels, its_affine in found.values():
            assert voxels.shape == scan.shape
            np.testing.assert_allclose(its_affine, affine)
        prob, entropy, information, mask = (voxels for voxels, _ in found.values())
        clear = abs(prob - 0.5) > 1e-3
        assert ((prob > 0.5) == (mask == 1))[clear].all()
        assert 0 < mask.sum() < mask.size
        assert entropy[np.abs(prob - 0.5) < 0.01].min() > 0.99
        assert (information <= entropy).all()
        assert information.max() > 0
        rows = list(csv.DictReader((tmp_path / "out" / f"{case}_lesions.csv").open()))
        voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000
        assert sum(float(row["volume_ml"]) for row in rows) == pytest.approx(mask.sum() * voxel_ml, rel=0.01)
    ledger = tmp_path / "out" / "ledger.jsonl"
    before = ledger.stat().st_size
    run(BRATS, "inference+uncertainty", **options)
    assert ledger.stat().st_size == before  # nothing is missing
    write_unets(tmp_path, 4, 6)  # a member that is not `checkpoint` was trained anew
    run(BRATS, "inference+uncertainty", **options)
    assert ledger.stat().st_size > before


def test_mean_of_samples_is_measured(phantoms: Path, tmp_path: Path) -> None:
    paths, scores = write_unets(tmp_path, 4, 5, 4), []
    for members in (paths[:2], [paths[0], paths[2]]):
        workflow = parse(BRATS, "train", "evaluate", "uncertainty", "mean_of_samples", dataset_dir=str(phantoms),
                         uncertainty="ensemble", checkpoints=members, cache_dir=str(tmp_path / "prepared"))  # fmt: skip
        scores.append(evaluate(workflow, "mean_dice"))
    workflow = parse(BRATS, "train", "evaluate", dataset_dir=str(phantoms), checkpoint=paths[0],
                     cache_dir=str(tmp_path / "prepared"))  # fmt: skip
    counts = [
        [row[name] for row in rows for name in ("tp", "fp", "fn")]
        for rows in [*scores, evaluate(workflow, "mean_dice")]
    ]
    assert counts[1] == counts[2]  # twice one member is that one
    assert counts[0] != counts[2]


def parse(bundle: Path, *configs: str, **changes: Any) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in configs])
    parser.update({**SMALL[bundle], "bundle_root": str(bundle), "device": "cpu", **changes})
    return parser


def evaluate(parser: ConfigParser, metric: str) -> list[dict[str, Any]]:
    """Rows that the evaluator's metric has, without the files and thresholds that its handlers need."""
    parser.update({"validate::handlers": [], "validate::evaluator::additional_metrics": None})
    network = parser.get_parsed_content("network")
    loader = StrictCheckpointLoader(str(parser.get_parsed_content("checkpoint")), {"network": network})
    evaluator = parser.get_parsed_content("validate::evaluator")
    loader.attach(evaluator)
    evaluator.run()
    rows: list[dict[str, Any]] = parser.get_parsed_content("validate::key_metric")[metric].rows
    return rows


@pytest.fixture
def classifier(heads: Path, tmp_path: Path) -> dict[str, Any]:
    torch.manual_seed(3)
    torch.save(SliceClassifier(widths=SMALL[CT]["widths"]).state_dict(), tmp_path / "model.pt")
    return {"dataset_dir": str(heads), "models_dir": str(tmp_path), "samples": 4}


def test_patient_has_the_spread_of_his_samples_the_same_in_inference_and_evaluation(
    classifier: dict[str, Any], tmp_path: Path
) -> None:
    kinds = ["dropout", "flips"]
    output = tmp_path / "out"
    run(CT, "inference+uncertainty", **classifier, uncertainty=kinds, output_dir=str(output), draw_slices=False)
    rows = {row["case"]: row for row in csv.DictReader((output / "predictions.csv").open())}
    evaluated = evaluate(parse(CT, "train", "evaluate", "uncertainty", **classifier, uncertainty=kinds,
                               cache_dir=str(tmp_path / "prepared")), "auc")  # fmt: skip
    assert len(evaluated) == 3
    for found in evaluated:
        record = json.loads((output / f"{found['case']}.json").read_text())
        assert record["samples"] == 8
        assert record["decision"].startswith("none")
        assert 0 <= record["samples_low"] < record["patient_probability"] < record["samples_high"] <= 1
        for name in ("samples", "spread", "samples_low", "samples_high"):
            assert float(rows[found["case"]][name]) == record[name]
        assert found["prob"] == pytest.approx(record["patient_probability"], abs=1e-6)
        assert found["spread"] == pytest.approx(record["spread"], abs=1e-6)


def test_threshold_of_single_passes_is_another_file_of_other_settings(classifier: dict[str, Any]) -> None:
    single, samples = (
        parse(CT, *configs, **classifier) for configs in (["train"], ["train", "evaluate", "uncertainty"])
    )
    assert single.get_parsed_content("settings")["sampling"] is None
    sampling = samples.get_parsed_content("settings")["sampling"]
    assert sampling == {"uncertainty": ["dropout"], "samples": 4, "seed": 88}
    assert len({parser.get_parsed_content("operating_point") for parser in (single, samples)}) == 2


def test_network_without_dropout_ends_the_run_at_its_first_study(classifier: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        run(CT, "inference+uncertainty", **classifier, output_dir=str(tmp_path / "out"), dropout=0.0)
    assert any(str(error).startswith("no_dropout: ") for error in causes(caught.value))
