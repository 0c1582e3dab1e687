"""Networks by name, and fresh parameters for any network."""

from unmemorize.models.build import NAMES, build, reinitialize

__all__ = ["NAMES", "build", "reinitialize"]
