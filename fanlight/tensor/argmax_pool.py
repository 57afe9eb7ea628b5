"""Max pooling that says where the greatest pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.core import Tensor, apply, caller, cast, tensor

Pair = tuple[int, int]


def max_pool_with_argmax(
    x: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[Sequence[int]] = "valid",
    include_batch_in_index: bool = False,
) -> tuple[Tensor, Tensor]:
    """The greatest pixel of each window, and where it is.

    Args:
        x: [N, H, W, C], float32.
        size: edge of a window in pixels, or (height, width).
        strides: from one window to the next; default: the size.
        padding: "valid": none; "same": so that h = ceil(H / stride); a number of pixels on all
            sides; or ((top, bottom), (left, right)). It counts as -infinity.
        include_batch_in_index: whether the index counts the images before, too.

    Returns:
        values [N, h, w, C], with the gradient of `max_pool`; and int32 of that shape:
        (y * W + x) * C + c of the first of the greatest pixels of each window.

    Raises:
        FanlightError: E-OP-004 x has not four dims, or a window is larger than the padded image;
            E-OP-005 the size, strides or padding. Source: tf.nn.max_pool_with_argmax.
    """
    x = cast(x, "float32")
    if x.rank != 4:
        raise FanlightError(
            "E-OP-004",
            "max_pool_with_argmax cannot take x of this shape.",
            where=f"max_pool_with_argmax x, {caller()}",
            expected="[N, H, W, C]",
            received=str(x.type),
        )
    window = _pair("size", size)
    steps = window if strides is None else _pair("strides", strides)
    frame = _frame(padding, (x.shape[1], x.shape[2]), window, steps)
    values: Tensor = apply("max_pool", x, size=window, strides=steps, padding=frame)
    framed = apply("pad", x, paddings=((0, 0), *frame, (0, 0)), value=-np.inf)
    _, h, w, c = values.shape
    (kh, kw), (sh, sw) = window, steps
    seen = []
    for k in range(kh * kw):
        begin = (0, k // kw, k % kw, 0)
        end = (x.shape[0], begin[1] + (h - 1) * sh + 1, begin[2] + (w - 1) * sw + 1, c)
        part = apply("strided_slice", framed, begin=begin, end=end, strides=(1, sh, sw, 1))
        seen.append(apply("reshape", part, shape=(*values.shape, 1)))
    which = apply("arg_max", apply("concat", *seen, axis=4), axis=4)
    width = x.shape[2]
    tap = np.array([(k // kw * width + k % kw) * c for k in range(kh * kw)], np.int32)
    rows = (np.arange(h) * sh - frame[0][0])[:, None] * width
    corner = ((rows + np.arange(w) * sw - frame[1][0]) * c).astype(np.int32)
    index = apply("gather", tensor(tap), which, axis=0) + corner[:, :, None]
    index = index + np.arange(c, dtype=np.int32)
    if include_batch_in_index:
        image = x.shape[1] * width * c
        index = index + np.arange(x.shape[0], dtype=np.int32)[:, None, None, None] * np.int32(image)
    return values, index


def _pair(argument: str, value: Any) -> Pair:
    given = (value, value) if isinstance(value, int) else tuple(value)
    if len(given) != 2 or not all(isinstance(n, int) and n > 0 for n in given):
        raise _wrong(argument, "a whole number from 1 on, or two", value)
    return given[0], given[1]


def _frame(padding: Any, image: Pair, window: Pair, steps: Pair) -> tuple[Pair, Pair]:
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        total = [
            max((-(-n // s) - 1) * s + k - n, 0)
            for n, k, s in zip(image, window, steps, strict=True)
        ]
        return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)
    if isinstance(padding, int) and padding >= 0:
        return (padding, padding), (padding, padding)
    try:
        (top, bottom), (left, right) = padding
        return (int(top), int(bottom)), (int(left), int(right))
    except (TypeError, ValueError):
        expected = '"valid", "same", a number, or ((top, bottom), (left, right))'
        raise _wrong("padding", expected, padding) from None


def _wrong(argument: str, expected: str, received: Any) -> FanlightError:
    return FanlightError(
        "E-OP-005",
        f"max_pool_with_argmax does not allow this value of {argument}.",
        where=f"max_pool_with_argmax {argument}, {caller()}",
        expected=expected,
        received=repr(received)[:200],
    )
