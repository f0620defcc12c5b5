"""Read tags as checked numbers and words, or say which tag is missing."""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from custom_transforms.refusal import RefusedError

Values: TypeAlias = tuple[object, ...]
Converted: TypeAlias = dict[tuple[object, ...], Values]  # by tag, character set, and the element as it is stored


@dataclass(frozen=True)
class Tags:
    """What is said of one image: the first of several datasets that has a tag speaks.

    An enhanced object says of a frame in its own functional groups, in the shared ones, and at its root, in this order
    (PS3.3 C.7.6.16.1). A classic image has only the root.

    Args:
        file: name of the file within the study, for messages. Messages never show what a tag holds: it may be a name.
        datasets: where to look, first to last.
        converted: what files of this study hold, which is often the same: converted once. Never kept for longer than
            one study is read.
    """

    file: str
    datasets: tuple[Dataset, ...]
    converted: Converted = field(default_factory=dict, repr=False, compare=False)
    _asked: dict[str, Values] = field(default_factory=dict, repr=False, compare=False)

    @property
    def root(self) -> Tags:
        """What the file says of all its frames."""
        return self if len(self.datasets) == 1 else Tags(self.file, self.datasets[-1:], self.converted)

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

    def _values(self, keyword: str) -> Values:
        if keyword not in self._asked:
            self._asked[keyword] = self._first_values(keyword)
        return self._asked[keyword]

    def _first_values(self, keyword: str) -> Values:
        for dataset in self.datasets:
            try:
                values = _values_of(dataset, keyword, self.converted)
            except Exception:  # pydicom converts a value when asked for it, and each kind fails in its own way
                expected = f"a readable {keyword}"
                raise RefusedError.of("bad_tag", self.file, expected=expected, got="a damaged one") from None
            if values and not all(part is None or part == "" for part in values):
                return values
        return ()


def _values_of(dataset: Dataset, keyword: str, converted: Converted) -> Values:
    """Values of a tag; of an element that is stored as another was, what that was converted to."""
    element = dataset.get_item(_tag(keyword))
    if element is None:
        return ()
    stored = _as_stored(dataset, element)
    if stored is not None and stored in converted:
        return converted[stored]
    value = dataset.get(keyword)
    values = tuple(value) if isinstance(value, (MultiValue, list, tuple)) else (value,)
    if stored is not None:
        converted[stored] = values
    return values


def _as_stored(dataset: Dataset, element: object) -> tuple[object, ...] | None:
    """All that conversion of an element of a file's root depends on; None where that is more than can be told here."""
    if not isinstance(element, RawDataElement) or not isinstance(dataset, FileDataset) or element.value is None:
        return None
    if element.VR in (None, "UN") and " or " in dictionary_VR(element.tag):  # other elements tell which it is
        return None
    charset = str(getattr(dataset.get_item(_tag("SpecificCharacterSet")), "value", None))
    return element.tag, element.VR, element.value, element.is_little_endian, charset


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


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
