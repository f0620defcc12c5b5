"""A small table of what each fold of a data list holds."""

from __future__ import annotations

from statistics import median

from data_lists.data_list_file import CaseItem, DataList
from data_lists.split import FOLDS


def format_fold_table(data_list: DataList) -> str:
    """Count patients and cases of each fold.

    Args:
        data_list: any data list.

    Returns:
        One line for the heading and one per fold. A labelled list has one column more: the median tumour volume of
        the cases in ml, or the number of positive cases where labels are classes.
    """
    every = [item for fold in FOLDS for item in data_list.get(fold, [])]
    of_classes = any(isinstance(item.get("label"), int) for item in every)
    of_masks = any("tumour_ml" in item for item in every)
    heading = f"{'positive':>10}" if of_classes else f"{'median tumour ml':>18}" if of_masks else ""
    lines = [f"{'fold':<12}{'patients':>9}{'cases':>7}{heading}"]
    for fold in FOLDS:
        items = data_list.get(fold, [])
        last = str(sum(item["label"] == 1 for item in items)) if of_classes else _median_size(items) if of_masks else ""
        lines.append(f"{fold:<12}{len({item['patient'] for item in items}):>9}{len(items):>7}{last:>{len(heading)}}")
    return "\n".join(lines)


def _median_size(items: list[CaseItem]) -> str:
    sizes_ml = [item["tumour_ml"] for item in items if "tumour_ml" in item]
    return f"{median(sizes_ml):.1f}" if sizes_ml else "-"
