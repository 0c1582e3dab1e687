"""Models as files: safetensors, written in full or not at all."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from unmemorize._files import write_durably
from unmemorize.errors import StoreError


def save_checkpoint(path: str | Path, model: nn.Module, /, **meta: object) -> None:
    """Write the state of `model` as safetensors, with `meta` (what JSON can hold) beside the tensors.

    Raises:
        OSError: the file cannot be written; one that was there before is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, model.state_dict(), meta)


def load_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The state dict of a checkpoint and what was saved beside it; tensors are on the CPU.

    Besides safetensors, a state dict that PyTorch saved is read with `weights_only`; one that lies under the key
    "state_dict" or "model" is found.

    Raises:
        FileNotFoundError: no such file.
        StoreError: the file is damaged or holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    if path.suffix == ".safetensors":
        tensors, meta = read_tensors(path)
        return tensors, {key: str(value) for key, value in meta.items()}
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have their own
        raise StoreError(f"{path}: not a state dict that can be read with weights_only: {error}") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise StoreError(f"{path}: expected a state dict (names to tensors), got {type(content).__name__}")
    return content, {}


def write_tensors(path: Path, tensors: dict[str, Tensor], meta: dict[str, object]) -> None:
    """Tensors and JSON in one safetensors file, durably."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_durably(path, save(plain, metadata={"unmemorize": json.dumps(meta)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Inverse of `write_tensors`; a safetensors file from elsewhere has no JSON beside it."""
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("unmemorize", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, meta  # noqa: SIM118, it is no dict
    except (SafetensorError, ValueError) as error:
        raise StoreError(f"{path}: damaged or not a safetensors file: {error}") from error
