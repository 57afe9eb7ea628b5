"""What functions are called here that other libraries call otherwise, for whoever looks in vain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

# Fanlight has TensorFlow.js's names in snake_case. Name elsewhere -> what to write here.
CALLED: dict[str, str] = {
    # NumPy and the array API standard
    "absolute": "fl.abs",
    "amax": "fl.max",
    "amin": "fl.min",
    "append": "fl.concat",
    "arccos": "fl.acos",
    "arccosh": "fl.acosh",
    "arcsin": "fl.asin",
    "arcsinh": "fl.asinh",
    "arctan": "fl.atan",
    "arctan2": "fl.atan2",
    "arctanh": "fl.atanh",
    "argmax": "fl.arg_max",
    "argmin": "fl.arg_min",
    "argwhere": "fl.where_indices",
    "array": "fl.tensor",
    "asarray": "fl.tensor",
    "astype": "fl.cast",
    "bitwise_invert": "fl.bitwise_not",
    "bitwise_left_shift": "fl.left_shift",
    "bitwise_right_shift": "fl.right_shift",
    "column_stack": "fl.stack(..., 1)",
    "concatenate": "fl.concat",
    "conjugate": "fl.conj",
    "copy": "fl.clone",
    "cumulative_prod": "fl.cumprod",
    "cumulative_sum": "fl.cumsum",
    "divide": "fl.div",
    "empty": "fl.zeros",
    "empty_like": "fl.zeros_like",
    "flip": "fl.reverse",
    "fliplr": "fl.reverse(x, 1)",
    "flipud": "fl.reverse(x, 0)",
    "floor_divide": "fl.floor_div",
    "fmax": "fl.maximum",
    "fmin": "fl.minimum",
    "hstack": "fl.concat",
    "inner": "fl.tensordot(a, b, 1)",
    "inv": "fl.linalg.inverse",
    "isclose": "fl.abs(a - b) <= tolerance",
    "isfinite": "fl.is_finite",
    "isin": "fl.any(fl.equal(fl.expand_dims(x, -1), values), -1)",
    "isinf": "fl.is_inf",
    "isnan": "fl.is_nan",
    "matrix_transpose": "x.mT",
    "multiply": "fl.mul",
    "negative": "fl.neg",
    "permute_dims": "fl.transpose",
    "power": "fl.pow",
    "ravel": "fl.reshape(x, -1)",
    "remainder": "fl.floor_mod",
    "searchsorted": "fl.search_sorted",
    "size": "x.size",
    "shape": "x.shape",
    "ndim": "x.rank",
    "subtract": "fl.sub",
    "take": "fl.gather",
    "trace": "fl.linalg.trace",
    "tril": "fl.linalg.tril",
    "triu": "fl.linalg.triu",
    "true_divide": "fl.div",
    "vecdot": "fl.sum(a * b, -1)",
    "vstack": "fl.concat(..., 0)",
    # TensorFlow and Keras
    "batch_normalization": "fl.batch_norm",
    "constant": "fl.tensor",
    "convert_to_tensor": "fl.tensor",
    "function": "fl.jit",
    "reduce_all": "fl.all",
    "reduce_any": "fl.any",
    "reduce_logsumexp": "fl.log_sum_exp",
    "reduce_max": "fl.max",
    "reduce_mean": "fl.mean",
    "reduce_min": "fl.min",
    "reduce_prod": "fl.prod",
    "reduce_std": "fl.std",
    "reduce_sum": "fl.sum",
    "reduce_variance": "fl.var",
    # PyTorch and JAX
    "bmm": "fl.matmul",
    "cat": "fl.concat",
    "clamp": "fl.clip",
    "flatten": "x.flatten()",
    "from_numpy": "fl.tensor",
    "jacfwd": "fl.jacobian",
    "jacrev": "fl.jacobian",
    "logsumexp": "fl.log_sum_exp",
    "masked_select": "fl.boolean_mask",
    "mm": "fl.matmul",
    "no_grad": "fl.stop_gradient",
    "permute": "fl.transpose",
    "silu": "fl.swish",
    "topk": "fl.top_k",
    "unsqueeze": "fl.expand_dims",
    "view": "fl.reshape",
}


def missing(
    name: str, ours: Iterable[str], standard: Iterable[str], rooms: Mapping[str, Iterable[str]]
) -> AttributeError:
    """The error for a name that the package does not have: what it is called here.

    Args:
        ours: the names that the package has.
        standard: those of fanlight.array_api.
        rooms: those of the modules beside them, "linalg" and others.
    """
    text = f"module 'fanlight' has no attribute {name!r}"
    called, listed = CALLED.get(name), name in standard
    inside = [f"fl.{room}.{name}" for room, names in rooms.items() if name in names]
    near = get_close_matches(name, list(ours), n=1, cutoff=0.75)
    if called:
        text += f": {name} is {called} here"
        text += f"; fl.array_api.{name} has NumPy's signature" if listed else ""
    elif inside:
        text += f": it is {' or '.join(inside)}"
    elif listed:
        text += f": it is fl.array_api.{name}"
    elif near:
        text += f": is fl.{near[0]} what you mean?"
    return AttributeError(text, name=name)
