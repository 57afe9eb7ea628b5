"""Pass: a named Graph -> Graph rewrite with a contract that the pipeline checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from fanlight.graph import Graph
from fanlight.targets import WASM_RELAXED, Target


@dataclass(frozen=True)
class Property:
    """Something a graph can be that passes promise and rely on.

    Attributes:
        name: as reports print it.
        fault: the first place where a graph does not have the property, or None.
    """

    name: str
    fault: Callable[[Graph], str | None] = lambda graph: None

    def __str__(self) -> str:
        return self.name


@dataclass
class Context:
    """What a pass may know besides the graph.

    Attributes:
        target: what code will be generated for.
        hits: "pass: rewrite" -> how often it was made.
    """

    target: Target = WASM_RELAXED
    hits: Counter[str] = field(default_factory=Counter)


class Pass:
    """One rewrite. Subclasses say what they do in a docstring with a Before and an After graph.

    Attributes:
        requires: what the graph must be before; the planner refuses an order that breaks it.
        ensures: what it is after.
        breaks: what it may no longer be after.
    """

    requires: ClassVar[tuple[Property, ...]] = ()
    ensures: ClassVar[tuple[Property, ...]] = ()
    breaks: ClassVar[tuple[Property, ...]] = ()

    @property
    def name(self) -> str:
        """The name in reports: FoldBatchNorm -> fold_batch_norm."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in type(self).__name__)[1:]

    def run(self, graph: Graph, context: Context) -> Graph:
        """The rewritten graph; the same object if there was nothing to do."""
        raise AssertionError(f"{type(self).__name__} does not say what it does")

    def hit(self, context: Context, rewrite: str = "", count: int = 1) -> None:
        """Count a rewrite."""
        if count:
            context.hits[f"{self.name}: {rewrite}" if rewrite else self.name] += count


def _without(*ops: str) -> Callable[[Graph], str | None]:
    def fault(graph: Graph) -> str | None:
        found = [f"{n.name} ({n.op})" for n in graph.nodes if n.op in ops]
        return found[0] if found else None

    return fault


def _foldable(graph: Graph) -> str | None:
    from fanlight.passes.constant_fold import foldable

    return next((f"{n.name} ({n.op})" for n in graph.nodes if foldable(n, graph.weights)), None)


def _exchanging_matmul(graph: Graph) -> str | None:
    products = (n for n in graph.nodes if n.op == "matmul")
    return next(
        (n.name for n in products if n.attrs["transpose_a"] or n.attrs["transpose_b"]), None
    )


def _padded_conv(graph: Graph) -> str | None:
    from fanlight.passes.explicit_padding import needs_explicit_padding

    return next((n.name for n in graph.nodes if needs_explicit_padding(n)), None)


def _symbolic(graph: Graph) -> str | None:
    from fanlight.ops import symbols

    nodes = (n for n in graph.nodes if n.op not in symbols.LEFT)
    return next(
        (
            f"{n.name} ({n.op})"
            for n in nodes
            if symbols.symbolic([v.type for v in (*n.inputs, *n.outputs)], n.attrs)
        ),
        None,
    )


NO_SYMBOLS = Property("no symbolic dims", _symbolic)
CONSTANTS_FOLDED = Property("constants folded", _foldable)
NO_BATCH_NORM = Property("no batch norm", _without("batch_norm"))
PADS_ABSORBED = Property("pads absorbed")
AFFINE_FOLDED = Property("affine steps folded into weights")
NO_TRANSPOSED_CONV = Property("no transposed convolution", _without("conv2d_transpose"))
NO_CONV_KERNEL = Property("no gradients of windows", _without("conv2d_kernel"))
PLAIN_MATMUL = Property("products without transposition", _exchanging_matmul)
EXPLICIT_PADDING = Property("convolutions without padding", _padded_conv)
EPILOGUES = Property("epilogues fused")
ELEMENTWISE = Property("elementwise ops fused")
PROPERTIES = (
    NO_SYMBOLS,
    CONSTANTS_FOLDED,
    NO_BATCH_NORM,
    PADS_ABSORBED,
    AFFINE_FOLDED,
    NO_TRANSPOSED_CONV,
    PLAIN_MATMUL,
    EXPLICIT_PADDING,
    EPILOGUES,
    ELEMENTWISE,
)
