"""fl.memory(held=True): who holds what."""

from __future__ import annotations

import gc
import sys
import weakref
from types import FrameType
from typing import Any

import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.tensor import holders
from fanlight.tensor.calls import shared

KEPT = fl.ones((7, 1001))


class Dense:
    """An object with attributes, and one with slots."""

    def __init__(self, kernel: Any, layers: Any = ()) -> None:
        self.kernel, self.layers = kernel, layers


class Slotted:
    __slots__ = ("kernel",)


@pytest.fixture(autouse=True)
def _among_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search ends after so many things: it is for the tensors of this file only.

    What other tests have left in modules and caches would use it up.
    """
    gc.collect()
    before = {id(r()): r for r in tuple(shared.alive) if r() is not KEPT}
    told_of = holders.told_of

    def old(x: Any) -> bool:
        return id(x) in before and before[id(x)]() is x

    def own(buffers: list[Any], frame: FrameType) -> list[dict[str, Any]]:
        mine = [b for b in buffers if not all(old(x) for x in b[1])]
        return told_of(mine, frame)

    monkeypatch.setattr(holders, "told_of", own)


def by(x: Any) -> list[str]:
    """Who holds a tensor whose shape no other has."""
    shape = x if isinstance(x, tuple) else x.shape
    del x
    (found,) = [h["by"] for h in fl.memory(held=True)["held"] if h["shape"] == shape]
    return found


def test_names_in_frames_and_globals() -> None:
    x = fl.ones((7, 1003))
    here = by((7, 1003))
    assert len(here) == 1 and here[0].startswith(
        "x in test_names_in_frames_and_globals (test_holders.py:"
    )
    assert f"KEPT of {__name__}" in by((7, 1001))
    del x
    assert (7, 1003) not in [h["shape"] for h in fl.memory(held=True)["held"]]


def test_attributes_elements_and_cells() -> None:
    dense = Dense(fl.ones((7, 1004)), [fl.ones((7, 1005)), {"w": fl.ones((7, 1006))}])
    slotted = Slotted()
    slotted.kernel = fl.ones((7, 1007))
    xs = (fl.ones((7, 1008)),)
    named = {"w": fl.ones((7, 1009))}

    def steps() -> Any:
        state = fl.ones((7, 1019))
        yield 1
        state.print()

    running = steps()
    next(running)
    assert by((7, 1019))[0].startswith("state in steps (test_holders.py:")
    many = [fl.ones((7, 1020))] * 100_000
    assert 2 < len(by((7, 1020))) <= 20
    del many

    def closed() -> Any:
        w = fl.ones((7, 1010))
        return lambda x: x + w

    f = closed()
    g = fl.jit(f)
    place = " in test_attributes_elements_and_cells (test_holders.py:"
    assert by((7, 1004)) == ["kernel of Dense"]
    assert by((7, 1005)) == ["layers[0] of Dense"]
    assert by((7, 1006)) == ["layers[1]['w'] of Dense"]
    assert by((7, 1007)) == ["kernel of Slotted"]
    assert [n.startswith("xs[0]" + place) for n in by((7, 1008))] == [True]
    assert [n.startswith("named['w']" + place) for n in by((7, 1009))] == [True]
    assert by((7, 1010)) == [f"w, a constant of the compiled function {f.__qualname__}"]
    del g
    assert by((7, 1010)) == [f"w, in the closure of {f.__qualname__}"]
    del dense, slotted, xs, named


def test_variables_scopes_views_and_gradients() -> None:
    v = fl.variable(fl.ones((7, 1011)), name="steps")
    assert len(by((7, 1011))) == 2 and by((7, 1011))[1] == "fl.variable 'steps'"
    x = fl.ones((7, 1012))
    y = [fl.reshape(x, (1012, 7))]
    (h,) = [h for h in fl.memory(held=True)["held"] if h["bytes"] == 7 * 1012 * 4]
    assert [n.split(" in ")[0] for n in h["by"]] in (
        ["x", "another tensor, y[0]"],
        ["y[0]", "another tensor, x"],
    )

    def made() -> None:
        z = fl.ones((7, 1013))
        assert "an fl.tidy that is running" in by(z.shape)

    fl.tidy(made)

    def loss(a: Any) -> Any:
        fl.exp(a)  # only the tape holds it
        held = [h["by"] for h in fl.memory(held=True)["held"] if h["shape"] == (7, 1014)]
        assert any("a gradient that is being computed" in names for names in held)
        return fl.sum(a)

    fl.grad(loss)(fl.ones((7, 1014)))
    z = fl.complex(fl.ones((7, 1015)), fl.zeros((7, 1015)))
    parts = [h["by"] for h in fl.memory(held=True)["held"] if h["shape"] == (7, 1015)]
    assert sorted(n.split(" in ")[0] for names in parts for n in names) == ["z[0]", "z[1]"]
    del v, x, y, z


def test_modules_that_make_their_dict_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class Made:
        @property
        def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
            return {"a": 1}

    for i in range(50):
        monkeypatch.setitem(sys.modules, f"made_anew_{i}", Made())
    search = holders._Search(sys._getframe())
    assert not [n for n in search.globals.values() if n.startswith("made_anew")]


def test_the_counts_and_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # of all tensors
    told = fl.memory(held=True)
    sizes = [h["bytes"] for h in told["held"]]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == told["bytes"]
    assert len(sizes) == told["buffers"] and fl.memory().keys() == {"tensors", "buffers", "bytes"}
    with pytest.raises(FanlightError, match="E-OP-005"):
        fl.memory(held="yes")  # type: ignore[arg-type]


def test_nothing_is_held_afterwards() -> None:
    gc.collect()
    gc.disable()  # a cycle that holds it would be seen
    try:
        x, mine = fl.ones((7, 1016)), [1]
        gone = weakref.ref(x)
        names = locals()
        fl.memory(held=True)
        assert names["mine"] is mine  # who reads the names of a frame keeps them
        del names["x"], names, x
        gone = gone()
        assert gone is None
    finally:
        gc.enable()


def test_a_frame_that_runs_is_left_as_it_was() -> None:
    x = fl.ones((7, 1017))
    gone = weakref.ref(x)
    fl.memory(held=True)
    del x
    assert gone() is None


def test_many_tensors_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "MOST_THINGS", 2)
    xs = [fl.ones((7, 9000 + i)) for i in range(4)]
    told = fl.memory(held=True)["held"]
    assert told[0]["by"] and "not looked for" in told[-1]["by"][0]
    del xs
