"""float32 → float8 (E4M3 without infinities), as torch.float8_e4m3fn rounds."""

import numpy as np
from numpy.typing import NDArray


def to_float8(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the byte of the nearest float8 value; ties go to the even byte.

    Args:
        values: float32 of any shape; values beyond ±448, the largest in float8, become ±448.

    >>> to_float8(np.float32([0, 1, -1, 1.0625, 1000])).tolist()
    [0, 56, 184, 56, 126]
    """
    grid = positive_values()
    middles = (grid[:-1] + grid[1:]) / 2
    # searchsorted gives a midpoint the lower byte. If that is odd, the midpoint is moved
    # down by one step, so the value gets the even byte above.
    middles[1::2] = np.nextafter(middles[1::2], np.float32(0))
    size = np.searchsorted(middles, np.abs(values)).astype(np.uint8)
    return np.where(np.signbit(values), size | 128, size).astype(np.uint8)


def positive_values() -> NDArray[np.float32]:
    """Return the values of the bytes 0 to 126 in rising order; 127 is NaN.

    A byte has four bits of exponent (bias 7) and three of mantissa.
    """
    code = np.arange(127)
    exponent, mantissa = code >> 3, code & 7
    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return np.where(exponent == 0, mantissa * 2.0**-9, normal).astype(np.float32)
