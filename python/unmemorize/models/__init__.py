"""Networks by name, and fresh parameters for any network."""

from unmemorize.models.build import NAMES, build, reinitialize
from unmemorize.models.stacked import Panel, Stacked, can_stack

__all__ = ["NAMES", "Panel", "Stacked", "build", "can_stack", "reinitialize"]
