"""Sample images as small PNG files in memory."""

import base64
import io

import numpy as np


def png(pixels: np.ndarray) -> bytes:
    """A PNG of one image, stretched so that its darkest value is black and its brightest white.

    Args:
        pixels: (height, width), (1, height, width) or (3, height, width), any numeric dtype, normalised or not.

    Raises:
        ValueError: another shape, or a value that is not finite.
    """
    from PIL import Image

    if pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise ValueError(f"pixels: expected (h, w), (1, h, w) or (3, h, w), got {pixels.shape}")
    values = pixels.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"pixels: {int((~np.isfinite(values)).sum())} of {values.size} values are not finite")
    span = values.max() - values.min()
    scaled = np.rint((values - values.min()) / (span or 1.0) * 255).astype(np.uint8)
    image = Image.fromarray(scaled[0] if len(scaled) == 1 else np.moveaxis(scaled, 0, -1).copy())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """A PNG as the value of a `src` attribute."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
