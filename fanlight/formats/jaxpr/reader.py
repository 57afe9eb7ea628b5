"""A function of JAX -> a graph, traced by the user's own JAX.

Sizes are those of the example arguments; a batch may be free. Images stay NHWC where the function
has them so. bfloat16 and float16 become float32.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.formats import pairs
from fanlight.formats.emitter import Emitter
from fanlight.formats.jaxpr import (  # noqa: F401  (fill the table)
    control,
    elementwise,
    indexing,
    neural,
    shaping,
)
from fanlight.formats.jaxpr.batch import batched_leaves, check_apart, check_sizes, resized
from fanlight.formats.jaxpr.call import HANDLERS, Exact, Held, graph_dtype
from fanlight.formats.jaxpr.complex import is_complex
from fanlight.formats.jaxpr.scope import Scope, unsupported
from fanlight.formats.names import output_names, tally
from fanlight.formats.pairs import Pair
from fanlight.formats.source import Port, Source
from fanlight.graph import Builder

_WHERE = "fl.from_jax"


def read_jax(
    function: Any, arguments: Sequence[Any], params: Any, name: str | None, batch: Any = None
) -> Source:
    """The source of a function, as it is for arguments of these shapes and dtypes; `batch` says
    whose leading dim is free (see batch.py).
    """
    jax = _jax()
    if not callable(function):
        raise FanlightError(
            "E-FORMAT-002",
            "this is no function.",
            where=_WHERE,
            expected="a function of JAX, such as model.apply of a Flax module",
            received=repr(type(function)),
        )
    if not arguments:
        raise FanlightError(
            "E-FORMAT-017",
            "a function does not say the shapes of its arguments.",
            where=_WHERE,
            expected="example arguments: arrays, or jax.ShapeDtypeStruct(shape, dtype)",
            received="none",
            next="fl.from_jax(model.apply, jnp.zeros((1, 224, 224, 3)), params=variables).",
        )
    called = name or _name_of(function)
    given = tuple(arguments) if params is None else (params, *arguments)
    leaves, structure = jax.tree_util.tree_flatten_with_path(given)
    specs = [_spec(jax, leaf, _path(path)) for path, leaf in leaves]
    first = [] if params is None else ["params"]
    names = first + _argument_names(function, len(arguments), params is not None)
    labels = ["/".join(filter(None, (names[p[0].idx], _path(p[1:])))) for p, _ in leaves]
    weights = [params is not None and path[0].idx == 0 for path, _ in leaves]
    free = batched_leaves(batch, labels, specs, weights)

    def shaped(size: int) -> Any:
        return jax.tree_util.tree_unflatten(structure, resized(jax, specs, free, size))

    def traced(size: int) -> tuple[Any, Any]:
        """The jaxpr for so many examples, and what the function gives."""
        made: tuple[Any, Any] = jax.make_jaxpr(function, return_shape=True)(*shaped(size))
        return made

    def read(closed: Any, results: Any) -> Source:
        em = Emitter(Builder(called))
        scope = Scope(em, [])
        ports: list[Port] = []
        inputs: list[Held] = []
        for i, ((path, leaf), variable) in enumerate(zip(leaves, closed.jaxpr.invars, strict=True)):
            if weights[i]:
                label = _path(path[1:]) or "weight"
                known = scope.known(leaf, variable.aval)
                if isinstance(known, np.ndarray) and not np.isfinite(known).all():
                    scope.warnings.append(f"The weight {label!r} holds NaN or infinity.")
                if is_complex(variable.aval) and isinstance(known, Exact):
                    inputs.append(pairs.known(em, np.asarray(known.array), label))
                else:
                    inputs.append(
                        em.named(known, label) if isinstance(known, np.ndarray) else known
                    )
            else:
                shape, dtype = variable.aval.shape, _input_dtype(variable.aval, labels[i])
                shape = (*shape, 2) if dtype == COMPLEX else shape
                part = "float32" if dtype == COMPLEX else dtype
                value = em.builder.input(labels[i], shape, part)
                inputs.append(pairs.split(em, value, labels[i]) if dtype == COMPLEX else value)
                if dtype == COMPLEX:
                    scope.warnings.append(pairs.told("input", labels[i]))
                ports.append(Port(value.name, labels[i], free[i]))
        if any(str(v.aval.dtype) in ("bfloat16", "float16") for v in closed.jaxpr.invars):
            scope.warnings.append("bfloat16 and float16 are computed in float32.")
        made = []
        for i, x in enumerate(scope.run(closed, inputs)):
            if isinstance(x, Exact) and x.array.dtype.kind == "c":
                x = pairs.known(em, np.asarray(x.array), f"result{i}")
            if isinstance(x, Pair):
                scope.warnings.append(pairs.told("output", f"number {i}"))
                x = pairs.joined(em, x, f"result{i}/pairs")
            made.append(scope.tensor(x, f"the results of {called!r}"))
        return _source(jax, em.builder, em, ports, made, results, scope.warnings)

    if any(free):
        check_sizes(jax, lambda size: jax.eval_shape(function, *shaped(size)))
    try:
        closed, results = traced(1)
    except TypeError as error:
        if "returned a value of type" not in str(error):  # one of the user's own code
            raise
        raise FanlightError(
            "E-FORMAT-005",
            "the function gives what is no array of JAX.",
            where=called,
            expected="arrays of JAX, or trees of them",
            received=str(error)[:160],
        ) from None
    _refuse_unsupported(closed, [not w for w in weights], f"the function {called!r}")
    source = read(closed, results)
    if not any(free):
        return source

    def run(arrays: dict[str, np.ndarray]) -> list[Any]:
        names = iter(port.name for port in source.inputs)
        given = [leaf if w else _as_jax(arrays[next(names)], s)
                 for (_, leaf), w, s in zip(leaves, weights, specs, strict=True)]  # fmt: skip
        arguments = jax.tree_util.tree_unflatten(structure, given)
        return list(jax.tree_util.tree_leaves(function(*arguments)))

    batches = {p.name: p.batched for p in source.inputs}
    told = check_apart(source.graph, batches, lambda size: read(*traced(size)).graph, run)
    warned = source.warnings if told is None else (*source.warnings, told)
    return replace(source, warnings=warned)


def _as_jax(array: np.ndarray, spec: Any) -> Any:
    """What an input of the model is for the function: pairs are complex numbers there."""
    return array[..., 0] + 1j * array[..., 1] if is_complex(spec) else array.astype(spec.dtype)


def _source(
    jax: Any, builder: Builder, em: Emitter, ports: list[Port], made: Any, results: Any,
    warnings: list[str],
) -> Source:  # fmt: skip
    if not made:
        raise FanlightError(
            "E-FORMAT-005",
            "the function gives no array.",
            where=_WHERE,
            expected="at least one array as result",
            received=repr(results)[:80],
        )
    paths = [_path(path) for path, _ in jax.tree_util.tree_flatten_with_path(results)[0]]
    wanted = [f"output_{p}" if p[:1].isdigit() else p or "output" for p in paths]
    names = output_names(wanted, [p.name for p in ports])
    batched = any(p.batched for p in ports)
    return Source(
        graph=builder.finish({n: em.value(x, n) for n, x in zip(names, made, strict=True)}),
        format="jax",
        inputs=tuple(ports),
        outputs=tuple(Port(n, p, batched) for n, p in zip(names, paths, strict=True)),
        warnings=tuple(dict.fromkeys(warnings)),
        metadata={"jax_version": str(jax.__version__)},
    )


def _jax() -> Any:
    try:
        return import_module("jax")
    except ImportError as error:
        raise FanlightError(
            "E-FORMAT-002",
            "a function of JAX is traced with JAX, which is not installed here.",
            where=_WHERE,
            expected="the jax in which the function is written",
            received=str(error)[:120],
            next="pip install jax.",
        ) from None


def _refuse_unsupported(closed: Any, varies: list[bool], where: str) -> None:
    unknown = unsupported(closed, varies)
    if unknown:
        many = len(unknown) > 1
        raise FanlightError(
            "E-FORMAT-013",
            f"the function uses {len(unknown)} primitive{'s' if many else ''} of JAX that "
            "Fanlight does not have.",
            where=where,
            expected=f"some of the {len(HANDLERS)} primitives that docs/formats.md lists",
            received=tally(unknown),
            next="give a function that ends before them, or writes them with others; random "
            "numbers must come of a key that is known (trace the model as it is for inference); "
            "or ask for them in an issue.",
        )


# --- arguments ------------------------------------------------------------------------------------


def _spec(jax: Any, leaf: Any, path: str) -> Any:
    """What an array, a number or a shape is traced as."""
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype") and leaf.dtype != "string":
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    if isinstance(leaf, bool | int | float):
        array = jax.numpy.asarray(leaf)
        return jax.ShapeDtypeStruct(array.shape, array.dtype)
    raise FanlightError(
        "E-FORMAT-005",
        "an argument is no array.",
        where=f"{_WHERE}: argument {path}",
        expected="arrays, numbers, shapes with dtypes, or tuples, lists and dicts of them",
        received=repr(leaf)[:80],
        next="bind other arguments first: functools.partial(function, train=False).",
    )


def _input_dtype(aval: Any, label: str) -> str:
    dtype = COMPLEX if is_complex(aval) else graph_dtype(aval)
    if dtype is None:
        raise FanlightError(
            "E-FORMAT-008",
            "an input has a dtype that browsers lack.",
            where=f"{_WHERE}: {label}",
            expected="floats, whole numbers of 32 bits, uint8 or bool",
            received=str(aval.dtype),
            next="bind a random key before: functools.partial(function, rng=key).",
        )
    return dtype


def _name_of(function: Any) -> str:
    inner = getattr(function, "func", function)
    owner = getattr(inner, "__self__", None)
    name = getattr(inner, "__name__", type(inner).__name__)
    return type(owner).__name__ if owner is not None else name.strip("<>")


def _argument_names(function: Any, count: int, with_params: bool) -> list[str]:
    """The names of the arguments after params; made up where the function has none."""
    try:
        found = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ][1 if with_params else 0 :]
    except (TypeError, ValueError):
        found = []
    return [found[i] if i < len(found) else _made_up(i, count) for i in range(count)]


def _made_up(index: int, count: int) -> str:
    return "x" if count == 1 else f"x{index}"


def _path(path: Sequence[Any]) -> str:
    """A place in a tree as text: "params/Dense_0/kernel"."""
    parts = []
    for entry in path:
        for field in ("key", "name", "idx"):
            if hasattr(entry, field):
                parts.append(str(getattr(entry, field)))
                break
    return "/".join(parts)
