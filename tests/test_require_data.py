"""No training starts without data, or with two cases of one name; volumes are prepared first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import Dataset

from custom_transforms.prepared_volumes import PreparedVolumes
from custom_transforms.refusal import RefusedError
from custom_transforms.require_data import require_data


def test_start_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"missing_data_list: data_list.json: .*build_data_lists.py"):
        require_data({"training": Dataset([])}, tmp_path / "data_list.json")
    (tmp_path / "data_list.json").write_text("{")
    with pytest.raises(RefusedError, match="damaged_data_list: data_list.json: expected JSON"):
        require_data({"training": Dataset([])}, tmp_path / "data_list.json")
    (tmp_path / "data_list.json").write_text("{}")
    with pytest.raises(RefusedError, match="at least 1 patient.s. in 'training', got 0"):
        require_data({"training": Dataset([])}, tmp_path / "data_list.json")


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    items = [{"image": f"{patient}/flair.nii.gz"} for patient in ("P1", "P2")]
    of_one_stem = [{"image": "CTs/P1"}, {"image": "more/P1.zip"}]
    for data in (items, [{"case": "a b"}, {"case": "a_b"}], of_one_stem):
        with pytest.raises(RefusedError, match="repeated_case: .* one for the cases 1, 2 of it$"):
            require_data({"test": Dataset(data)}, tmp_path / "data_list.json")


def make_volume(item: dict[str, Any]) -> dict[str, Any]:
    return {"image": torch.ones(4, 2, 2, 2), "label": torch.ones(1, 2, 2, 2)}


def test_volumes_are_prepared_before_the_engine_starts(tmp_path: Path) -> None:
    volumes = PreparedVolumes([{"case": "a"}, {"case": "b"}], make_volume, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    require_data({"training": volumes}, tmp_path / "data_list.json")
    assert len(list((tmp_path / "cache").iterdir())) == 2
