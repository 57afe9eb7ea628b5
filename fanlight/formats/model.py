"""Model: what `fl.load` returns, a graph that can be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.dtypes import STRING
from fanlight.errors import FanlightError
from fanlight.formats.source import Source, make_options
from fanlight.formats.textpart import as_texts
from fanlight.graph import Graph, evaluate
from fanlight.ops.types import TensorType


class Model:
    """A model read from its files, computing with NumPy.

    Attributes:
        graph: the graph (leading dims that were free are 1).
        inputs, outputs: (name, type) pairs. Of a model of texts they are its own: the graph takes
            the numbers that `prepared` makes of texts.
        labels: class names, if the source carries them.
        batched: input name -> whether its leading dim was free.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.graph: Graph = source.graph
        self.inputs: list[tuple[str, TensorType]] = [(v.name, v.type) for v in self.graph.inputs]
        self.outputs: list[tuple[str, TensorType]] = [(n, v.type) for n, v in self.graph.outputs]
        if source.text is not None:
            self.inputs = list(source.text.inputs.items())
            self.outputs = list(source.text.outputs.items())
        self.labels = source.labels
        self.batched = {port.name: port.batched for port in source.inputs}

    @property
    def name(self) -> str:
        return self.graph.name

    def __call__(self, inputs: Mapping[str, Any] | Any, *more: Any) -> Any:
        """Compute the outputs with NumPy.

        Args:
            inputs: arrays by input name, or in a list in the order of `model.inputs`, or one
                array if the model has one input. Inputs whose leading dim was free take any batch
                size. Texts are str or bytes, in lists or arrays.
            more: further inputs in that order: model(a, b) is model([a, b]).

        Returns:
            Arrays by output name; the array itself if one array was given and there is one output.
        """
        if more:
            inputs = self._by_name([inputs, *more])
        given, single = self._given(inputs)
        results = self._run(given, self._once)
        return next(iter(results.values())) if single and len(results) == 1 else results

    def prepared(self, inputs: Mapping[str, Any] | Any) -> dict[str, np.ndarray]:
        """What the graph takes, made of the model's inputs: of texts, the numbers of their words.

        A bundle that was built of `model.graph` runs on it: `bundle.run(model.prepared([text]))`.
        """
        given, _ = self._given(inputs)
        text = self.source.text
        return given if text is None else self._run(given, self._front)

    def _given(self, inputs: Any) -> tuple[dict[str, np.ndarray], bool]:
        """The inputs as arrays by name; and whether there was one without a name."""
        single, count = not isinstance(inputs, Mapping), len(self.inputs)
        if single and count != 1:
            return self._given(self._by_name(inputs))
        given = {self.inputs[0][0]: inputs} if single else dict(inputs)
        ranks = {n: len(t.shape) for n, t in self.inputs if t.dtype == STRING}
        return {
            n: as_texts(x, n, ranks[n]) if n in ranks else np.asarray(x) for n, x in given.items()
        }, single

    def _by_name(self, inputs: Any) -> dict[str, Any]:
        """The inputs of a list by their names; E-INPUT-001 if they are not as many."""
        listed = isinstance(inputs, list | tuple)
        if listed and len(inputs) == len(self.inputs):
            return {n: x for (n, _), x in zip(self.inputs, inputs, strict=True)}
        raise FanlightError(
            "E-INPUT-001",
            "this model needs its inputs by name, or a list of them in this order.",
            where=self.name,
            expected=", ".join(f"{n}: {t}" for n, t in self.inputs),
            received=f"{len(inputs)} in a list" if listed else "one array",
        )

    def _once(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for inputs of the declared shapes."""
        text = self.source.text
        if text is None:
            return evaluate(self.graph, arrays)
        arrays = text.checked(arrays, self.name)
        return text.behind(arrays, evaluate(self.graph, text.front(arrays)))

    def _front(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        text = self.source.text
        return arrays if text is None else text.front(text.checked(arrays, self.name))

    def _run(
        self, arrays: dict[str, np.ndarray], once: Callable[[dict[str, np.ndarray]], Any]
    ) -> dict[str, np.ndarray]:
        self._refuse_batch(arrays)
        free = [n for n in arrays if self.batched.get(n) and arrays[n].ndim]
        sizes = {arrays[n].shape[0] for n in free}
        if sizes <= {1}:
            return dict(once(arrays))
        if len(sizes) > 1:
            raise FanlightError(
                "E-INPUT-002",
                "the inputs have different batch sizes.",
                where=self.name,
                expected="one size for all",
                received=", ".join(f"{n}: {list(arrays[n].shape)}" for n in free),
            )
        parts = [
            once({n: a[i : i + 1] if n in free else a for n, a in arrays.items()})
            for i in range(sizes.pop())
        ]
        if not parts:
            raise FanlightError(
                "E-INPUT-002",
                "the batch is empty.",
                where=self.name,
                expected="at least one item",
                received="none",
            )
        return {
            name: np.concatenate([p[name] for p in parts])
            if made.shape[:1] == (1,)
            else np.stack([p[name] for p in parts])
            for name, made in parts[0].items()
        }

    def _refuse_batch(self, arrays: Mapping[str, np.ndarray]) -> None:
        """E-INPUT-002 if several examples come where those of a batch meet."""
        for name, type in self.inputs if self.source.mixes else ():
            given = arrays.get(name)
            if given is None or given.shape[:1] == type.shape[:1]:
                continue
            source = next(p.asked for p in self.source.inputs if p.name == name)
            raise FanlightError(
                "E-INPUT-002",
                "the examples of a batch meet in this model, so its batch has a fixed size.",
                where=f"{self.name}: {'; '.join(self.source.mixes)}",
                expected=f"{name}: {type}",
                received=list(given.shape),
                next="read it for batches of that size: fl.load(path, input_shapes="
                f"{{{source!r}: {tuple(given.shape)}}})"
                + (", or fl.from_torch with them." if self.source.format == "torch" else "."),
            )

    def __repr__(self) -> str:
        ins = ", ".join(f"{n}: {t}" for n, t in self.inputs)
        outs = ", ".join(f"{n}: {t}" for n, t in self.outputs)
        return f"<Model {self.name} ({self.source.format}): ({ins}) -> ({outs})>"


def load(
    path: str | Path,
    *,
    size: int | Sequence[int] | None = None,
    input_shapes: Mapping[str, Sequence[int | None]] | None = None,
    weights: str = "stored",
    signature: str | None = None,
    tags: str | Sequence[str] = (),
    inputs: str | Sequence[str] = (),
    outputs: str | Sequence[str] = (),
    input_values: Mapping[str, Any] | None = None,
    tables: Mapping[str, Any] | None = None,
) -> Model:
    """Read a model: TF.js `model.json` (layers or graph), Keras `.h5` or `.keras`, or a folder.

    Args:
        path: the file, or the folder that holds it.
        size: image height and width where the source leaves them open.
        input_shapes: whole shapes by input name, where the source leaves them open.
        weights: "stored", or "random" for seeded weights in place of the files.
        signature: of a SavedModel or .tflite with several signatures, which one (its key).
        tags: of a SavedModel with several graphs, the tags of the one wanted.
        inputs, outputs: names of nodes or tensors to cut a graph at, where its own do not do.
        input_values: of a TensorFlow graph, what inputs are fixed to, by name: whether it trains,
            or the numbers that decide sizes.
        tables: of a graph that looks up words in tables that its files do not fill: by the name of
            the table a list of words, each under its number, or a dict.

    Raises:
        FanlightError: E-FORMAT-nnn, telling what in which file cannot be read.
    """
    from fanlight.formats import load_graph

    source = load_graph(
        path,
        size=size,
        input_shapes=input_shapes,
        weights=weights,
        signature=signature,
        tags=tags,
        inputs=inputs,
        outputs=outputs,
        input_values=input_values,
        tables=tables,
    )
    return Model(source)


def from_torch(
    module: Any,
    example_inputs: Any = None,
    *,
    name: str | None = None,
    size: int | Sequence[int] | None = None,
    input_shapes: Mapping[str, Sequence[int | None]] | None = None,
) -> Model:
    """A PyTorch module, or a program of torch.export, as a model of Fanlight.

    Args:
        module: an nn.Module (exported as in evaluation; it stays as it is), or an
            ExportedProgram. Operators that Fanlight does not have are written as simpler ones by
            PyTorch (run_decompositions), where it can.
        example_inputs: what the module is called with, as a tuple of tensors or arrays, or a dict
            of them for keyword arguments, whose names the inputs get; for an ExportedProgram
            nothing.
        name: of the graph; the module's class by default.
        size, input_shapes: sizes that the program leaves open, as fl.load has them.

    Raises:
        FanlightError: E-FORMAT-002 it is neither, E-FORMAT-013 with every unsupported operator,
            E-FORMAT-012, E-FORMAT-018 and E-FORMAT-019 where PyTorch cannot export the module.
    """
    from fanlight.formats.torch.live import read_torch

    options = make_options(size, input_shapes, "stored")
    return Model(read_torch(module, example_inputs, name, options))


def from_jax(
    function: Any,
    *example_arguments: Any,
    params: Any = None,
    name: str | None = None,
    batch: bool | Sequence[str] | None = None,
) -> Model:
    """A function of JAX (Flax's model.apply, for one) as a model of Fanlight.

    It is traced with the JAX that is installed: for arguments of these shapes.

    Args:
        function: takes params (if there are any) and the arguments; gives arrays, or tuples, lists
            and dicts of them. What it samples must come of a key that it knows.
        example_arguments: arrays, numbers, jax.ShapeDtypeStruct, or trees of them.
        params: a tree of arrays, the first argument; they become weights, named by their places,
            such as "params/Dense_0/kernel".
        name: of the graph; the function's by default.
        batch: whose leading dim counts examples and stays free: True all arguments, or the names
            of some; the function has to do the same with each example. Default: those whose
            leading dim is a symbol of jax.export.symbolic_shape.

    Raises:
        FanlightError: E-FORMAT-002 there is no JAX, E-FORMAT-013 with every unsupported primitive
            and where it stands, E-FORMAT-017 no example arguments, E-FORMAT-018 the batch cannot
            be free: the function mixes examples, or takes one number of them only.
    """
    from fanlight.formats.jaxpr.reader import read_jax

    return Model(read_jax(function, example_arguments, params, name, batch))
