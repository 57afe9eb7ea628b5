"""Bundles that train: the steps of a model in one module, and training.json about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fanlight.codegen.describe import tensor_entry
from fanlight.codegen.plan import WEIGHTS_OFFSET, Plan, make_plans
from fanlight.codegen.state import State, lay_out
from fanlight.errors import FanlightError
from fanlight.graph import Graph
from fanlight.jit import fitted
from fanlight.layers.classes import DIM
from fanlight.layers.compiled import arguments
from fanlight.layers.deploy import Deployed, Training, deployed
from fanlight.layers.file_safetensors import model_or_none, named, packed
from fanlight.layers.own_steps import OwnSteps
from fanlight.ops.types import TensorType
from fanlight.passes import optimize
from fanlight.passes.round_weights import halved
from fanlight.targets import Target
from fanlight.tensor import tensor


@dataclass(frozen=True)
class Trainable:
    """A model that is built to be trained.

    Attributes:
        source: the graph of `predict`, with what is kept as weights: the meaning of the bundle.
        plan: of all steps.
        still: the weights that no step changes, by name: the modules have them folded and packed.
    """

    source: Graph
    plan: Plan
    steps: Deployed
    config: Any
    still: Sequence[tuple[str, Any]]

    def files(self) -> dict[str, bytes]:
        """path -> bytes of what `fit` and `save` fetch."""
        files = {"training.json": self.entry()}
        if self.still:
            files["still.safetensors"] = packed(self.still)
        return files

    def form(self) -> str:
        """A hash of what has to be the same for one model to go on with the state of another.

        That is where what lasts lies, what nothing learns, and the model but for its name and how
        it is trained: what was learnt before the build does not count.
        """
        free = self.steps.free
        described = self.config["model"]
        if isinstance(described, dict) and isinstance(described.get("config"), dict):
            described = {**described, "config": {**described["config"], "name": None}}
        parts = [
            [(k.path, k.kind, str(k.first.dtype), k.first.shape) for k in self.steps.kept],
            self._places(),
            None if free is None else (free.least, free.most),
            described or self.config["class"],
            hashlib.sha256(packed(self.still)).hexdigest() if self.still else None,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def image(self) -> np.ndarray:
        """The bytes of the weight region, with what is kept as it is before the first step."""
        image = self.plan.weight_image()
        for kept, at in zip(self.steps.kept, self._places(), strict=True):
            parts = [np.ascontiguousarray(a).reshape(-1) for a in kept.parts(self._count)]
            data = np.concatenate(parts).view(np.uint8)
            image[at - WEIGHTS_OFFSET : at - WEIGHTS_OFFSET + data.size] = data
        return image

    @property
    def _count(self) -> int:
        return self.steps.free.count if self.steps.free else 0

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes that no input tells, as they are until a page chooses others."""
        return {DIM: self._count} if self.steps.free else {}

    @property
    def kept_bytes(self) -> int:
        """How many bytes at the beginning of the weights change from step to step."""
        return lay_out(_types(self.steps), WEIGHTS_OFFSET)[1] - WEIGHTS_OFFSET

    def _places(self) -> list[int]:
        return list(lay_out(_types(self.steps), WEIGHTS_OFFSET)[0].values())

    def entry(self) -> bytes:
        """training.json: what is kept and where, and the steps with their inputs and outputs."""
        kept = {k.name for k in self.steps.kept}
        programs = {}
        for part in self.plan.parts[1:]:
            outputs = [(n, v) for n, v in part.graph.outputs if n not in self.steps.updates]
            inputs = [v for v in part.graph.inputs if v.name not in kept]
            names = [v.name for v in inputs]
            if part.name in ("train", "evaluate"):  # labels and their weights are of an output
                both = [label.name for label in self.steps.labels] * 2
                names[-len(both) :] = both
            programs[part.name] = {
                "first": part.first,
                "last": part.last,
                "inputs": [
                    tensor_entry(name, v, self.plan.offsets[v], False)
                    for name, v in zip(names, inputs, strict=True)
                ],
                "outputs": [tensor_entry(n, v, self.plan.offsets[v], False) for n, v in outputs],
            }
        state = [
            {
                "path": k.path,
                "kind": k.kind,
                "trainable": k.trainable,
                "dtype": str(k.first.dtype),
                "shape": [DIM if i == k.axis else n for i, n in enumerate(k.first.shape)],
                "offset": at,
                "bytes": int(k.first.nbytes),
            }
            for k, at in zip(self.steps.kept, self._places(), strict=True)
        ]
        described = {
            "state": state,
            "programs": programs,
            "labels": [asdict(label) for label in self.steps.labels],
            "form": self.form(),
            "metrics": [{"name": n, "size": s} for n, s in self.steps.metrics.items()],
            "config": self.config,
            "rate": self.steps.rate,
            "head": self.steps.free.layer.name if self.steps.free else None,
        }
        # "<" is escaped, so that the same bytes can stand in a one-file page.
        return json.dumps(described).replace("<", "\\u003c").encode()


