"""What functions and objects are made of: alike in all programs, unlike once anything differs."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import logging
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.data.states import MOST, Untold, digest
from tests.layers.test_wrong_arguments import LAYERS, input_of, right_of, used

L = fl.layers


def in_module(text: str, **names: Any) -> Any:
    """What a module of a user's that has this text calls `f`."""
    module = types.ModuleType("users")
    vars(module).update(names)
    exec(text, vars(module))
    return module.f  # type: ignore[attr-defined]


class Times:
    """A callable object."""

    def __init__(self, k: float) -> None:
        self.k = k

    def of(self, x: Any) -> Any:
        return x * self.k

    def __call__(self, x: Any) -> Any:
        return x * self.k


@dataclasses.dataclass
class Pair:
    a: float
    b: str = "b"


class Way(enum.Enum):
    A = 1
    B = 2


Named = collections.namedtuple("Named", "a b")


class Own(L.Layer):
    """A layer with an argument that its configuration does not name."""

    def __init__(self, k: float) -> None:
        super().__init__()
        self.k = k

    def call(self, x: Any) -> Any:
        return x * self.k


def held(value: Any) -> Callable[[Any], Any]:
    """A function that holds a value."""
    return lambda x: (x, value)


def by_keyword(k: float) -> Callable[..., Any]:
    def f(x: Any, *, s: float = k) -> Any:
        return x * s

    return f


def dense(k: float) -> Any:
    layer = L.Dense(2, kernel_initializer="ones")
    layer(np.ones((1, 3), np.float32))
    layer.bias.assign(np.full(2, k, np.float32))
    return layer


def network(k: float) -> Any:
    """One layer in two places: by its name in the configuration."""
    x, y = fl.Input((3,)), L.Dense(3, kernel_initializer="ones")
    return fl.Model(x, L.Rescaling(k)(L.Add()([y(x), y(y(x))])))


def row(k: float) -> Any:
    """A function that no file could name."""
    fn = eval(f"lambda x: x * {k}")
    return fl.Sequential([fl.Input((3,)), L.Lambda(fn), L.Dense(2, kernel_initializer="ones")])


def wrapped(k: float) -> Any:
    @functools.lru_cache
    def f(x: Any) -> Any:
        return x * k

    return f


def helper(k: float) -> Any:
    return in_module(f"def g(x): return x * {k}\ndef f(x): return [g(v) for v in x]")


def of_module(k: float) -> Any:
    options = types.ModuleType("options")
    vars(options).update(K=k, unused=object)
    return in_module("def f(x): return x * options.K", options=options)


def of_class(k: float) -> Any:
    return in_module(f"class C:\n  def g(self, x): return x * {k}\ndef f(x): return C().g(x)")


def recursive(k: float) -> Any:
    return in_module(f"def f(x): return f(x - 1) * {k} if x else 1")


KINDS: dict[str, Callable[[float], Any]] = {
    "constant": lambda k: eval(f"lambda x: x * {k}"),
    "constants": lambda k: eval(f"lambda x: x in {{'a', 'b', {k}}}"),
    "closure": held,
    "closure of arrays": lambda k: held(np.full(4, k)),
    "closure of tensors": lambda k: held(fl.tensor([k])),
    "closure of dicts": lambda k: held({"a": [k, {"b"}]}),
    "texts in arrays": lambda k: held(np.array([str(k), None], object)),
    "masks of arrays": lambda k: held(np.ma.masked_equal([1.0, 2.0], k)),
    "default": lambda k: eval("lambda x, k=k: x", {"k": k}),
    "keyword default": by_keyword,
    "partial": lambda k: functools.partial(np.multiply, k),
    "global": lambda k: in_module("def f(x): return [v * K for v in x]", K=k),
    "global of another module": of_module,
    "function that is called": helper,
    "class that is used": of_class,
    "recursion": recursive,
    "bound method": lambda k: Times(k).of,
    "callable": Times,
    "dataclass": lambda k: held(Pair(k)),
    "enum": lambda k: held(Way(int(k))),
    "named tuple": lambda k: held(Named(k, 0)),
    "random numbers": lambda k: held(np.random.default_rng(int(k))),
    "vectorized": lambda k: np.vectorize(lambda x: x * k),
    "remembering": wrapped,
    "compiled": lambda k: fl.jit(lambda x: x * k),
    "layer": L.Rescaling,
    "layer in a closure": lambda k: held(L.Rescaling(k)),
    "weights": dense,
    "layer of one's own": Own,
    "model": network,
    "sequential": row,
    "method of a model": lambda k: network(k).predict,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_and_another(kind: str) -> None:
    make = KINDS[kind]
    assert digest(make(1.0)) == digest(make(1.0))
    assert digest(make(1.0)) != digest(make(2.0))


def test_plain_values_are_told_apart() -> None:
    values: list[Any] = [
        *(0, 0.0, -0.0, False, None, "", b"", (), [], {}, set(), ..., 0j, "0", np.float32(0)),
        *(np.zeros(0), np.zeros(1), np.zeros((1, 1)), np.zeros(1, np.float32), [[]], ([],), [0, 0]),
        *(["a", "b"], ["ab"], ["a", ["b"]], {"a": "b"}, int, float, np, np.sum, np.multiply),
    ]
    assert len({digest(v) for v in values}) == len(values)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_can_be_told(name: str) -> None:
    """With the same weights the same, whatever it is called, and built or not at that moment."""

    def made() -> Any:
        layer = LAYERS[name](**right_of(name))
        used(layer, input_of(name))
        arrays = [w.numpy() for w in layer.weights]
        layer.set_weights([np.full_like(a, 0.5) if a.dtype == "f4" else a for a in arrays])
        return layer

    assert digest(made()) == digest(made())


UNTOLD: dict[str, Callable[[], Any]] = {
    "lock": threading.Lock,
    "generator": lambda: (i for i in range(3)),
    "handler": lambda: logging.FileHandler("x", delay=True),
    "made by C": lambda: np.frompyfunc(lambda x: x, 1, 1),
    "deep": lambda: functools.reduce(lambda a, _: [a], range(10_000), []),
    "large": lambda: [0] * MOST,
}


@pytest.mark.parametrize("kind", UNTOLD)
def test_what_cannot_be_told(kind: str) -> None:
    with pytest.raises(Untold):
        digest(held(UNTOLD[kind]()))


def test_programs_agree(tmp_path: Path) -> None:
    """Also on sets, whose order differs, and on a module that was compiled before."""
    (tmp_path / "users.py").write_text(
        "import numpy as np, fanlight as fl\n"
        "NAMES, K = {'a', 'b', 'c', 'd'}, (1, 2.5)\n"
        "class Base:\n  scale = np.ones(3)\n"
        "class C(Base):\n  def __init__(self): self.own = {'x': [K]}\n"
        "def f(x, c=C()): return c.scale * x if x in {'p', 'q', 'r'} | NAMES else fl.image, np.sum"
    )
    script = (
        "import users; from fanlight.data.states import digest; import fanlight as fl\n"
        "print(digest(users.f), digest(fl.layers.RandomFlip(seed=1)))"
    )
    root = str(Path(fl.__file__).parent.parent)
    environment = {"PYTHONPATH": f"{root}:{tmp_path}", "PATH": ""}
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**environment, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(found) == 1
