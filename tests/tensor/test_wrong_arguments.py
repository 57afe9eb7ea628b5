"""Whatever a function is given, it gives a result or a FanlightError: never an error of Python's.

Every public function is called with arguments of all kinds, drawn at random (from a seed that is
known), and then with one wrong argument in a call that would be right. Explained exceptions: what a
function of the caller's raises, and Python's own TypeError for a wrong number of arguments, which
no call here has.
"""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.test_public_api import HIDING

# They read files, write to the screen, start machinery, or take memory away from the others.
APART = {
    "FanlightError", "build", "check", "debug", "default_model", "dispose", "env", "get_backend",
    "load", "memory", "open_bundle", "print", "quantize", "set_backend", "studio", "tasks",
    "tidy",
}  # fmt: skip
# Parts of models and datasets: tests/layers, tests/data. The losses of the Core API are below.
LAYERS = {
    "Input", "activations", "callbacks", "clear_session", "clone_model", "constraints", "data",
    "dtype_policy",
    "initializers", "layers", "load_model", "losses", "metrics", "model_from_json", "models",
    "optimizers", "plot_confusion", "plot_model", "register", "regularizers", "save_model",
    "saving", "set_dtype_policy", "set_random_seed", "training", "utils",
}  # fmt: skip
PROTOCOLS = (
    "__add__ __and__ __eq__ __float__ __floordiv__ __format__ __getitem__ __index__ __int__ "
    "__invert__ __iter__ __len__ __lshift__ __matmul__ __mod__ __neg__ __pow__ __rpow__ "
    "__rshift__ __setitem__ __truediv__"
).split()


def functions() -> dict[str, Callable[..., Any]]:
    """All that is public: functions, those of modules, and methods of tensors."""
    found: dict[str, Callable[..., Any]] = {}
    from fanlight.tensor import losses

    found |= {f"losses.{n}": getattr(losses, n) for n in losses.__all__}
    for name in sorted({*fl.__all__, *HIDING} - LAYERS):
        thing = getattr(fl, name)
        if name in APART or inspect.isclass(thing):
            continue
        if inspect.ismodule(thing):
            inner = {f"{name}.{n}": getattr(thing, n) for n in thing.__all__}
            found |= {n: f for n, f in inner.items() if callable(f) and not inspect.isclass(f)}
        else:
            found[name] = thing
    for room in (fl.array_api.linalg, fl.array_api.fft):
        found |= {f"{room.__name__[9:]}.{n}": getattr(room, n) for n in room.__all__}
    for name in dir(fl.Tensor):
        method = getattr(fl.Tensor, name)
        if callable(method) and (name in PROTOCOLS or not name.startswith("_")):
            found[f"Tensor.{name}"] = method
    for gone in ("dispose", "print", "alias"):
        found.pop(f"Tensor.{gone}")
    return found


def floats(*shape: int) -> fl.Tensor:
    count = int(np.prod(shape))
    return fl.tensor(np.linspace(0.1, 0.9, count).astype(np.float32).reshape(shape))


def _left_over() -> fl.Tensor:
    """A tensor of a traced function, after its end."""
    kept: list[Any] = []
    fl.jit(lambda x: (kept.append(x), x * 2)[1])(floats(3))
    return kept[0]


def some(*given: Any) -> Any:
    return fl.sum(given[0]) if given and isinstance(given[0], fl.Tensor) else fl.scalar(1.0)


@cache
def good() -> list[Any]:
    return [
        *(floats(4), floats(2, 3), floats(2, 2), floats(3), floats(1, 4, 4, 2), floats(1, 4, 2)),
        *(floats(2, 2, 2, 2), floats(1, 4, 4, 4, 2), fl.tensor([0, 1, 0]), fl.tensor([[0], [1]])),
        *(fl.tensor([True, False, True, False]), fl.tensor(["a", "b"]), 2, 0.5, 1, 0, (2, 2)),
        *((1, 1), "valid", "same", True, fl.random.key(0), some, [floats(3), floats(3)]),
        fl.variable([1.0, 2.0]),
    ]


@cache
def bad() -> list[Any]:
    gone = floats(3)
    gone.dispose()
    huge = 10**30
    return [
        *(None, "x", object(), -1, huge, -huge, 2**40, [[1], [2, 3]], float("nan"), float("inf")),
        *(gone, _left_over(), np.array([object()]), {}, {1, 2}, 1j, fl.tensor(1j * np.ones(3))),
        *(fl.tensor(["a"]), b"y", [], (), floats(), floats(0), floats(0, 3), [None], ["a"]),
        *(floats(1, 1, 1, 1, 1, 1), (1, None), np.array([2, 3]), np.int64(3), 1.5, slice(None)),
        *(fl.tensor([7, -9]), ..., fl.tensor([1, 2], "int8"), (huge,), ((1, 2), (3, 4)), (-1, -1)),
        *("ij,jk->ik", "float64", np.float32(2.0), np.float64(1e300), np.zeros((0, 2)), some),
        *(np.bool_(True), False, np.str_("a"), fl.variable(1.0), range(3), np.array(2)),
    ]


