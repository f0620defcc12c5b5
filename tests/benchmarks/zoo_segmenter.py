"""The model zoo's `brats_mri_segmentation` as a bundle's folder: its network with random weights, its settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import SegResNet

NETWORK = {"blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1], "init_filters": 16, "in_channels": 4, "out_channels": 3,
           "dropout_prob": 0.2}  # fmt: skip
LABELS = "$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))"
TO_GRID = {"keys": "pred", "transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False,
           "to_tensor": True}  # fmt: skip
AS_MASK = {"keys": "pred", "output_dir": "@output_dir", "output_postfix": "seg", "output_dtype": "uint8",
           "resample": False, "squeeze_end_dims": True}  # fmt: skip
ITEMS = "$monai.data.load_decathlon_datalist(@bundle_root + '/datalist.json', data_list_key='testing')"


def write_zoo_bundle(folder: Path, image: Sequence[Path]) -> Path:
    """Write config, list and weights, and give the config's file.

    Args:
        folder: of the bundle.
        image: files of one patient; the network takes T1ce, T1, T2 and FLAIR, which makes no difference to its time.

    Reference:
        Project-MONAI/model-zoo, models/brats_mri_segmentation/configs/inference.json.
    """
    (folder / "models").mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(SegResNet(**NETWORK).state_dict(), folder / "models" / "model.pt")
    (folder / "datalist.json").write_text(json.dumps({"testing": [{"image": [*map(str, image)]}]}))
    file = folder / "inference.json"
    file.write_text(json.dumps(_config(), indent=1))
    return file


def _config() -> dict[str, Any]:
    return {
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "SegResNet", **NETWORK},
        "network": "$@network_def.to(@device)",
        "preprocessing": _compose(
            {"_target_": "LoadImaged", "keys": "image", "image_only": False},
            {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True, "channel_wise": True},
        ),
        "dataset": {"_target_": "Dataset", "data": ITEMS, "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": True,
                       "num_workers": 4},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [240, 240, 160], "sw_batch_size": 1,
                    "overlap": 0.5},
        "postprocessing": _compose(
            {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
            {"_target_": "Invertd", **TO_GRID},
            {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
            {"_target_": "Lambdad", "keys": "pred", "func": LABELS},
            {"_target_": "SaveImaged", **AS_MASK},
        ),
        "handlers": [
            {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'",
             "load_dict": {"model": "@network"}},
            {"_target_": "StatsHandler", "iteration_log": False},
        ],
        "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device", "val_data_loader": "@dataloader",
                      "network": "@network", "inferer": "@inferer", "postprocessing": "@postprocessing",
                      "val_handlers": "@handlers", "amp": True},
        "run": ["$@evaluator.run()"],
    }  # fmt: skip


def _compose(*transforms: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": list(transforms)}
