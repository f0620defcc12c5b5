from __future__ import annotations

import pytest
import torch

from custom_transforms.keep_item import KeepItemd


def test_second_name_gives_the_same_image_and_the_item_that_came_has_none() -> None:
    given = {"image": torch.zeros(1, 2, 3, 4)}
    done = KeepItemd("image", "hu")(given)
    assert done["hu"] is done["image"] is given["image"]
    assert "hu" not in given


def test_names_that_do_not_match_the_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="names: expected one for each"):
        KeepItemd(["image", "label"], "hu")
