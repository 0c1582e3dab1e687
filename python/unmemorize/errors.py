"""The exceptions of this package that are not Python's own."""

from unmemorize._core import StoreError

__all__ = ["StoreError"]
