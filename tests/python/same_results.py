"""Two results.json files of one seed hold the same numbers; only times and the time-derived may differ."""

import json
import sys
from pathlib import Path
from typing import Any

TIMED = {"seconds", "stages", "retrain_share", "cost_share", "costs", "once", "once_share", "command", "versions"}


def differences(ours: Any, theirs: Any, at: str = "") -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = (ours.keys() | theirs.keys()) - TIMED
        return [line for key in sorted(keys) for line in differences(ours.get(key), theirs.get(key), f"{at}/{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line for k, pair in enumerate(zip(ours, theirs, strict=True)) for line in differences(*pair, f"{at}/{k}")
        ]
    return [] if ours == theirs else [f"{at}: {str(ours)[:60]} and {str(theirs)[:60]}"]


if __name__ == "__main__":
    first, second = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
    found = differences(first, second)
    print("\n".join(found[:20]) or "the same numbers")
    sys.exit(bool(found))