def refuse_train(how: Any, inputs: Any, task: Any, precision: str) -> None:
    """E-BUILD-005 for what does not go with `train`."""
    silent = task is not None and hasattr(task, "apply") and not hasattr(task, "preprocess")
    wrong = (
        ("train", not isinstance(how, Training), repr(how)[:100]),
        ("inputs", inputs is not None, "inputs of a function"),
        ("task", silent, "a task that does not say by `preprocess` what it does to a picture"),
        ("precision", precision not in ("f32", "f16"), precision),
    )
    for where, is_wrong, received in wrong:
        if is_wrong:
            raise FanlightError(
                "E-BUILD-005",
                "this does not go with a model that trains in the page.",
                where=where,
                expected="fl.build(model, out, train=fl.training(...)), in f32 or f16",
                received=received,
            )


def _types(steps: Deployed) -> dict[str, TensorType]:
    return {k.name: TensorType(k.first.shape, str(k.first.dtype)) for k in steps.kept}


def trainable(
    model: Any,
    how: Training,
    dims: Mapping[str, Any] | None,
    targets: Sequence[Target],
    task: Any = None,
    precision: str = "f32",
) -> Trainable:
    """Plan a model that is built to be trained; raises as `deployed` and the planner do.

    With the precision "f16" what nothing learns is rounded to float16 before anything else, and
    travels as such: the numbers of `still.safetensors` are those that the page computes with.

    With a task, predicting begins with a picture; what the task does to one is a program of its
    own, too, "picture": what it gives is what the steps take.
    """
    if isinstance(model, OwnSteps) and model.says_steps:
        raise FanlightError(
            "E-BUILD-005",
            "a model whose class says its steps itself cannot learn in a page.",
            where=f"train=, {type(model).__name__}",
            expected="a class without train_step, test_step, compute_loss and compute_metrics",
            received=", ".join(model.says_steps),
            next="build it without train= for inference; or give its weights to a model without "
            "them, and the loss to fl.training: a function of labels and predictions may be one.",
        )
    steps = deployed(model, how, dims, halved if precision == "f16" else None)
    if steps.rounded:
        # What is folded into something else is no float16 any more: it had better stay.
        folded = [a for name in ("predict", "features") for a in _folded(steps, name, targets[0])]
        lasting = {n for n, a in steps.rounded.items() if any(_same(a, other) for other in folded)}
        if lasting < set(steps.rounded):
            steps = deployed(
                model, how, dims, lambda all: {n: a for n, a in halved(all).items() if n in lasting}
            )
    places, end = lay_out(_types(steps), WEIGHTS_OFFSET)
    count = steps.free.count if steps.free else 0
    first = {k.name: k.parts(count)[0] for k in steps.kept}
    graphs = dict(steps.graphs)
    if task is not None:
        whole = with_weights(graphs["predict"], first)
        graphs["predict"] = _without_weights(task.apply(whole)[0], first)
        graphs["picture"] = task.preprocess(whole)
    legal = {n: optimize(g, targets[0]) for n, g in graphs.items()}
    state = State(places, steps.updates, end)

    def planned(train: Graph) -> Plan:
        halves = precision == "f16"
        return make_plans({**legal, "train": train}, targets, halves=halves, state=state)

    plan = fitted(legal["train"], planned, state, how.memory)
    # What Python compiles the model with when it reads what a page has saved.
    compiled = arguments(
        how.optimizer, how.loss, how.loss_weights, how.metrics, how.weighted_metrics
    )
    return Trainable(
        with_weights(graphs["predict"], first),
        replace(plan, graph=with_weights(plan.graph, first)),
        steps,
        {"model": model_or_none(model), "class": type(model).__name__, "compile": compiled},
        [
            (n, tensor(steps.rounded[n]) if n in steps.rounded else w)
            for n, w in named(model)
            if n not in {k.path for k in steps.kept}
        ],
    )


def _folded(steps: Deployed, name: str, target: Target) -> list[np.ndarray]:
    """The weights of a graph as the module has them."""
    return (
        list(optimize(steps.graphs[name], target).weights.values()) if name in steps.graphs else []
    )


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether these are the same numbers, in whatever order."""
    if one.size != other.size or other.dtype != one.dtype:
        return False
    return np.array_equal(np.sort(one, axis=None), np.sort(other, axis=None))


def with_weights(graph: Graph, arrays: Mapping[str, np.ndarray]) -> Graph:
    """A graph with weights in the place of some of its inputs; their free sizes are the arrays'."""
    kept = {v: np.asarray(arrays[v.name]) for v in graph.inputs if v.name in arrays}
    inputs = tuple(v for v in graph.inputs if v not in kept)
    return replace(graph, inputs=inputs, weights={**graph.weights, **kept})


def _without_weights(graph: Graph, arrays: Mapping[str, np.ndarray]) -> Graph:
    """A graph with inputs again in the place of those weights that `with_weights` gave it."""
    given = tuple(v for v in graph.weights if v.name in arrays)
    weights = {v: a for v, a in graph.weights.items() if v not in given}
    return replace(graph, inputs=(*graph.inputs, *given), weights=weights)
