"""Read tags as checked numbers and words, or say which tag is missing."""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from custom_transforms.refusal import RefusedError


@dataclass(frozen=True)
class Tags:
    """What is said of one image: the first of several datasets that has a tag speaks.

    An enhanced object says of a frame in its own functional groups, in the shared ones, and at its root, in this order
    (PS3.3 C.7.6.16.1). A classic image has only the root.

    Args:
        file: name of the file within the study, for messages. Messages never show what a tag holds: it may be a name.
        datasets: where to look, first to last.
    """

    file: str
    datasets: tuple[Dataset, ...]

    def numbers(self, keyword: str, count: int = 1) -> tuple[float, ...] | None:
        """Finite numbers of a tag; None where it is absent or empty.

        Raises:
            RefusedError: another count, not a number, or not finite.
        """
        found = self._values(keyword)
        if not found:
            return None
        try:
            values = tuple(float(str(value)) for value in found)
        except (TypeError, ValueError):
            values = ()
        if len(values) != count or not all(math.isfinite(value) for value in values):
            expected = f"{count} finite number{'s' * (count > 1)} in {keyword}"
            raise RefusedError.of("bad_tag", self.file, expected=expected, got="something else")
        return values

    def required(self, keyword: str, count: int = 1) -> tuple[float, ...]:
        """Numbers of a tag that must be there.

        Raises:
            RefusedError: absent, empty, or not finite numbers.
        """
        values = self.numbers(keyword, count)
        if values is None:
            raise RefusedError.of("missing_tag", self.file, expected=keyword, got="none")
        return values

    def whole(self, keyword: str, *, default: int | None = None) -> int:
        """One whole number; `default` where the tag is absent, or refused where that is None."""
        values = self.numbers(keyword)
        if values is None and default is not None:
            return default
        (value,) = values or self.required(keyword)
        if value != int(value):
            raise RefusedError.of("bad_tag", self.file, expected=f"a whole number in {keyword}", got="a fraction")
        return int(value)

    def words(self, keyword: str) -> tuple[str, ...]:
        """Values of a tag as upper-case text without blanks around; empty where it is absent or damaged."""
        return tuple(str(value).strip(" \0").upper() for value in self._values(keyword))

    def word(self, keyword: str) -> str:
        """First value of `words`, or an empty text."""
        return next(iter(self.words(keyword)), "")

    def hashed(self, keyword: str) -> str:
        """Hash of a tag that names a person, so that it can be compared and never shown; empty where absent."""
        value = self.word(keyword)
        return hashlib.sha256(value.encode()).hexdigest() if value else ""

    def _values(self, keyword: str) -> Sequence[object]:
        for dataset in self.datasets:
            try:
                value = dataset.get(keyword)
            except Exception:  # pydicom converts a value when asked for it, and each kind fails in its own way
                expected = f"a readable {keyword}"
                raise RefusedError.of("bad_tag", self.file, expected=expected, got="a damaged one") from None
            values = list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]
            if values and not all(part is None or part == "" for part in values):
                return values
        return ()


@contextmanager
def silent_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings from the log: they quote what tags hold."""
    logger = logging.getLogger("pydicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
