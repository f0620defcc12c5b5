"""`--tracking mlflow` keeps one finished run with its metrics and its config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import BRATS, CT, run_bundle

pytestmark = pytest.mark.consumer
SMALL_UNET = {"channels": "[4,8,16,32,64]", "slice_size": "[48,48]", "num_workers": 0}
SMALL_RESNET = {"image_size": 64, "widths": "[8,16,32,64]", "num_workers": 0}


@pytest.mark.parametrize(
    ("bundle", "data", "small", "metrics"),
    [
        (BRATS, "phantoms", SMALL_UNET, {"mean_dice"}),
        (CT, "heads", SMALL_RESNET, {"auc", "average_precision", "f1", "sensitivity", "specificity"}),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_run_is_tracked_with_metrics_and_config(
    bundle: Path, data: str, small: dict[str, object], metrics: set[str], tmp_path: Path, request: Any
) -> None:
    from mlflow import MlflowClient

    places = {"dataset_dir": request.getfixturevalue(data), "models_dir": tmp_path, "cache_dir": tmp_path / "prepared"}
    options = {"bundle_root": bundle, **places, **small, "output_dir": f'$"{tmp_path}/eval"', "max_epochs": 2}
    done = run_bundle("training", "train", "smoke", bundle=bundle, **options, tracking="mlflow")
    assert done.returncode == 0, done.stderr[-2000:]
    client = MlflowClient(f"sqlite:///{tmp_path}/eval/mlruns.db")
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert run.info.status == "FINISHED"
    assert {"train_loss", *metrics} <= set(run.data.metrics)
    for name in metrics:
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [1, 2]
    (config,) = client.list_artifacts(run.info.run_id)
    kept = json.loads(Path(client.download_artifacts(run.info.run_id, config.path, str(tmp_path))).read_text())
    assert kept["max_epochs"] == 2
    assert kept["network_def"] == json.loads((bundle / "configs/train.json").read_text())["network_def"]
