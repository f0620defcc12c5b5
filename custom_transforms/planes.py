"""Operations on one slice: OpenCV's where it is installed, else the same from scipy, several times slower."""

from __future__ import annotations

try:
    from custom_transforms import planes_opencv as planes
except ImportError:
    from custom_transforms import planes_scipy as planes  # type: ignore[no-redef]

__all__ = ["planes"]
