"""Methods of tensors: each is its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight import FanlightError
from fanlight.tensor.methods import TABLE
from tests.support import ROOT, run_python

X = fl.tensor([[0.25, 0.5], [0.75, 0.125]])
BOOLS = fl.tensor([[True, False], [True, True]])
# Arguments after the first one, of methods that need some; by default another tensor like X.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "astype": ("int32",),
    "broadcast_to": ((3, 2, 2),),
    "cast": ("int32",),
    "clip": (0.2, 0.6),
    "concat": ([X, X], 1),
    "ensure_shape": ((2, None),),
    "full_like": (3,),
    "boolean_mask": ([True, False],),
    "gather": ([1, 0],),
    "gather_nd": ([[1, 0]],),
    "in_top_k": ([0, 1], 1),
    "moveaxis": (0, 1),
    "repeat": (2,),
    "swapaxes": (0, 1),
    "roll": (1,),
    "take_along_axis": ([[0], [1]], 1),
    "one_hot": (3,),
    "pad": (((1, 0), (0, 2)),),
    "reshape": ((4, 1),),
    "split": (2,),
    "stack": (X,),
    "tile": ((2, 1),),
    "top_k": (1,),
    "where": (BOOLS, 0.0),
}
INPUTS = {
    "acosh": X + 1,
    "as_scalar": fl.tensor([[2.0]]),
    "squeeze": fl.tensor([[2.0]]),
    **dict.fromkeys(("all", "any", "logical_and", "logical_not", "logical_or"), BOOLS),
    **{n: fl.cast(X * 8, "int32") for n in TABLE if "bitwise" in n or "shift" in n},
    "invert": BOOLS,
    "bincount": fl.tensor([0, 2, 2]),
}


def called(name: str, call: Callable[..., Any]) -> Any:
    x = INPUTS.get(name, X)
    parameters = list(inspect.signature(TABLE[name]).parameters.values())[1:]
    plain = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return call(x, *ARGUMENTS.get(name, (x,) * len(plain)))


@pytest.mark.parametrize("name", sorted(set(TABLE) - {"print"}))
def test_a_method_is_its_function(name: str) -> None:
    mine = called(name, lambda x, *rest: getattr(x, name)(*rest))
    wanted = called(name, TABLE[name])
    parts = (mine, wanted) if isinstance(wanted, tuple) else ((mine,), (wanted,))
    for a, b in zip(*parts, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    if hasattr(fl, name) and name not in ("concat", "stack", "where", "reshape"):
        assert TABLE[name] is inspect.unwrap(getattr(fl, name))


@pytest.mark.parametrize("name", ["arg_max", "arg_min", "argmax", "argmin"])
def test_positions_are_along_the_first_axis(name: str) -> None:
    """As in TensorFlow.js: argMax(x, axis = 0)."""
    x = fl.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
    wanted = [1, 0, 1] if "max" in name else [0, 1, 0]
    assert getattr(x, name)().tolist() == wanted == getattr(x, name)(0).tolist()
    assert getattr(x, name)(-1).tolist() == ([1, 0] if "max" in name else [0, 1])
    ours = getattr(fl, name.replace("arg", "arg_").replace("__", "_"))
    assert ours(x).tolist() == fl.jit(lambda x: ours(x))(x).tolist() == wanted
    assert fl.vmap(lambda x: ours(x))(fl.stack([x, x])).tolist() == [wanted] * 2


def test_they_chain() -> None:
    a, b, c = fl.tensor([3.0, 1.0]), fl.tensor([2.0, 1.0]), fl.tensor([4.0, 5.0])
    assert a.mul(b).add(c).sum().sqrt().item() == 4
    assert a.reshape(2, 1).shape == a.reshape((2, 1)).shape == a.reshape([-1, 1]).shape == (2, 1)
    assert X.T.tolist() == X.transpose().tolist() == fl.transpose(X).tolist()
    assert X.transpose((1, 0)).tolist() == X.T.tolist()
    assert X.max(axis=1).tolist() == [0.5, 0.75] and X.sum(0, keepdims=True).shape == (1, 2)
    assert X.argmax(0).tolist() == [1, 0] and X.argmin().tolist() == [0, 1]
    assert X.flatten().shape == (4,) and fl.zeros((0, 3)).flatten().shape == (0,)
    assert (X.to_int().dtype, X.to_bool().dtype, X.to_int().to_float().dtype) == (
        "int32", "bool", "float32"
    )  # fmt: skip
    assert fl.jit(lambda x: x.mul(2).relu().sum())(X).item() == 3.25
    assert fl.grad(lambda x: x.square().sum())(X).tolist() == (2 * X).tolist()
    X.print()


def test_numpys_functions_that_call_methods_are_refused() -> None:
    for name in ("sum", "mean", "max", "any"):
        with pytest.raises(FanlightError, match="E-TENSOR-009") as caught:
            getattr(np, name)(X)
        assert f"fl.{name}" in str(caught.value)


def test_what_type_checkers_read_is_up_to_date() -> None:
    done = run_python(str(ROOT / "tools" / "gen_methods.py"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr
