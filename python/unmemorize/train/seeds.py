"""Seeds derived from one."""

import hashlib


def derive_seed(seed: int, role: str, index: int = 0) -> int:
    """A seed of its own for each thing that is random: no two roles share a stream.

    Example:
        >>> derive_seed(0, "reference", 1), derive_seed(0, "reference", 2)
        (1091677932, 1750387911)
    """
    digest = hashlib.sha256(f"{seed}/{role}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1
