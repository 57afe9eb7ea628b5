"""Elementwise results lie in the memory of what they are computed of, where nobody needs that."""

from __future__ import annotations

import numpy as np
import pytest

from fanlight.build import build
from fanlight.codegen.plan import Plan, make_plan
from fanlight.graph import Graph, evaluate, parse
from fanlight.targets import WASM_PLAIN, WASM_RELAXED

BODY = 'body="add(mul(a0, 2.0), 1.0)"'


def planned(text: str) -> tuple[Graph, Plan]:
    graph = parse(text)
    return graph, make_plan(graph, (WASM_RELAXED, WASM_PLAIN))


def places(plan: Plan) -> dict[str, tuple[int, ...]]:
    """name of a node's output -> its pointers: inputs, then outputs."""
    return {s.node.output.name: s.tensors for s in plan.steps}


CHAIN = f"""graph g(%x: f32[8, 6]) {{
  %a: f32[8, 6] = cumsum(%x)
  %b: f32[8, 6] = fused(%a) {{{BODY}}}
  %c: f32[6, 8] = reshape(%b) {{shape=[6, 8]}}
  %d: f32[6, 8] = fused(%c) {{{BODY}}}
  %e: f32[6, 8] = cumsum(%d)
  return y=%e
}}"""


def test_a_chain_stays_in_one_place() -> None:
    _, plan = planned(CHAIN)
    at = places(plan)
    assert at["a"][1] == at["b"][0] == at["b"][1] == at["d"][0] == at["d"][1] == at["e"][0]
    # Two buffers, of which one is the input's until it is read.
    assert plan.arena_bytes == 2 * 192


def test_what_the_host_wrote_is_donated() -> None:
    _, plan = planned("""graph g(%x: f32[64], %z: f32[64]) {
      %y: f32[64] = fused(%x, %z) {body="mul(a0, a1)"}
      return y=%y
    }""")
    read, _, written = places(plan)["y"]
    assert read == written and plan.arena_bytes == 2 * 256


KEPT = {
    "is needed later": f"""graph g(%x: f32[4, 4]) {{
      %a: f32[4, 4] = cumsum(%x)
      %b: f32[4, 4] = fused(%a) {{{BODY}}}
      %c: f32[4, 4] = matmul(%a, %b)
      return y=%c
    }}""",
    "is an output": f"""graph g(%x: f32[4, 4]) {{
      %a: f32[4, 4] = cumsum(%x)
      %b: f32[4, 4] = fused(%a) {{{BODY}}}
      return y=%b, a=%a
    }}""",
    "is read in another order, too": """graph g(%x: f32[4, 4]) {
      %a: f32[4, 4] = cumsum(%x)
      %f: f32[16] = reshape(%a) {shape=[16]}
      %s: f32[1, 4, 4] = reshape(%f) {shape=[1, 4, 4]}
      %t: f32[4, 1, 4] = reshape(%f) {shape=[4, 1, 4]}
      %b: f32[4, 4, 4] = fused(%s, %t) {body="add(a0, a1)"}
      return y=%b
    }""",
    "is of other size": """graph g(%x: f32[4, 1]) {
      %a: f32[4, 1] = cumsum(%x) {axis=0}
      %b: bool[4, 1] = fused(%a) {body="lt(a0, 2.0)"}
      return y=%b
    }""",
    "is a constant": """graph g(%x: f32[]) {
      weight %w: f32[4] = [1.0, 2.0, 3.0, 4.0]
      %b: f32[4] = fused(%w, %x) {body="add(a0, a1)"}
      return y=%b
    }""",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_it_is_kept_where_it(text: str) -> None:
    _, plan = planned(text)
    *read, written = places(plan)["b"]
    assert written not in read


@pytest.mark.parametrize("text", [CHAIN, *KEPT.values()], ids=["chain", *KEPT])
def test_runs_give_the_meaning(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Twice: what the first run wrote into its inputs' memory does not matter."""
    graph = parse(text)
    x = np.random.default_rng(0).standard_normal(graph.inputs[0].type.bound).astype(np.float32)
    expected = evaluate(graph, {"x": x})
    with build(graph, tmp_path_factory.mktemp("b") / "out") as bundle:
        for host in ("wasm", "wasm", "wasm-plain"):
            for name, value in bundle.run({"x": x}, host=host).items():
                np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-5)
