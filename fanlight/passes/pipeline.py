"""Pipelines: passes in an order that their contracts allow, run and verified."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fanlight.errors import FanlightError
from fanlight.graph import Graph
from fanlight.graph.verify import verify as verify_graph
from fanlight.passes.absorb_pad import AbsorbPad
from fanlight.passes.bind_symbols import BindSymbols
from fanlight.passes.channels_first import ChannelsFirst
from fanlight.passes.constant_fold import ConstantFold
from fanlight.passes.core import Context, Pass, Property
from fanlight.passes.duplicate_cheap import DuplicateCheap
from fanlight.passes.explicit_padding import ExplicitPadding
from fanlight.passes.fold_batch_norm import FoldAffine, FoldBatchNorm
from fanlight.passes.fuse_elementwise import FuseElementwise
from fanlight.passes.fuse_epilogue import FuseEpilogue
from fanlight.passes.fuse_sums import FuseSums
from fanlight.passes.join_products import JoinProducts
from fanlight.passes.liveness import Timeline
from fanlight.passes.merge_common import MergeCommon
from fanlight.passes.old_names import with_old_names
from fanlight.passes.optimize_bodies import OptimizeBodies
from fanlight.passes.plain_matmul import PlainMatmul
from fanlight.passes.recompute import Recompute, placed
from fanlight.passes.remove_dead import RemoveDead
from fanlight.passes.restore_dilation import RestoreDilation
from fanlight.passes.round_weights import RoundWeights
from fanlight.passes.simplify import Simplify
from fanlight.passes.sink_movement import SinkMovement
from fanlight.passes.sink_transposes import SinkTransposes
from fanlight.passes.spell_conv_kernel import SpellConvKernel
from fanlight.passes.split_transposed_conv import SplitTransposedConv
from fanlight.targets import WASM_RELAXED, Target


@dataclass(frozen=True)
class Repeat:
    """A pass that runs again, and why once was not enough."""

    step: Pass
    because: str


Step = Pass | Repeat

# Layers with all that can be folded into them, nothing fused yet.
_FOLDED: tuple[Step, ...] = (
    BindSymbols(),
    RemoveDead(),
    ConstantFold(),
    Simplify(),
    SinkTransposes(),
    MergeCommon(),
    RestoreDilation(),
    AbsorbPad(),
    FoldBatchNorm(),
    SplitTransposedConv(),
    SpellConvKernel(),
    JoinProducts(),
    PlainMatmul(),
    SinkMovement(),
)
_TIDY: tuple[Step, ...] = (
    Repeat(Simplify(), "plain products and sinking leave reshapes of reshapes"),
    Repeat(ConstantFold(), "plain products and spelt-out batch norms leave constants"),
)
PIPELINE_F32: tuple[Step, ...] = (
    *_FOLDED,
    OptimizeBodies(),
    ExplicitPadding(),
    *_TIDY,
    FuseEpilogue(),
    DuplicateCheap(),
    FuseElementwise(),
    FuseSums(),
    Repeat(MergeCommon(), "biases made by folding are often equal, and so are fused branches"),
)
PIPELINE_F16: tuple[Step, ...] = (*PIPELINE_F32, RoundWeights())
# By the precision of a build.
PIPELINES = {"f32": PIPELINE_F32, "f16": PIPELINE_F16, "int8": PIPELINE_F32}

# What quantisation starts from.
PREPARE: tuple[Step, ...] = (*_FOLDED, *_TIDY)

# For files of other run times: fewer nodes, of ops that they have as well.
FOLD: tuple[Step, ...] = (
    RemoveDead(),
    ConstantFold(finite=True),
    Simplify(),
    SinkTransposes(),
    AbsorbPad(),
    FoldAffine(),
    MergeCommon(),
)
# For ONNX, whose images are [N, C, H, W].
FOLD_CHANNELS_FIRST: tuple[Step, ...] = (*FOLD, ChannelsFirst())


def check_order(steps: Sequence[Step]) -> None:
    """Refuse an order that breaks a contract.

    Raises:
        FanlightError: E-GRAPH-008 if a pass lacks what it requires, or repeats without a reason.
    """
    held: set[Property] = set()
    seen: set[type[Pass]] = set()
    for item in steps:
        step = item.step if isinstance(item, Repeat) else item
        missing = [str(p) for p in step.requires if p not in held]
        if missing:
            raise FanlightError(
                "E-GRAPH-008",
                f"the pass {step.name} runs too early.",
                where=step.name,
                expected=f"a graph with: {', '.join(missing)}",
                received=f"only: {', '.join(sorted(map(str, held))) or 'nothing'}",
            )
        again = type(step) in seen
        if again != isinstance(item, Repeat) or (isinstance(item, Repeat) and not item.because):
            raise FanlightError(
                "E-GRAPH-008",
                f"the pass {step.name} "
                + ("runs again without a reason." if again else "is a repeat of nothing."),
                where=step.name,
                expected="Repeat(pass, why) for each further run, and only for those",
            )
        seen.add(type(step))
        held = (held - set(step.breaks)) | set(step.ensures)


def run(
    graph: Graph,
    steps: Sequence[Step],
    *,
    target: Target = WASM_RELAXED,
    counts: Counter[str] | None = None,
    verify: bool | None = None,
) -> Graph:
    """Run passes in order.

    Args:
        counts: gets "pass: rewrite" -> how often it was made.
        verify: check the graph and the promised properties after every pass; None: if the
            environment has FANLIGHT_VERIFY=1.

    Raises:
        FanlightError: E-GRAPH-008 a bad order; E-GRAPH-007 a pass that broke a promise.
    """
    check_order(steps)
    if verify is None:
        verify = os.environ.get("FANLIGHT_VERIFY", "") not in ("", "0")
    context = Context(target)
    held: list[Property] = []
    for item in steps:
        step = item.step if isinstance(item, Repeat) else item
        graph = step.run(graph, context)
        if verify:
            held = [p for p in held if p not in (*step.breaks, *step.ensures)] + [*step.ensures]
            _check(graph, step, held)
    if counts is not None:
        counts.update(context.hits)
    return graph


def _check(graph: Graph, step: Pass, held: Sequence[Property]) -> None:
    verify_graph(graph)
    for held_property in held:
        fault = held_property.fault(graph)
        if fault is not None:
            raise FanlightError(
                "E-GRAPH-007",
                f"after the pass {step.name} the graph is not what was promised.",
                where=fault,
                expected=held_property.name,
            )


def optimize(
    graph: Graph,
    target: Target = WASM_RELAXED,
    *,
    precision: str = "f32",
    verify: bool | None = None,
    counts: Counter[str] | None = None,
) -> Graph:
    """The graph that code is generated from: same inputs, same outputs, fewer and fused nodes.

    Args:
        precision: a key of PIPELINES.
        verify, counts: as for `run`.
    """
    return run(graph, PIPELINES[precision], target=target, verify=verify, counts=counts)


def fold(graph: Graph, channels_first: bool = False) -> Graph:
    """The graph with batch norms and the like in the weights of their neighbours, and what is said
    twice said once; a weight that takes another's place has its name. Dims may be symbols.

    Args:
        channels_first: for a writer whose convolutions want [N, C, H, W]: see ChannelsFirst.
    """
    steps = FOLD_CHANNELS_FIRST if channels_first else FOLD
    made = run(graph, steps, verify=False)  # some constants stay computed
    return made if made is graph else with_old_names(graph, made)


def within(
    graph: Graph, budget: int, kept: Collection[str] = (), updates: Collection[str] = ()
) -> Graph:
    """An optimized graph with less alive at once, if more than `budget` bytes are: see Recompute.

    Args:
        kept, updates: names of inputs and outputs that do not count.
    """
    return run(graph, (Recompute(budget, kept, updates),))


def alive(graph: Graph, kept: Collection[str] = (), updates: Collection[str] = ()) -> int:
    """The most bytes that are alive at once in a graph, as `within` counts them."""
    return Timeline(graph, graph.nodes, placed(graph, kept, updates)).peak()[1]
