"""Wrong calls: the right code, with the op and the argument, what was expected and what came."""

from __future__ import annotations

from typing import Any

import pytest

from fanlight.errors import FanlightError
from fanlight.ops import Dim, TensorType
from fanlight.ops import row as rows

F, INT, B, U = "float32", "int32", "bool", "uint8"
PICTURE = TensorType((Dim("height", 99), Dim("width", 99), 4), U)


def t(*shape: int, dtype: str = F) -> TensorType:
    return TensorType(shape, dtype)


IMAGE = t(1, 8, 8, 3)
WINDOW = {"size": (2, 2)}
# op, input types, attributes, code, a word that the message must have
CASES: list[tuple[str, list[TensorType], dict[str, Any], str, str]] = [
    ("add", [t(2)], {}, "E-OP-001", "2 inputs"),
    ("relu", [t(2), t(2)], {}, "E-OP-001", "1 inputs"),
    ("concat", [], {"axis": 0}, "E-OP-001", "1 or more"),
    ("conv2d", [IMAGE, t(1, 1, 3, 4), t(4)], {}, "E-OP-001", "2 inputs"),
    ("fused", [t(2)], {"body": "add(a0, a1)"}, "E-OP-001", "a1"),
    ("relu", [t(2)], {"alpha": 1}, "E-OP-002", "alpha"),
    ("clip", [t(2)], {"lo": 0}, "E-OP-002", "hi"),
    ("relu", [t(2)], {"epilogue": "a0"}, "E-OP-002", "epilogue"),
    ("sqrt", [t(2, dtype=INT)], {}, "E-OP-003", "sqrt input 0"),
    ("add", [t(2), t(2, dtype=INT)], {}, "E-OP-003", "same dtype"),
    ("add", [t(2, dtype=B), t(2, dtype=B)], {}, "E-OP-003", "add input 0"),
    ("logical_and", [t(2), t(2)], {}, "E-OP-003", "logical_and"),
    ("select", [t(2), t(2), t(2)], {}, "E-OP-003", "select input 0"),
    ("select", [t(2, dtype=B), t(2), t(2, dtype=INT)], {}, "E-OP-003", "select"),
    ("clip", [t(2, dtype=INT)], {"lo": 0.5, "hi": 2}, "E-OP-003", "max"),
    ("any", [t(2)], {"axes": (0,)}, "E-OP-003", "any x"),
    ("mean", [t(2, dtype=INT)], {"axes": (0,)}, "E-OP-003", "mean x"),
    ("matmul", [t(2, 2, dtype=INT), t(2, 2)], {}, "E-OP-003", "matmul a"),
    ("gather", [t(2), t(2)], {}, "E-OP-003", "gather indices"),
    ("concat", [t(2), t(2, dtype=INT)], {"axis": 0}, "E-OP-003", "concat input 1"),
    ("conv2d", [t(1, 8, 8, 3, dtype=U), t(1, 1, 3, 4)], {}, "E-OP-003", "conv2d x"),
    ("softmax", [t(2, dtype=INT)], {}, "E-OP-003", "softmax x"),
    ("resize_image", [t(8, 8, 4)], {"size": (2, 2)}, "E-OP-003", "image"),
    ("matmul", [t(2, 2), t(2, 2)], {"epilogue": "lt(a0, 0)"}, "E-OP-003", "epilogue"),
    ("add", [t(2), t(3)], {}, "E-OP-004", "add"),
    ("max", [t(0, 2)], {"axes": (0,)}, "E-OP-004", "at least one element"),
    ("arg_max", [t(2, 0)], {}, "E-OP-004", "arg_max x"),
    ("softmax", [t(2, 0)], {}, "E-OP-004", "softmax x"),
    ("matmul", [t(2), t(2, 2)], {}, "E-OP-004", "2 dims or more"),
    ("matmul", [t(2, 3), t(2, 3)], {}, "E-OP-004", "3 rows"),
    ("matmul", [t(4, 2, 3), t(5, 3, 2)], {}, "E-OP-004", "matmul"),
    ("matmul", [t(2, 2), t(2, 2), t(3)], {"epilogue": "add(a0, a1)"}, "E-OP-004", "matmul"),
    (
        "matmul",
        [t(2, 2), t(2, 2), t(9, 2, 2)],
        {"epilogue": "add(a0, a1)"},
        "E-OP-004",
        "broadcast",
    ),
    ("conv2d", [t(8, 8, 3), t(1, 1, 3, 4)], {}, "E-OP-004", "[N, H, W, C]"),
    ("conv2d", [IMAGE, t(3, 3, 4, 4)], {}, "E-OP-004", "[kh, kw, 3, D]"),
    ("conv2d", [IMAGE, t(9, 1, 3, 4)], {}, "E-OP-004", "height of at least 9"),
    ("conv2d", [IMAGE, t(1, 3, 3, 4)], {"dilations": (1, 4)}, "E-OP-004", "width of at least 9"),
    ("depthwise_conv2d", [IMAGE, t(3, 3, 1, 1)], {}, "E-OP-004", "[kh, kw, 3, M]"),
    ("conv2d_transpose", [IMAGE, t(3, 3, 3, 4)], {"output_size": (8, 8)}, "E-OP-004", "D, 3]"),
    ("max_pool", [t(1, 1, 8, 3)], WINDOW, "E-OP-004", "max_pool x"),
    ("batch_norm", [IMAGE, t(3), t(4), t(3), t(3)], {}, "E-OP-004", "variance"),
    ("concat", [t(2, 3), t(2, 4)], {"axis": 0}, "E-OP-004", "concat input 1"),
    ("concat", [t(2, 3), t(2)], {"axis": 0}, "E-OP-004", "concat input 1"),
    ("gather", [t(0, 2), t(3, dtype=INT)], {}, "E-OP-004", "gather x"),
    ("depth_to_space", [IMAGE], {"block": 2}, "E-OP-004", "multiples of 4"),
    ("space_to_depth", [IMAGE], {"block": 3}, "E-OP-004", "multiples of 3"),
    (
        "space_to_batch",
        [t(1, 3, 2)],
        {"block": (2,), "paddings": ((0, 0),)},
        "E-OP-004",
        "multiples",
    ),
    ("space_to_batch", [t(1)], {"block": (2,), "paddings": ((0, 0),)}, "E-OP-004", "1 dims"),
    (
        "batch_to_space",
        [t(3, 2, 2)],
        {"block": (2,), "crops": ((0, 0),)},
        "E-OP-004",
        "batches of 2",
    ),
    ("top_k", [t()], {"k": 0}, "E-OP-004", "at least one dim"),
    ("sort", [t()], {}, "E-OP-004", "at least one dim"),
    ("sort", [t(3)], {"descending": 1}, "E-OP-005", "descending"),
    ("sort", [t(3, dtype=B)], {}, "E-OP-003", "sort x"),
    ("gather_nd", [t(3), t(2, 1)], {}, "E-OP-003", "gather_nd indices"),
    ("gather_nd", [t(3), t(2, 2, dtype=INT)], {}, "E-OP-004", "at most 1 dims"),
    ("gather_nd", [t(3), t(dtype=INT)], {}, "E-OP-004", "gather_nd indices"),
    ("gather_nd", [t(0, 2), t(3, 1, dtype=INT)], {}, "E-OP-004", "gather_nd x"),
    ("gather_nd", [t(3), t(2, 1, dtype=INT)], {"outside": "wrap"}, "E-OP-005", "clip"),
    ("scatter_nd", [t(2, 1, dtype=INT), t(3)], {"shape": (5,)}, "E-OP-004", "[2]"),
    ("scatter_nd", [t(2, 1, dtype=INT), t(2)], {}, "E-OP-005", "scatter_nd shape"),
    ("scatter_nd", [t(2, 1, dtype=INT), t(2), t(5, dtype=INT)], {}, "E-OP-003", "scatter_nd x"),
    ("scatter_nd", [t(2, 1, dtype=INT), t(2, dtype=B)], {"shape": (5,)}, "E-OP-003", "updates"),
    ("scatter_nd", [t(2, 1, dtype=INT), t(2), t(5)], {"mode": "sub"}, "E-OP-005", "update"),
    ("scatter_nd", [t(2, 1, dtype=INT), t(2), t(5)], {"shape": (4,)}, "E-OP-005", "shape"),
    (
        "scatter_nd",
        [t(2, 1, dtype=INT), t(2, dtype=INT)],
        {"shape": (5,), "value": 0.5},
        "E-OP-005",
        "value",
    ),
    (
        "scatter_nd",
        [t(1, 1, dtype=INT), t(1, dtype=U)],
        {"shape": (5,), "value": -1, "mode": "update"},
        "E-OP-005",
        "value",
    ),
    ("scatter_nd", [t(1, 1, dtype=INT), t(1)], {"shape": (5,), "value": 1e60}, "E-OP-005", "value"),
    ("search_sorted", [t(2, 5), t(3)], {}, "E-OP-004", "search_sorted values"),
    ("search_sorted", [t(5), t(3, dtype=INT)], {}, "E-OP-003", "search_sorted values"),
    ("cumsum", [t()], {}, "E-OP-005", "axis"),
    ("cumsum", [t(2)], {"axis": 1}, "E-OP-005", "axis"),
    ("cumprod", [t(2)], {"exclusive": 1}, "E-OP-005", "exclusive"),
    ("cummax", [t(2)], {"exclusive": True}, "E-OP-002", "exclusive"),
    ("cummin", [t(2, dtype=B)], {}, "E-OP-003", "cummin x"),
    ("resize_bilinear", [t(1, 0, 2, 3)], {"size": (2, 2)}, "E-OP-004", "one pixel"),
    ("resize_image", [t(8, 8, 3, dtype=U)], {"size": (2, 2)}, "E-OP-004", "[H, W, 4]"),
    ("clip", [t(2)], {"lo": 1, "hi": 0}, "E-OP-005", "clip hi"),
    ("clip", [t(2)], {"lo": float("nan"), "hi": 0}, "E-OP-005", "clip lo"),
    ("cast", [t(2)], {"dtype": "float16"}, "E-OP-005", "cast dtype"),
    ("elu", [t(2)], {"alpha": float("inf")}, "E-OP-005", "finite"),
    ("gelu", [t(2)], {"approximate": 1}, "E-OP-005", "False or True"),
    ("fused", [t(2)], {"body": 3}, "E-OP-005", "fused body"),
    ("sum", [t(2)], {"axes": (1,)}, "E-OP-005", "sum axes"),
    ("sum", [t(2, 2)], {"axes": (0, -2)}, "E-OP-005", "at most once"),
    ("sum", [t(2)], {"axes": 0}, "E-OP-005", "sum axes"),
    ("sum", [t(2)], {"axes": (0,), "keepdims": 1}, "E-OP-005", "keepdims"),
    ("arg_max", [t(2)], {"axis": 1}, "E-OP-005", "arg_max axis"),
    ("softmax", [t()], {}, "E-OP-005", "softmax axis"),
    ("reshape", [t(2, 3)], {"shape": (4,)}, "E-OP-005", "6 elements"),
    ("reshape", [t(2, 3)], {"shape": (-1, -1)}, "E-OP-005", "one dim -1"),
    ("reshape", [t(2, 3)], {"shape": (-1, 4)}, "E-OP-005", "6 elements"),
    ("reshape", [t(0)], {"shape": (0, -1)}, "E-OP-005", "0 elements"),
    ("transpose", [t(2, 3)], {"perm": (0, 0)}, "E-OP-005", "once each"),
    ("transpose", [t(2, 3)], {"perm": (-1, 0)}, "E-OP-005", "from 0 to 1"),
    ("broadcast_to", [t(2, 3)], {"shape": (3,)}, "E-OP-005", "broadcast_to shape"),
    ("slice", [t(2, 3)], {"begin": (0, 1), "size": (2, 3)}, "E-OP-005", "inside"),
    ("slice", [t(2, 3)], {"begin": (0,), "size": (2, 3)}, "E-OP-005", "2 integers"),
    ("strided_slice", [t(3)], {"begin": (0,), "end": (9,), "strides": (1,)}, "E-OP-005", "inside"),
    (
        "strided_slice",
        [t(3)],
        {"begin": (0,), "end": (3,), "strides": (0,)},
        "E-OP-005",
        "other than 0",
    ),
    ("reverse", [t(3)], {"axes": (-1,)}, "E-OP-005", "reverse axes"),
    ("pad", [t(3)], {"paddings": ((1, -1),)}, "E-OP-005", "pairs"),
    ("pad", [t(3, dtype=INT)], {"paddings": ((1, 1),), "value": 0.5}, "E-OP-005", "int32"),
    ("pad", [t(3, dtype=U)], {"paddings": ((1, 1),), "value": 256}, "E-OP-005", "uint8"),
    ("pad", [t(3, dtype=INT)], {"paddings": ((1, 1),), "value": float("inf")}, "E-OP-005", "int32"),
    ("mirror_pad", [t(3)], {"paddings": ((3, 0),)}, "E-OP-005", "less 1"),
    ("mirror_pad", [t(3)], {"paddings": ((1, 0),), "mode": "wrap"}, "E-OP-005", "symmetric"),
    ("tile", [t(3)], {"multiples": (-1,)}, "E-OP-005", ">= 0"),
    ("concat", [t(3)], {"axis": 1}, "E-OP-005", "concat axis"),
    ("depth_to_space", [t(1, 1, 1, 4)], {"block": 0}, "E-OP-005", ">= 1"),
    ("batch_to_space", [t(2, 2)], {"block": (2,), "crops": ((3, 2),)}, "E-OP-005", "crops"),
    ("conv2d", [IMAGE, t(1, 1, 3, 4)], {"strides": 2}, "E-OP-005", "2 integers >= 1"),
    ("conv2d", [IMAGE, t(1, 1, 3, 4)], {"padding": "same"}, "E-OP-005", "pairs"),
    ("conv2d", [IMAGE, t(1, 1, 3, 4)], {"dilations": (0, 1)}, "E-OP-005", "dilations"),
    ("conv2d_transpose", [IMAGE, t(3, 3, 4, 3)], {"output_size": (8, 8)}, "E-OP-005", "(8, 8)"),
    ("avg_pool", [IMAGE], {"size": (0, 1)}, "E-OP-005", "avg_pool size"),
    ("batch_norm", [IMAGE, *[t(3)] * 4], {"epsilon": -1.0}, "E-OP-005", ">= 0"),
    ("top_k", [t(3)], {"k": 4}, "E-OP-005", "from 0 to 3"),
    ("resize_nearest", [IMAGE], {"size": (0, 2)}, "E-OP-005", "size"),
    ("resize_nearest", [IMAGE], {"size": (2, 2), "coordinates": "tf"}, "E-OP-005", "half_pixel"),
    ("resize_image", [PICTURE], {"size": (2, 2), "crop": "left"}, "E-OP-005", "center"),
    ("resize_image", [PICTURE], {"size": (2, 2), "method": "cubic"}, "E-OP-005", "antialias"),
    (
        "resize_image",
        [PICTURE],
        {"size": (2, 2), "method": "antialias", "coordinates": "asymmetric"},
        "E-OP-005",
        "half_pixel",
    ),
    ("nonsense", [t(2)], {}, "E-OP-006", "nonsense"),
]


@pytest.mark.parametrize(("op", "types", "attrs", "code", "word"), CASES, ids=lambda v: str(v)[:24])
def test_wrong_calls(
    op: str, types: list[TensorType], attrs: dict[str, Any], code: str, word: str
) -> None:
    with pytest.raises(FanlightError) as caught:
        rows.infer(op, types, attrs)
    error = caught.value
    assert error.code == code, str(error)
    assert word in str(error), str(error)
    assert op in str(error)
    assert error.received is not None
    assert error.expected is not None or code == "E-OP-006"


def test_resize_image_takes_them() -> None:
    full, (type,) = rows.infer("resize_image", [PICTURE], {"size": [24, 32]})
    assert type == t(1, 24, 32, 3)
    assert full == {
        "size": (24, 32),
        "crop": "none",
        "method": "bilinear",
        "coordinates": "half_pixel",
    }
