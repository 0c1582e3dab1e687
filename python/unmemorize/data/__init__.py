"""Data sets: every example is (image, label, id), a tensor on the device."""

from unmemorize.data.augment import AUGMENTATIONS, augment
from unmemorize.data.examples import Data, Examples
from unmemorize.data.sources import NAMES, load
from unmemorize.data.splits import from_arrays

__all__ = ["AUGMENTATIONS", "NAMES", "Data", "Examples", "augment", "from_arrays", "load"]
