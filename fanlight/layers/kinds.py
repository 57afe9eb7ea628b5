"""Functions of tensors by the names that Keras 3 has for them in files, with their arguments.

A file of Keras has `ops.mean(x, axis=1)` as a layer of class Mean, out of keras.src.ops.numpy, with
the config {"axis": 1}. What is a tensor, or may be one, is an argument of its call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A function as a class of `keras.src.ops`.

    Attributes:
        function: the function of `fl`, or of operations.OWN.
        room: the module of keras.src.ops.
        name: the class there.
        arguments: Keras's argument -> ours.
        always: arguments of Keras that ours has no other value of: they are written, and a file
            with others is refused.
        stated: ours at their defaults, where Keras's argument has no default, or another one.
        operands: how many leading arguments are given to the call.
    """

    function: str
    room: str
    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    always: Mapping[str, Any] = field(default_factory=dict)
    stated: Mapping[str, Any] = field(default_factory=dict)
    operands: int = 1


def _alike(room: str, pairs: str, operands: int = 1) -> list[Kind]:
    """Functions without arguments: "ours:Class" each."""
    split = (pair.split(":") for pair in pairs.split())
    return [Kind(function, room, name, operands=operands) for function, name in split]


_AXES = {"axis": "axis", "keepdims": "keepdims"}
_AXIS = {"axis": "axis"}
_LAST_TWO = {"axis1": -2, "axis2": -1}
_CHANNELS = {"data_format": "channels_last"}


def _over(pairs: str, **always: Any) -> list[Kind]:
    """Reductions over axes."""
    split = (pair.split(":") for pair in pairs.split())
    return [Kind(function, "numpy", name, _AXES, always) for function, name in split]


# Of functions of rooms. Where a class is one of fl itself, too, that one is read: see BY_CLASS.
_ROOMS: tuple[Kind, ...] = (
    Kind("activations.celu", "nn", "Celu", {"alpha": "alpha"}),
    Kind("activations.elu", "nn", "Elu", {"alpha": "alpha"}),
    Kind("activations.gelu", "nn", "Gelu", {"approximate": "approximate"},
         stated={"approximate": False}),
    Kind("activations.glu", "nn", "Glu", _AXIS),
    Kind("activations.hard_shrink", "nn", "HardShrink", {"threshold": "threshold"}),
    Kind("activations.leaky_relu", "nn", "LeakyRelu", {"negative_slope": "negative_slope"}),
    Kind("activations.log_softmax", "nn", "LogSoftmax", _AXIS),
    Kind("activations.soft_shrink", "nn", "SoftShrink", {"threshold": "threshold"}),
    Kind("activations.softmax", "nn", "Softmax", _AXIS),
    Kind("activations.sparsemax", "nn", "Sparsemax", _AXIS),
    Kind("activations.squareplus", "nn", "Squareplus", {"b": "b"}),
    Kind("activations.threshold", "nn", "Threshold",
         {"threshold": "threshold", "default_value": "default_value"}),
    *_alike(
        "nn",
        """activations.hard_tanh:HardTanh activations.sparse_plus:SparsePlus
        activations.sparse_sigmoid:SparseSigmoid activations.tanh_shrink:TanhShrink""",
    ),
    Kind("linalg.cholesky", "linalg", "Cholesky", always={"upper": False}),
    *_alike("linalg", "linalg.det:Det linalg.eigh:Eigh linalg.inverse:Inv"),
    Kind("linalg.solve", "linalg", "Solve", operands=2),
    Kind("linalg.slogdet", "numpy", "Slogdet"),
    Kind("linalg.qr", "linalg", "Qr", always={"mode": "reduced"}),
    Kind("linalg.pinv", "linalg", "Pinv", {"rcond": "rcond"}, stated={"rcond": 1e-6}),
    Kind("linalg.svd", "linalg", "SVD",
         {"full_matrices": "full_matrices", "compute_uv": "compute_uv"},
         stated={"full_matrices": False, "compute_uv": True}),
    Kind("linalg.triangular_solve", "linalg", "SolveTriangular", {"lower": "lower"},
         stated={"lower": True}, operands=2),
    Kind("linalg.norm", "linalg", "Norm", {"ord": "ord", **_AXES}),
    Kind("linalg.diagonal", "numpy", "Diagonal", {"offset": "offset"}, _LAST_TWO),
    Kind("linalg.trace", "numpy", "Trace", always={"offset": 0, **_LAST_TWO}),
    Kind("linalg.tril", "numpy", "Tril", always={"k": 0}),
    Kind("linalg.triu", "numpy", "Triu", always={"k": 0}),
    Kind("image.flip_left_right", "numpy", "Flip", always={"axis": -2}),
    Kind("image.flip_up_down", "numpy", "Flip", always={"axis": -3}),
    Kind("image.grayscale_to_rgb", "numpy", "Repeat", always={"repeats": 3, "axis": -1}),
    Kind("image.rgb_to_grayscale", "image", "RGBToGrayscale", always=_CHANNELS),
    Kind("image.interpolate", "image", "Resize",
         {"size": "size", "interpolation": "method", "antialias": "antialias"},
         {"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": False, "fill_mode": "constant",
          "fill_value": 0.0, **_CHANNELS}),
    Kind("image.transform", "image", "AffineTransform",
         {"interpolation": "interpolation", "fill_mode": "fill_mode", "fill_value": "fill_value"},
         _CHANNELS, stated={"interpolation": "nearest"}, operands=2),
)  # fmt: skip

