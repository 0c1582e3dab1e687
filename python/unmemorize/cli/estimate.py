"""`unmemorize estimate`: time, memory and disk of an ensemble before anything starts."""

from inspect import signature
from os import devnull
from pathlib import Path
from typing import Any

from unmemorize.cli import ensemble_train


def command(**options: Any) -> None:
    """Say what `ensemble train` will cost with the same options, by a probe of half a minute; nothing is kept."""
    ensemble_train.command(out=Path(devnull), estimate=True, **options)


_TRAIN = signature(ensemble_train.command)
_OWN = [parameter for name, parameter in _TRAIN.parameters.items() if name not in ("out", "estimate")]
command.__signature__ = _TRAIN.replace(parameters=_OWN)  # type: ignore[attr-defined]
command.__annotations__ = {parameter.name: parameter.annotation for parameter in _OWN}
