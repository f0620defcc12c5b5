"""Split of patients into training, validation and test that is the same on every machine."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Literal

from data_lists.strata import make_strata

Fold = Literal["training", "validation", "test"]
FOLDS: tuple[Fold, ...] = ("training", "validation", "test")
DEFAULT_FRACTIONS = (0.70, 0.15, 0.15)
DEFAULT_SEED = 88


def patient_normal_form(patient: str) -> str:
    """Spell a patient's id in the one way in which two spellings of it agree.

    Case, separators and leading zeros are dropped; a dot stays between two numbers, so that `1-23` is not `12-3`.

    Args:
        patient: id as the files spell it.

    Returns:
        The normal form, such as `bratsgli5` for `BraTS-GLI-00005`.

    Raises:
        ValueError: If the id holds neither a letter nor a digit.

    Example:
        >>> patient_normal_form("BraTS-GLI-00005-100")
        'bratsgli5.100'
    """
    folded = unicodedata.normalize("NFKC", patient).casefold()
    normal = ""
    for run in re.findall(r"\d+|[^\W\d_]+", folded):
        number = run.isdecimal()
        normal += ("." if number and normal[-1:].isdecimal() else "") + (str(int(run)) if number else run)
    if not normal:
        raise ValueError(f"expected letters or digits in a patient's id, got {patient!r}")
    return normal


def split_patients(
    patients: Iterable[str],
    *,
    tumour_ml: Mapping[str, float] | None = None,
    labels: Mapping[str, int] | None = None,
    fractions: Sequence[float] = DEFAULT_FRACTIONS,
    seed: int = DEFAULT_SEED,
) -> dict[Fold, list[str]]:
    """Split patients so that every fold has its share of small and of large tumours, or of each label.

    Order inside a stratum comes from sha256 of seed and id, never from a random generator, file order or system.
    Every stratum, and the whole, is within one patient of the fractions, unless that would leave a fold empty.

    Args:
        patients: one id per patient, in any order.
        tumour_ml: tumour volume of each patient in ml, to stratify by its quartiles.
        labels: class of each patient, to stratify by it. The default, neither, puts all patients in one stratum.
        fractions: shares of training, validation and test, each >= 0, with sum 1.
        seed: another seed gives another split.

    Returns:
        Sorted patients of each fold.

    Raises:
        ValueError: If an id comes twice or under two spellings, a fraction is wrong, a tumour volume or a label is
            missing, or both are given.

    Example:
        >>> split_patients(["a", "b"], fractions=(0.5, 0.5, 0))
        {'training': ['b'], 'validation': ['a'], 'test': []}
    """
    names = _names_by_normal_form(patients)
    shares = exact_shares(fractions)
    hashed = sorted(names, key=lambda normal: hashlib.sha256(f"{seed}:{normal}".encode()).hexdigest())
    strata = make_strata([names[normal] for normal in hashed], tumour_ml=tumour_ml, labels=labels)
    counts = _counts([len(stratum) for stratum in strata], shares)
    _fill_empty_folds(counts, shares)
    folds: dict[Fold, list[str]] = {fold: [] for fold in FOLDS}
    for stratum, row in zip(strata, counts, strict=True):
        following = iter(stratum)
        for fold, count in zip(FOLDS, row, strict=True):
            folds[fold] += [next(following) for _ in range(count)]
    return {fold: sorted(members) for fold, members in folds.items()}


def check_no_leak(folds: Mapping[Fold, Iterable[str]]) -> None:
    """Refuse a patient who is in two folds, under whatever spelling.

    Args:
        folds: patients of each fold; a patient may come several times in one fold (time points).

    Raises:
        ValueError: If a patient is in two folds; names both spellings and both folds.
    """
    seen: dict[str, tuple[str, str]] = {}
    for fold, patients in folds.items():
        for patient in patients:
            earlier, earlier_fold = seen.setdefault(patient_normal_form(patient), (patient, fold))
            if earlier_fold != fold:
                raise ValueError(
                    f"expected each patient in one fold, got {earlier!r} in {earlier_fold} and {patient!r} in {fold}"
                )


def exact_shares(fractions: Sequence[float]) -> list[Fraction]:
    """Turn `0.15` into 3/20: binary floats would break ties one way on one machine, another way on the next.

    Args:
        fractions: shares of training, validation and test.

    Returns:
        The shares, with sum 1.

    Raises:
        ValueError: If there are not three fractions >= 0 with sum 1.
    """
    if len(fractions) != len(FOLDS) or not all(math.isfinite(f) and f >= 0 for f in fractions):
        raise ValueError(f"expected {len(FOLDS)} fractions >= 0 (training, validation, test), got {list(fractions)}")
    shares = [Fraction(str(fraction)) for fraction in fractions]
    total = sum(shares, start=Fraction(0))
    if abs(total - 1) > Fraction(1, 10**6):  # 1/3 three times is within this
        raise ValueError(f"expected fractions with sum 1, got {list(fractions)}")
    return [share / total for share in shares]


def _names_by_normal_form(patients: Iterable[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for patient in patients:
        normal = patient_normal_form(patient)
        if normal in names:
            raise ValueError(f"expected one spelling per patient, got {names[normal]!r} and {patient!r}")
        names[normal] = patient
    return names


def _counts(stratum_sizes: Sequence[int], shares: Sequence[Fraction]) -> list[list[int]]:
    """Count patients per stratum and fold: whole quotas first, the rest to the folds with the largest deficit.

    At most one of the rest goes to a fold, so a stratum is within one patient; the deficits are carried from stratum
    to stratum, and for three folds with sum 0 none can then reach one patient, so the totals are within one as well.
    """
    deficit = [Fraction(0)] * len(shares)
    counts = []
    for size in stratum_sizes:
        row = [math.floor(share * size) for share in shares]
        deficit = [d + share * size - n for d, share, n in zip(deficit, shares, row, strict=True)]
        # On a tie the later fold goes first: one more patient is worth more in the test fold than in training.
        neediest = sorted(range(len(shares)), key=lambda fold: (deficit[fold], fold), reverse=True)
        for fold in neediest[: size - sum(row)]:
            row[fold] += 1
            deficit[fold] -= 1
        counts.append(row)
    return counts


def _fill_empty_folds(counts: list[list[int]], shares: Sequence[Fraction]) -> None:
    """Move one patient into each empty fold with a share, in place, where there are patients enough for all folds."""
    wanted = [fold for fold, share in enumerate(shares) if share > 0]
    totals = [sum(row[fold] for row in counts) for fold in range(len(shares))]
    if sum(totals) < len(wanted):
        return
    for empty in (fold for fold in wanted if totals[fold] == 0):
        donor = max(wanted, key=lambda fold: totals[fold])
        row = max(counts, key=lambda row: row[donor])
        row[donor], row[empty] = row[donor] - 1, row[empty] + 1
        totals[donor], totals[empty] = totals[donor] - 1, 1