KINDS: tuple[Kind, ...] = (
    *_ROOMS,
    Kind("getitem", "numpy", "GetItem", operands=2),
    *_alike(
        "numpy",
        """add:Add sub:Subtract mul:Multiply div:TrueDivide div:Divide floor_div:FloorDivide
        floor_mod:Mod pow:Power maximum:Maximum minimum:Minimum matmul:Matmul atan2:Arctan2
        equal:Equal not_equal:NotEqual less:Less less_equal:LessEqual greater:Greater
        greater_equal:GreaterEqual logical_and:LogicalAnd logical_or:LogicalOr hypot:Hypot""",
        operands=2,
    ),
    Kind("where", "numpy", "Where", operands=3),
    *_alike(
        "numpy",
        """neg:Negative abs:Absolute abs:Abs exp:Exp expm1:Expm1 log:Log log1p:Log1p log2:Log2
        log10:Log10 sqrt:Sqrt square:Square reciprocal:Reciprocal sign:Sign floor:Floor ceil:Ceil
        sin:Sin cos:Cos tan:Tan asin:Arcsin acos:Arccos atan:Arctan sinh:Sinh cosh:Cosh tanh:Tanh
        asinh:Arcsinh acosh:Arccosh atanh:Arctanh is_nan:Isnan is_inf:Isinf is_finite:Isfinite
        logical_not:LogicalNot zeros_like:ZerosLike ones_like:OnesLike""",
    ),
    Kind("round", "numpy", "Round", always={"decimals": 0}),
    *_alike("math", "rsqrt:Rsqrt erf:Erf"),
    *_alike(
        "nn",
        """relu:Relu relu6:Relu6 sigmoid:Sigmoid swish:Silu selu:Selu softplus:Softplus
        softsign:Softsign hard_sigmoid:HardSigmoid hard_swish:HardSilu log_sigmoid:LogSigmoid""",
    ),
    Kind("softmax", "nn", "Softmax", _AXIS),
    Kind("log_softmax", "nn", "LogSoftmax", _AXIS),
    Kind("leaky_relu", "nn", "LeakyRelu", {"negative_slope": "alpha"}),
    Kind("elu", "nn", "Elu", {"alpha": "alpha"}),
    Kind("gelu", "nn", "Gelu", {"approximate": "approximate"}, stated={"approximate": False}),
    Kind(
        "one_hot",
        "nn",
        "OneHot",
        {"num_classes": "depth", "axis": "axis", "dtype": "dtype"},
        {"sparse": False},
    ),
    Kind(
        "normalize",
        "nn",
        "Normalize",
        {"axis": "axis", "order": "order", "epsilon": "epsilon"},
    ),
    *_over("sum:Sum mean:Mean all:All any:Any var:Var std:Std"),
    *_over("max:Max min:Min", initial=None),
    *_over("prod:Prod", dtype=None),
    Kind("log_sum_exp", "math", "Logsumexp", _AXES),
    Kind("arg_max", "numpy", "Argmax", _AXIS, stated={"axis": 0}),
    Kind("arg_min", "numpy", "Argmin", _AXIS, stated={"axis": 0}),
    Kind("argmax", "numpy", "Argmax", _AXES),
    Kind("argmin", "numpy", "Argmin", _AXES),
    Kind("norm", "linalg", "Norm", {"ord": "ord", **_AXES}),
    Kind("reshape", "numpy", "Reshape", {"newshape": "shape"}),
    Kind("transpose", "numpy", "Transpose", {"axes": "perm"}),
    Kind("concat", "numpy", "Concatenate", _AXIS),
    Kind("stack", "numpy", "Stack", _AXIS),
    Kind("squeeze", "numpy", "Squeeze", _AXIS),
    Kind("expand_dims", "numpy", "ExpandDims", _AXIS, stated={"axis": 0}),
    Kind(
        "clip",
        "numpy",
        "Clip",
        {"x_min": "low", "x_max": "high"},
        stated={"x_min": None, "x_max": None},
    ),
    Kind("gather", "numpy", "Take", _AXIS, stated={"axis": 0}, operands=2),
    Kind("take", "numpy", "Take", _AXIS, operands=2),
    Kind("take_along_axis", "numpy", "TakeAlongAxis", _AXIS, stated={"axis": -1}, operands=2),
    Kind("split", "numpy", "Split", {"indices_or_sections": "parts", "axis": "axis"}),
    Kind("array_split", "numpy", "Split", {"indices_or_sections": "places", "axis": "axis"}),
    Kind("cumsum", "numpy", "Cumsum", _AXIS, {"dtype": None}, stated={"axis": 0}),
    Kind("cumprod", "numpy", "Cumprod", _AXIS, {"dtype": None}, stated={"axis": 0}),
    Kind("repeat", "numpy", "Repeat", {"repeats": "repeats", "axis": "axis"}),
    Kind(
        "moveaxis", "numpy", "Moveaxis", {"source": "source", "destination": "destination"}
    ),
    Kind("swapaxes", "numpy", "Swapaxes", {"axis1": "axis1", "axis2": "axis2"}),
    Kind("roll", "numpy", "Roll", {"shift": "shift", "axis": "axis"}),
    Kind("pad", "numpy", "Pad", {"pad_width": "paddings"}, {"mode": "constant"}),
    Kind("padded", "numpy", "Pad", {"pad_width": "pad_width", "mode": "mode"}),
    Kind("reverse", "numpy", "Flip", _AXIS),
    Kind("tile", "numpy", "Tile", {"repeats": "multiples"}),
    Kind("broadcast_to", "numpy", "BroadcastTo", {"shape": "shape"}),
    Kind("sort", "numpy", "Sort", _AXIS),
    Kind("argsort", "numpy", "Argsort", _AXIS),
    Kind("einsum", "numpy", "Einsum", {"subscripts": "equation"}, operands=0),
    Kind("top_k", "math", "TopK", {"k": "k"}, {"sorted": True}),
    Kind("cast", "core", "Cast", {"dtype": "dtype"}),
    # Those of layers.keras_ops.
    *_over("max:Amax min:Amin"),
    Kind("keras.average", "numpy", "Average", _AXIS, operands=2),
    Kind("keras.count_nonzero", "numpy", "CountNonzero", _AXIS),
    Kind("keras.median", "numpy", "Median", _AXES),
    *_alike("numpy", "keras.dot:Dot keras.outer:Outer", operands=2),
    Kind("keras.tensordot", "numpy", "Tensordot", {"axes": "axes"}, operands=2),
    Kind("keras.select", "numpy", "Select", operands=3),
    Kind("keras.linspace", "numpy", "Linspace",
         {"num": "num", "endpoint": "endpoint", "axis": "axis", "dtype": "dtype"},
         {"retstep": False}, operands=2),
    Kind("keras.nan_to_num", "numpy", "NanToNum",
         {"nan": "nan", "posinf": "posinf", "neginf": "neginf"}),
    *(Kind(f"keras.{name.lower()}", "numpy", name, {"k": "k"}) for name in ("Tril", "Triu")),
    Kind("keras.slice", "core", "Slice", {"shape": "shape"}, operands=2),
    Kind("keras.unstack", "core", "Unstack", {"num": "num", "axis": "axis"}),
    Kind("keras.rfft", "math", "RFFT", {"fft_length": "fft_length"}),
    Kind("keras.extract_sequences", "math", "ExtractSequences",
         {"sequence_length": "sequence_length", "sequence_stride": "sequence_stride"}),
    Kind("keras.layer_normalization", "nn", "LayerNorm",
         {**_AXIS, "epsilon": "epsilon", "rms_scaling": "rms_scaling"}, operands=3),
    Kind("keras.rms_normalization", "nn", "RMSNorm", {**_AXIS, "epsilon": "epsilon"}, operands=2),
    Kind("keras.dot_product_attention", "nn", "DotProductAttention",
         {"is_causal": "is_causal", "flash_attention": "flash_attention",
          "attn_logits_soft_cap": "attn_logits_soft_cap"}, operands=3),
    Kind("keras.extract_patches", "image", "ExtractPatches",
         {"size": "size", "strides": "strides", "dilation_rate": "dilation_rate",
          "padding": "padding"}, _CHANNELS),
    Kind("keras.pad_images", "image", "PadImages",
         {n: n for n in ("top_padding", "left_padding", "bottom_padding", "right_padding",
                         "target_height", "target_width")}, _CHANNELS),
)  # fmt: skip

