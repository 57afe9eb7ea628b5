"""The array API standard 2024.12, written out: every name, by its group, with its signature.

What Fanlight leaves out stands in LEFT_OUT, with the reason.
"""

from __future__ import annotations

ONE = "(x, /)"
TWO = "(x1, x2, /)"
REDUCED = "(x, /, *, axis=None, keepdims=False)"
MADE = "(shape, *, dtype=None, device=None)"
LIKE = "(x, /, *, dtype=None, device=None)"
UNARY = """
abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite
isinf isnan log log1p log2 log10 logical_not negative positive real reciprocal round sign signbit
sin sinh square sqrt tan tanh trunc
""".split()
BINARY = """
add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide
equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and logical_or
logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract
""".split()

FUNCTIONS: dict[str, dict[str, str]] = {
    "creation": {
        "arange": "(start, /, stop=None, step=1, *, dtype=None, device=None)",
        "asarray": "(obj, /, *, dtype=None, device=None, copy=None)",
        "empty": MADE,
        "empty_like": LIKE,
        "eye": "(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)",
        "from_dlpack": "(x, /, *, device=None, copy=None)",
        "full": "(shape, fill_value, *, dtype=None, device=None)",
        "full_like": "(x, /, fill_value, *, dtype=None, device=None)",
        "linspace": "(start, stop, /, num, *, dtype=None, device=None, endpoint=True)",
        "meshgrid": "(*arrays, indexing='xy')",
        "ones": MADE,
        "ones_like": LIKE,
        "tril": "(x, /, *, k=0)",
        "triu": "(x, /, *, k=0)",
        "zeros": MADE,
        "zeros_like": LIKE,
    },
    "dtypes": {
        "astype": "(x, dtype, /, *, copy=True, device=None)",
        "can_cast": "(from_, to, /)",
        "finfo": "(type, /)",
        "iinfo": "(type, /)",
        "isdtype": "(dtype, kind)",
        "result_type": "(*arrays_and_dtypes)",
    },
    "elementwise": {
        **dict.fromkeys(UNARY, ONE),
        **dict.fromkeys(BINARY, TWO),
        "clip": "(x, /, min=None, max=None)",
    },
    "indexing": {
        "take": "(x, indices, /, *, axis=None)",
        "take_along_axis": "(x, indices, /, *, axis=-1)",
    },
    "info": {"__array_namespace_info__": "()"},
    "linear algebra": {
        "matmul": TWO,
        "matrix_transpose": ONE,
        "tensordot": "(x1, x2, /, *, axes=2)",
        "vecdot": "(x1, x2, /, *, axis=-1)",
    },
    "manipulation": {
        "broadcast_arrays": "(*arrays)",
        "broadcast_to": "(x, /, shape)",
        "concat": "(arrays, /, *, axis=0)",
        "expand_dims": "(x, /, *, axis=0)",
        "flip": "(x, /, *, axis=None)",
        "moveaxis": "(x, source, destination, /)",
        "permute_dims": "(x, /, axes)",
        "repeat": "(x, repeats, /, *, axis=None)",
        "reshape": "(x, /, shape, *, copy=None)",
        "roll": "(x, /, shift, *, axis=None)",
        "squeeze": "(x, /, axis)",
        "stack": "(arrays, /, *, axis=0)",
        "tile": "(x, repetitions, /)",
        "unstack": "(x, /, *, axis=0)",
    },
    "searching": {
        "argmax": REDUCED,
        "argmin": REDUCED,
        "count_nonzero": REDUCED,
        "nonzero": ONE,
        "searchsorted": "(x1, x2, /, *, side='left', sorter=None)",
        "where": "(condition, x1, x2, /)",
    },
    "sets": dict.fromkeys(("unique_all", "unique_counts", "unique_inverse", "unique_values"), ONE),
    "sorting": {
        "argsort": "(x, /, *, axis=-1, descending=False, stable=True)",
        "sort": "(x, /, *, axis=-1, descending=False, stable=True)",
    },
    "statistical": {
        "cumulative_prod": "(x, /, *, axis=None, dtype=None, include_initial=False)",
        "cumulative_sum": "(x, /, *, axis=None, dtype=None, include_initial=False)",
        "max": REDUCED,
        "mean": REDUCED,
        "min": REDUCED,
        "prod": "(x, /, *, axis=None, dtype=None, keepdims=False)",
        "std": "(x, /, *, axis=None, correction=0.0, keepdims=False)",
        "sum": "(x, /, *, axis=None, dtype=None, keepdims=False)",
        "var": "(x, /, *, axis=None, correction=0.0, keepdims=False)",
    },
    "utility": {
        "all": REDUCED,
        "any": REDUCED,
        "diff": "(x, /, *, axis=-1, n=1, prepend=None, append=None)",
    },
}
EXTENSIONS: dict[str, dict[str, str]] = {
    "linalg": {
        "cholesky": "(x, /, *, upper=False)",
        "cross": "(x1, x2, /, *, axis=-1)",
        "det": ONE,
        "diagonal": "(x, /, *, offset=0)",
        "eigh": ONE,
        "eigvalsh": ONE,
        "inv": ONE,
        "matmul": TWO,
        "matrix_norm": "(x, /, *, keepdims=False, ord='fro')",
        "matrix_power": "(x, n, /)",
        "matrix_rank": "(x, /, *, rtol=None)",
        "matrix_transpose": ONE,
        "outer": TWO,
        "pinv": "(x, /, *, rtol=None)",
        "qr": "(x, /, *, mode='reduced')",
        "slogdet": ONE,
        "solve": TWO,
        "svd": "(x, /, *, full_matrices=True)",
        "svdvals": ONE,
        "tensordot": "(x1, x2, /, *, axes=2)",
        "trace": "(x, /, *, offset=0, dtype=None)",
        "vecdot": "(x1, x2, /, *, axis=-1)",
        "vector_norm": "(x, /, *, axis=None, keepdims=False, ord=2)",
    },
    "fft": {
        **dict.fromkeys(
            ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"),
            "(x, /, *, n=None, axis=-1, norm='backward')",
        ),
        **dict.fromkeys(
            ("fftn", "ifftn", "rfftn", "irfftn"), "(x, /, *, s=None, axes=None, norm='backward')"
        ),
        **dict.fromkeys(("fftfreq", "rfftfreq"), "(n, /, *, d=1.0, dtype=None, device=None)"),
        **dict.fromkeys(("fftshift", "ifftshift"), "(x, /, *, axes=None)"),
    },
}
DTYPES = """
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128
""".split()
CONSTANTS = ["e", "inf", "nan", "newaxis", "pi"]
ATTRIBUTES = ["dtype", "device", "mT", "ndim", "shape", "size", "T"]
METHODS = [
    *("__abs__", "__add__", "__and__", "__array_namespace__", "__bool__", "__complex__"),
    *("__dlpack__", "__dlpack_device__", "__eq__", "__float__", "__floordiv__", "__ge__"),
    *("__getitem__", "__gt__", "__index__", "__int__", "__invert__", "__le__", "__lshift__"),
    *("__lt__", "__matmul__", "__mod__", "__mul__", "__ne__", "__neg__", "__or__", "__pos__"),
    *("__pow__", "__rshift__", "__setitem__", "__sub__", "__truediv__", "__xor__", "to_device"),
    *("__radd__", "__rand__", "__rfloordiv__", "__rlshift__", "__rmatmul__", "__rmod__"),
    *("__rmul__", "__ror__", "__rpow__", "__rrshift__", "__rsub__", "__rtruediv__", "__rxor__"),
]

_WIDE = "browsers compute in 32 bits: WebAssembly SIMD and WebGPU have no wider lanes for this"
_NARROW = "no kernel computes in it; numbers of such files become int32 or float32"
LEFT_OUT: dict[str, str] = {
    "int8": "only stores (weights): nothing computes in it, and it cannot be indexed",
    "int16": _NARROW,
    "uint16": _NARROW,
    "uint32": _NARROW,
    "int64": _WIDE,
    "uint64": _WIDE,
    "float64": _WIDE,
    "complex128": _WIDE,
    "__setitem__": "tensors do not change; fl.tensor_scatter_update gives a changed one",
}