def drawn(rng: random.Random, signature: inspect.Signature) -> tuple[list[Any], dict[str, Any]]:
    args: list[Any] = []
    options: dict[str, Any] = {}

    def one() -> Any:
        return rng.choice(bad() if rng.random() < 0.45 else good())

    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += [one() for _ in range(rng.randint(0, 2))]
        elif parameter.kind is parameter.VAR_KEYWORD:
            continue
        elif name == "self":
            args.append(rng.choice([v for v in good() if isinstance(v, fl.Tensor)]))
        elif parameter.default is not parameter.empty and rng.random() < 0.6:
            if parameter.kind is not parameter.KEYWORD_ONLY:
                args.append(parameter.default)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            options[name] = one()
        else:
            args.append(one())
    return args, options


def trouble(name: str, function: Any, args: list[Any], options: dict[str, Any]) -> str | None:
    """What a call raises that is no FanlightError, or an error that says too little."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(*args, **options)
    except FanlightError as error:
        return None if error.where and str(error) else f"{name}: {error.code} says not where"
    except Exception as error:  # the point of it all
        told = ", ".join(
            [repr(a)[:50] for a in args] + [f"{k}={v!r}"[:50] for k, v in options.items()]
        )
        return f"{name}({told}): {type(error).__name__} {str(error)[:100]}"
    return None


def test_functions_called_with_anything_answer_in_codes() -> None:
    rng = random.Random(20)
    found = []
    for name, function in functions().items():
        signature = inspect.signature(function)
        for _ in range(100):
            args, options = drawn(rng, signature)
            found.append(trouble(name, function, args, options))
    assert [f for f in found if f] == []


IMAGE, KERNEL = floats(1, 4, 4, 2), floats(2, 2, 2, 3)
RIGHT: dict[str, tuple[Any, ...]] = {
    "array_api.diff": (floats(3),),
    "array_api.eye": (2,),
    "array_api.fft.fft": (floats(4),),
    "array_api.fft.fftfreq": (4,),
    "array_api.full": ((2,), 1.0),
    "array_api.isdtype": ("float32", "integral"),
    "array_api.linalg.cholesky": (fl.eye(2),),
    "array_api.linalg.matrix_norm": (floats(2, 2),),
    "array_api.linalg.matrix_power": (floats(2, 2), 3),
    "array_api.linalg.qr": (floats(2, 3),),
    "array_api.linalg.svd": (floats(2, 3),),
    "array_api.linalg.vector_norm": (floats(3),),
    "array_api.linspace": (0.0, 1, 3),
    "array_api.repeat": (floats(3), 2),
    "array_api.reshape": (floats(4), (2, 2)),
    "array_api.std": (floats(3),),
    "array_api.sum": (floats(3),),
    "array_api.take": (floats(3), fl.tensor([0, 2])),
    "array_api.tile": (floats(0, 3), (1, 2)),
    "array_api.tril": (floats(2, 2),),
    "avg_pool": (IMAGE, 2),
    "avg_pool1d": (floats(1, 4, 2), 2),
    "avg_pool3d": (floats(1, 4, 4, 4, 2), 2),
    "batch_norm": (floats(2, 3), floats(3), floats(3)),
    "bincount": (fl.tensor([0, 1, 1]),),
    "boolean_mask": (floats(3), fl.tensor([True, False, True])),
    "clip": (floats(3), 0.2, 0.5),
    "concat": ([floats(2), floats(3)],),
    "cond": (True, some, some, floats(2)),
    "confusion_matrix": (fl.tensor([0, 1]), fl.tensor([1, 1])),
    "conv1d": (floats(1, 4, 2), floats(2, 2, 3)),
    "conv2d": (IMAGE, KERNEL),
    "conv2d_transpose": (IMAGE, floats(2, 2, 3, 2)),
    "conv3d": (floats(1, 4, 4, 4, 2), floats(2, 2, 2, 2, 3)),
    "conv3d_transpose": (floats(1, 2, 2, 2, 2), floats(2, 2, 2, 3, 2)),
    "depthwise_conv2d": (IMAGE, floats(2, 2, 2, 1)),
    "dilation2d": (IMAGE, floats(2, 2, 2)),
    "einsum": ("ij,jk->ik", floats(2, 2), floats(2, 2)),
    "fused.conv2d": (IMAGE, KERNEL),
    "fused.mat_mul": (floats(2, 2), floats(2, 2)),
    "gather": (floats(3, 2), fl.tensor([0, 2])),
    "grad": (some,),
    "gru_cell": (floats(2, 3), floats(2, 2), floats(3, 6), floats(2, 6)),
    "image.crop_and_resize": (IMAGE, floats(1, 4), fl.tensor([0]), (2, 2)),
    "image.grid_sample": (IMAGE, floats(1, 2, 2, 2)),
    "image.interpolate": (IMAGE, (2, 2)),
    "image.non_max_suppression": (floats(3, 4), floats(3), 2),
    "image.non_max_suppression_with_score": (floats(3, 4), floats(3), 2),
    "image.resize_bilinear": (IMAGE, (2, 2)),
    "image.rotate_with_offset": (IMAGE, 0.5),
    "image.threshold": (floats(4, 4, 1),),
    "image.transform": (IMAGE, floats(1, 8)),
    "layer_norm": (floats(2, 3),),
    "local_response_normalization": (IMAGE,),
    "losses.huber_loss": (floats(3), floats(3)),
    "losses.softmax_cross_entropy": (floats(2, 3), floats(2, 3)),
    "lstm_cell": (floats(2, 3), floats(2, 2), floats(2, 2), floats(3, 8), floats(2, 8)),
    "max_pool": (IMAGE, 2),
    "max_pool_with_argmax": (IMAGE, 2),
    "jacobian": (some,),
    "moveaxis": (floats(2, 3), 0, 1),
    "norm": (floats(2, 2),),
    "one_hot": (fl.tensor([0, 1]), 3),
    "pad": (floats(3), [(1, 1)]),
    "pool": (IMAGE, 2, "max"),
    "ragged_gather": ([fl.tensor([0, 1, 3])], floats(3), fl.tensor([1])),
    "ragged_tensor_to_tensor": (
        [2, 2], floats(3), 0.0, [fl.tensor([0, 1, 3])], ["ROW_SPLITS"]
    ),
    "random.gamma": ((2,), 1.5),
    "random.normal": ((2,),),
    "random.uniform": ((2,),),
    "range": (1, 4),
    "repeat": (floats(3), 2),
    "roll": (floats(3), 1),
    "scaled_dot_product_attention": (floats(2, 2), floats(2, 2), floats(2, 2)),
    "scan": (lambda c, x: (c, x), floats(2), floats(3, 2)),
    "scatter_nd": (fl.tensor([[0], [1]]), floats(2), (3,)),
    "search_sorted": (floats(3), floats(2)),
    "segment_sum": (floats(3), fl.tensor([0, 0, 1])),
    "separable_conv2d": (IMAGE, floats(2, 2, 2, 1), floats(1, 1, 2, 3)),
    "signal.frame": (floats(8), 4, 2),
    "signal.hann_window": (4,),
    "signal.istft": (fl.complex(floats(2, 3), 0.0), 4, 2),
    "signal.stft": (floats(8), 4, 2),
    "slice": (floats(3), 0, 2),
    "sort": (floats(3),),
    "split": (floats(4), 2),
    "strided_slice": (floats(2, 3), [0, 0], [1, 2]),
    "string.n_grams": (["a", "b"], [0, 2], " ", [1, 2]),
    "string.split": (["a b"], " "),
    "string.static_regex_replace": (["ab"], "a", "b"),
    "string.substr": (["abc"], 0, 2),
    "swapaxes": (floats(2, 3), 0, 1),
    "take_along_axis": (floats(3), fl.tensor([0])),
    "tensor_scatter_update": (floats(3), fl.tensor([[0]]), floats(1)),
    "tensordot": (floats(2, 2), floats(2, 2)),
    "unique": (floats(3),),
    "var": (floats(3),),
    "while_loop": (lambda s: fl.scalar(False), lambda s: s, floats(2)),
}  # fmt: skip


def one_wrong(name: str) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """The right call, with each argument in turn replaced by everything."""
    function = functions()[name]
    bound = inspect.signature(function).bind(*RIGHT[name])
    bound.apply_defaults()
    for at in range(len(bound.args)):
        for value in [*bad(), *good()]:
            yield [*bound.args[:at], value, *bound.args[at + 1 :]], bound.kwargs
    for key in bound.kwargs:
        for value in [*bad(), *good()]:
            yield list(bound.args), {**bound.kwargs, key: value}


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_one_wrong_argument_is_answered_in_codes(name: str) -> None:
    function = functions()[name]
    function(*RIGHT[name])
    found = [trouble(name, function, args, options) for args, options in one_wrong(name)]
    assert [f for f in found if f] == []


@pytest.mark.parametrize(
    "function",
    [fl.load, fl.open_bundle, fl.check, fl.set_backend, fl.debug, fl.tasks.classify, fl.spec],
    ids=lambda function: function.__name__,
)
def test_what_works_with_files_and_settings_answers_in_codes_too(
    function: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(4)
    signature = inspect.signature(function)
    found = []
    try:
        for _ in range(150):
            args, options = drawn(rng, signature)
            found.append(trouble(function.__name__, function, args, options))
    finally:
        fl.set_backend("numpy")
        fl.debug(nan=False)
    assert [f for f in found if f] == []