# Where one class is two functions, the last one has all that Keras means, and is read.
BY_CLASS: dict[str, Kind] = {kind.name: kind for kind in KINDS}
# The first class of a function is the one that is written.
BY_FUNCTION: dict[str, Kind] = {kind.function: kind for kind in reversed(KINDS)}


def written(function: str, arguments: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]] | None:
    """How Keras has a function with these arguments: class and config; None if it has not."""
    kind = BY_FUNCTION.get(function)
    if kind is None:
        return None
    ours = {our: keras for keras, our in kind.arguments.items()}
    if set(arguments) - set(ours):
        return None
    if function == "split" and not isinstance(arguments.get("parts"), int):
        return None  # Keras has where the parts end, which sizes and -1 do not say
    if function == "image.interpolate" and _other_filter(arguments):
        return None
    return kind, {**kind.always, **kind.stated, **{ours[k]: v for k, v in arguments.items()}}


def read(kind: Kind, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Our arguments of a config of Keras, and what of it cannot be had here."""
    made: dict[str, Any] = {}
    wrong: list[str] = []
    for key, value in config.items():
        if key == "rcond" and value is None:
            continue  # a bound of Keras's own, as ours is
        if key in kind.arguments:
            made[kind.arguments[key]] = value
        elif key in kind.always:
            same = value == kind.always[key] or (key == "data_format" and value is None)
            wrong += [] if same else [f"{key}={value!r}"]
        elif key not in ("name", "trainable", "dtype"):
            wrong.append(f"{key}={value!r}")
    if kind.function == "image.interpolate" and _other_filter(made):
        wrong.append(f"interpolation={made['method']!r}")
    return made, wrong


def _other_filter(arguments: Mapping[str, Any]) -> bool:
    """Whether Keras enlarges a picture by another filter: a bicubic one of a = -0.5."""
    return arguments.get("method") == "bicubic" and not arguments.get("antialias")


__all__ = ["BY_CLASS", "BY_FUNCTION", "KINDS", "Kind", "read", "written"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
