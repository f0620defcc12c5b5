"""Refuse to start a classifier on patients whose class is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from custom_transforms.mri_study import case_name
from custom_transforms.refusal import RefusedError
from custom_transforms.require_data import Fold


def require_labels(folds: Mapping[str, Fold], *, both_classes_in: Sequence[str] = ()) -> None:
    """Check that every patient has the label 0 or 1, and that both occur where they must.

    Stands in a config's `run` after `require_data`. A fold with one class has no AUC and no best threshold, which
    would be found out only when all epochs have been trained.

    Args:
        folds: name of a fold to its data set.
        both_classes_in: names of the folds that must hold both classes.

    Raises:
        RefusedError: a label is absent or neither 0 nor 1, or a class is absent.
    """
    for fold, data in folds.items():
        for item in data.data:
            label = item.get("label")
            if isinstance(label, bool) or label not in (0, 1):
                got = "none" if label is None else "another" if isinstance(label, str) else str(label)
                raise RefusedError.of("wrong_label", case_name(item), expected="label 0 or 1 as a number", got=got)
        classes = {item["label"] for item in data.data}
        if fold in both_classes_in and len(classes) < 2:
            got = f"only label {classes.pop()}" if classes else "nobody"
            raise RefusedError.of("one_class", fold, expected="patients of both classes", got=got)
