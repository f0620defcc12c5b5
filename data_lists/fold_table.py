"""A small table of what each fold of a data list holds."""

from __future__ import annotations

from statistics import median

from data_lists.data_list_file import DataList
from data_lists.split import FOLDS


def format_fold_table(data_list: DataList) -> str:
    """Count patients and cases of each fold.

    Args:
        data_list: any data list.

    Returns:
        One line for the heading and one per fold, with the median tumour volume of its cases in ml, or `-`.
    """
    lines = [f"{'fold':<12}{'patients':>9}{'cases':>7}{'median tumour ml':>18}"]
    for fold in FOLDS:
        items = data_list.get(fold, [])
        sizes_ml = [item["tumour_ml"] for item in items if "tumour_ml" in item]
        middle = f"{median(sizes_ml):.1f}" if sizes_ml else "-"
        lines.append(f"{fold:<12}{len({item['patient'] for item in items}):>9}{len(items):>7}{middle:>18}")
    return "\n".join(lines)
