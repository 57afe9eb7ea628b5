"""What a bundle says of its plan: the manifest, and the graph for hosts that read graphs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fanlight.codegen.plan import WEIGHTS_OFFSET, Plan
from fanlight.codegen.walk import CONTROL, emit
from fanlight.graph import Value, to_text
from fanlight.ops.types import Dim, TensorType
from fanlight.targets import Target
from fanlight.version import __version__


def make_manifest(
    plan: Plan,
    name: str,
    precision: str,
    entry: dict | None,
    batched: Mapping[str, bool],
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Any]:
    """manifest.json without its file entries (see bundle/manifest.schema.json).

    Args:
        sizes: of symbols that no input tells the size of.
    """
    outputs = plan.graph.outputs
    free = any(batched.values())
    return {
        "fanlight": 1,
        "name": name[:200] or "model",
        "producer": f"fanlight {__version__}",
        "precision": precision,
        "task": entry,
        "inputs": [
            tensor_entry(v.name, v, plan.offsets[v], batched.get(v.name, False))
            for v in plan.graph.inputs
        ],
        "outputs": [
            tensor_entry(n, v, plan.offsets[v], free and v.shape[:1] == (1,)) for n, v in outputs
        ],
        "dims": {
            n: {"min": d.min, "max": d.max, "offset": offset}
            | ({"size": sizes[n]} if n in sizes else {})
            for n, (d, offset) in plan.dims.items()
        },
        "memory": {
            "pages": plan.pages,
            "weights": {"offset": WEIGHTS_OFFSET, "bytes": plan.weight_bytes},
            "arena": {"offset": plan.arena_offset, "bytes": plan.arena_bytes},
        },
        "kernels": [
            {
                "name": s.node.output.name,
                "op": s.node.op,
                "source": s.node.name,
                "flops": int(s.kernels[0].flops),
                "bytes": int(s.kernels[0].bytes),
            }
            for s in plan.steps[: plan.parts[0].last]
        ],
    }


def tensor_entry(name: str, value: Value, offset: int, batched: bool) -> dict[str, Any]:
    """What hosts need to know of an input or an output."""
    type: TensorType = value.type
    return {
        "name": name,
        "dtype": type.dtype,
        "shape": [d.name if isinstance(d, Dim) else d for d in type.shape],
        "offset": offset,
        "bytes": type.nbytes,
        "batched": batched,
    }


def graph_file(plan: Plan) -> bytes:
    """graph.json: the built graph's text and where its weights lie, for hosts that read graphs."""
    placed = [(p.value, p.offset, p.packing.name if p.packing else "raw") for p in plan.weights]
    # What is kept between steps: to the graph, weights as they are now.
    placed += [(v, plan.offsets[v], "raw") for v in plan.graph.weights if v in plan.offsets]
    weights = {
        v.name: {
            "offset": offset,
            "packing": packing,
            "shape": list(plan.graph.weights[v].shape),
            "dtype": v.dtype,
        }
        for v, offset, packing in placed
        if v in plan.graph.weights
    }
    text = json.dumps({"text": to_text(plan.graph), "weights": weights})
    # "<" is escaped, so that the same bytes can stand in a one-file page (see web/single_file.py).
    return text.replace("<", "\\u003c").encode()


def module_file(plan: Plan, target: Target) -> dict[str, Any]:
    """The module of one target and what its manifest entry says of it."""
    code = emit(plan, target)
    chosen = [{"name": n, "offset": CONTROL, "bit": bit} for n, bit in code.choices.items()]
    return {
        "data": code.data,
        "simd": "relaxed" if target.relaxed_simd else "plain",
        "threads": target.threads and {"flags": code.memory_flags, "control": CONTROL},
        "choices": chosen,
    }
