"""Attention: what a query takes of values, by how well it meets their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from fanlight.layers import activations, constraints, initializers, regularizers, scope
from fanlight.layers.layer import Layer, argument_error, input_error, shapes_of, tensors_of
from fanlight.layers.symbolic import symbols
from fanlight.tensor import Tensor, cast, random, tensor
from fanlight.tensor import functions as fn

__all__ = ["AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"]

# What a score is where a mask hides it; exp of it is 0.
_HIDDEN = -1e30


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


# --- of whole vectors -----------------------------------------------------------------------------


class Attention(Layer):
    """softmax(scores) value, for [query, value] or [query, value, key].

    query [N, T, D], value [N, S, V], key [N, S, D] (default: value) -> [N, T, V].

    Args:
        use_scale: learn a factor of the scores.
        score_mode: dot: query . key; concat: a learnt factor times the sum of tanh(query + key).
        dropout: share of the weights that are 0 in training.

    Called with `mask=[query mask, value mask]`, bool [N, T] and [N, S]: values that are masked are
    not seen, queries that are give zeros; `use_causal_mask`: query i sees values 0 .. i;
    `return_attention_scores`: give (output, softmax(scores)).
    Source: Luong et al. 2015.
    """

    fields: tuple[str, ...] = ("use_scale", "score_mode", "dropout", "seed")

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if score_mode not in ("dot", "concat"):
            raise argument_error(self, "score_mode", "dot or concat", score_mode)
        self.use_scale, self.score_mode = bool(use_scale), score_mode
        self.dropout, self.seed = _rate(self, dropout), seed
        self.scale: Any = None
        self.concat_score_weight: Any = None

    def build(self, input_shape: Any) -> None:
        self._check(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((), "ones", "scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", "concat_score_weight")

    def _check(self, inputs: Any) -> None:
        if not isinstance(inputs, list) or len(inputs) not in (2, 3):
            given = f"{len(inputs)} of them" if isinstance(inputs, list) else inputs
            raise input_error(self, "a list [query, value] or [query, value, key]", given)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check(inputs)
        query, value = (cast(x, "float32") for x in inputs[:2])
        key = cast(inputs[2], "float32") if len(inputs) > 2 else value
        if min(query.rank, key.rank, value.rank) < 2:
            given = ", ".join(str(x.type) for x in (query, key, value))
            raise input_error(self, "[examples, places, size]", given)
        if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
            expected = (
                f"query [..., D], key [..., S, D] and value [..., S, V] for query {query.type}"
            )
            raise input_error(self, expected, f"value {value.type}, key {key.type}")
        if mask is not None and (not isinstance(mask, list | tuple) or len(mask) not in (2, 3)):
            raise input_error(self, "mask=[query mask, value mask]", f"mask {mask}")
        of_query, of_value = mask[:2] if mask is not None else (None, None)
        scores = self._scores(query, key)
        seen: Tensor | None = None
        if of_value is not None:
            seen = cast(of_value, "bool")
            seen = fn.expand_dims(seen, -2) if seen.rank == 2 else seen
        if use_causal_mask:
            seen = _both(seen, _causal(*scores.shape[-2:]))
        if seen is not None:
            scores = fn.where(seen, scores, scores - 1e9)
        weights = fn.softmax(scores)
        y = fn.matmul(_dropped(weights, self.dropout, training, self.seed), value)
        if of_query is not None:
            y = fn.where(fn.expand_dims(cast(of_query, "bool"), -1), y, 0.0)
        return (y, weights) if return_attention_scores else y

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        if self.score_mode == "dot":
            scores = fn.matmul(query, key, transpose_b=True)
            return scores if self.scale is None else scores * self.scale
        both = fn.expand_dims(query, -2) + fn.expand_dims(key, -3)
        both = both if self.scale is None else self.scale * both
        return self.concat_score_weight * fn.sum(fn.tanh(both), -1)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        if not isinstance(mask, list | tuple) or mask[0] is None:
            return None
        return [tensor(mask[0])]


class AdditiveAttention(Attention):
    """`Attention` whose scores are the sum of scale tanh(query + key) over the last dim.

    Args:
        use_scale: learn the factors, one for each place of the last dim; else they are 1.

    Source: Bahdanau et al. 2014.
    """

    fields = ("use_scale", "dropout", "seed")

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **options)

    def build(self, input_shape: Any) -> None:
        self._check(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", "scale")

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        both = fn.tanh(fn.expand_dims(query, -2) + fn.expand_dims(key, -3))
        return fn.sum(both if self.scale is None else self.scale * both, -1)


# --- of several heads -----------------------------------------------------------------------------


class Projection(Layer):
    """activation(x kernel + bias) over the last dims of x, with several new dims: [..., *out].

    Args:
        out: the new dims.
        bound: how many of the last dims of x they take the place of.
    """

    def __init__(
        self,
        out: Sequence[int],
        bound: int,
        use_bias: bool,
        activation: Any,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        activity_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        name: str,
        dtype: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype, activity_regularizer=activity_regularizer)
        self.out, self.bound, self.use_bias = tuple(out), bound, use_bias
        self.activation = activations.get(activation)
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(
            (*input_shape[-self.bound :], *self.out),
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                self.out,
                self.bias_initializer,
                "bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        front, size = x.shape[: x.rank - self.bound], prod(self.kernel.shape[: self.bound])
        if x.shape[x.rank - self.bound :] != self.kernel.shape[: self.bound]:
            wanted = ", ".join(map(str, self.kernel.shape[: self.bound]))
            raise input_error(self, f"[..., {wanted}]", x.type)
        kernel = fn.reshape(self.kernel, (size, prod(self.out)))
        y = fn.matmul(fn.reshape(x, (*front, size)), kernel)
        y = y + fn.reshape(self.bias, (prod(self.out),)) if self.use_bias else y
        made: Tensor = self.activation(fn.reshape(y, (*front, *self.out)))
        return made


class _Heads(Layer):
    """The base of the layers with heads: projections, masks, weights."""

    supports_masking = True
    query_heads: int
    shared_heads: int  # of key and value
    head_size: int
    value_size: int
    # (q, k, v, seen, even, training), [..., heads, size] -> what each head gives, and its weights.
    _attend: Callable[..., tuple[Tensor, Tensor]]

    def __init__(
        self,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        activity_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        use_gate: bool,
        seed: int | None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.dropout, self.use_bias = _rate(self, dropout), bool(use_bias)
        self.use_gate, self.seed = bool(use_gate), seed
        if sliding_window is not None:
            _whole(self, "sliding_window", sliding_window)
        self.sliding_window = sliding_window
        if flash_attention and dropout:
            raise argument_error(self, "flash_attention", "no dropout beside it", flash_attention)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        # Of the projections, as Keras has it: not of the output alone.
        self.projections_regularizer = regularizers.get(activity_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    # --- weights ----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **options: Any) -> Any:
        if not self.built:
            names = ("query", "value", "key")
            given = {**options, **dict(zip(names, args, strict=False))}
            if "query" not in given or "value" not in given:
                raise input_error(self, "layer(query, value)", f"{len(args)} inputs")
            shapes = [shapes_of(tensors_of(given[n])) for n in names if given.get(n) is not None]
            self._build(shapes)
        if args:
            return super().__call__(*args, **options)
        query = options.pop("query")
        made = super().__call__(query, **options)
        if symbols((query, options)):
            self.nodes[-1].named = ("query",)
        return made

    def build(self, input_shape: Any) -> None:
        if not isinstance(input_shape, list) or len(input_shape) not in (2, 3):
            raise input_error(self, "shapes of query, value and maybe key", f"{input_shape}")
        query, value = input_shape[:2]
        key = input_shape[2] if len(input_shape) > 2 else value
        self._check_ranks(query, value, key)
        heads, shared, size, value_size = (
            self.query_heads,
            self.shared_heads,
            self.head_size,
            self.value_size,
        )
        self.query_dense = self._projection("query", (heads, size), 1, query)
        self.key_dense = self._projection("key", (shared, size), 1, key)
        if self.use_gate:
            self.gate_dense = self._projection("gate", (heads, value_size), 1, query, "sigmoid")
        self.value_dense = self._projection("value", (shared, value_size), 1, value)
        out = self.out_sizes(query)
        self.output_dense = self._projection(
            "attention_output", out, 2, (None, None, heads, value_size)
        )

    # Whether places are along one dim only.
    three = False

    def _check_ranks(self, query: Any, value: Any, key: Any) -> None:
        for shape in (query, value, key):
            if not isinstance(shape, tuple) or len(shape) < 3 or shape[-1] is None:
                raise input_error(self, "[examples, places, size]", f"shape {shape}")
        if value[1:-1] != key[1:-1]:
            raise input_error(
                self, f"as many keys as values: {list(value[1:-1])}", f"key {list(key)}"
            )

    def out_sizes(self, query: Any) -> tuple[int, ...]:
        """The last dims of the output."""
        return (query[-1],)

    def _projection(
        self, name: str, out: Sequence[int], bound: int, shape: Any, activation: Any = None
    ) -> Projection:
        made = Projection(
            out,
            bound,
            self.use_bias,
            activation,
            self.kernel_initializer,
            self.bias_initializer,
            self.kernel_regularizer,
            self.bias_regularizer,
            self.projections_regularizer,
            self.kernel_constraint,
            self.bias_constraint,
            name,
            self.dtype_policy,
        )
        made._build(shape)
        return made

    def get_build_config(self) -> dict[str, Any] | None:
        if self.built_with is None:
            return None
        names = ("query_shape", "value_shape", "key_shape")
        return {"shapes_dict": dict(zip(names, self.built_with, strict=False))}

    def get_config(self) -> dict[str, Any]:
        from fanlight.layers.config import plain

        return super().get_config() | {"activity_regularizer": plain(self.projections_regularizer)}

    # --- masks ------------------------------------------------------------------------------------

    def _seen(
        self, query: Tensor, value: Tensor, masks: Sequence[Any], given: Any, causal: bool
    ) -> Tensor | None:
        """bool, broadcasts to [examples, T, S]: which query may see which value."""
        of_query, of_value, of_key = (None if m is None else cast(m, "bool") for m in masks)
        seen: Tensor | None = None
        if given is not None:
            given = tensor(given)
            seen = given if given.dtype == "bool" else fn.not_equal(given, 0)
        if of_query is not None:
            seen = _both(seen, fn.expand_dims(of_query, -1))
        for m in (of_value, of_key):
            if m is not None:
                seen = _both(seen, fn.expand_dims(m, -2))
        rows, columns = query.shape[1], value.shape[1]
        if causal:
            seen = _both(seen, _causal(rows, columns))
        if self.sliding_window is not None:
            apart = np.abs(np.arange(rows)[:, None] - np.arange(columns))
            seen = _both(seen, tensor(apart[None] < self.sliding_window))
        return seen

    def call(  # type: ignore[override]  # it takes several inputs
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        query, value = cast(query, "float32"), cast(value, "float32")
        key = value if key is None else cast(key, "float32")
        ranks, most = (query.rank, value.rank, key.rank), 3 if self.three else 6
        if min(ranks) < 3 or max(ranks) > most:
            raise input_error(self, "[examples, places, size]", f"{query.type}, {value.type}")
        given = (
            (query, query_mask),
            (value, value_mask),
            (None if key is value else key, key_mask),
        )
        masks = [m if m is not None else scope.mask_of(x) for x, m in given]
        seen = self._seen(query, value, masks, attention_mask, use_causal_mask)
        gate = self.gate_dense(query) if self.use_gate else None
        q, k, v = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        # Where a query sees nothing, Keras's weights are all the same, or all 0.
        even = not self.dropout and not return_attention_scores and q.rank == 4
        y, weights = self._attend(q, k, v, seen, even, training)
        y = self.output_dense(y if gate is None else y * gate)
        return (y, weights) if return_attention_scores else y

    def _shares(self, scores: Tensor, seen: Tensor | None, even: bool) -> Tensor:
        if seen is None:
            return fn.softmax(scores)
        weights = fn.softmax(fn.where(seen, scores, _HIDDEN))
        return weights if even else fn.where(seen, weights, 0.0)

    def compute_output_shape(self, input_shape: Any, *others: Any) -> Any:
        query = input_shape[0] if isinstance(input_shape, list) else input_shape
        return (*query[:-1], *self.out_sizes(query))

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return None if mask is None else [mask]


class MultiHeadAttention(_Heads):
    """softmax(q k^T / sqrt(key_dim)) v in each of several heads; their outputs, projected.

    query [N, T, E], value [N, S, F], key [N, S, G] (default: value) -> [N, T, E]. q, k and v are
    projections of them: [..., num_heads, size].

    Args:
        key_dim: size of q and k in each head.
        value_dim: size of v in each head; default key_dim.
        dropout: share of the weights that are 0 in training.
        output_shape: last dim or dims of the output, instead of E.
        attention_axes: the dims of places; default: all between the first and the last one.
        sliding_window: see only places less than so many away.
        use_gate: multiply the outputs of heads by sigmoid(a projection of the query).
        flash_attention: of Keras; changes nothing.

    Called with `attention_mask` (bool, broadcasts to [N, T, S]), with query_mask, value_mask and
    key_mask (bool, [N, T] and [N, S]; default: those that layers before have given),
    `use_causal_mask` (query i sees values 0 .. i), and `return_attention_scores`: give
    (output, weights [N, num_heads, T, S]).
    Source: Vaswani et al. 2017.
    """

    fields = (
        "num_heads",
        "key_dim",
        "value_dim",
        "dropout",
        "use_bias",
        "output_shape",
        "attention_axes",
        "sliding_window",
        "use_gate",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
        "seed",
    )

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            dropout,
            use_bias,
            sliding_window,
            flash_attention,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            use_gate,
            seed,
            **options,
        )
        self.num_heads = self.query_heads = self.shared_heads = _whole(self, "num_heads", num_heads)
        self.key_dim = self.head_size = _whole(self, "key_dim", key_dim)
        value_dim = key_dim if value_dim is None else _whole(self, "value_dim", value_dim)
        self.value_dim = self.value_size = value_dim
        self.output_shape = _several(self, "output_shape", output_shape)
        self.attention_axes = _several(self, "attention_axes", attention_axes)

    def out_sizes(self, query: Any) -> tuple[int, ...]:
        return self.output_shape or (query[-1],)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        rank = len(input_shape[0])
        axes = self.attention_axes
        found = range(1, rank - 1) if axes is None else [a % rank for a in axes]
        if any(not 0 < a < rank - 1 for a in found) or len(set(found)) != len(found):
            raise argument_error(self, "attention_axes", f"dims from 1 to {rank - 2}", axes)
        self.attention_axes = tuple(found)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, even: bool, training: bool
    ) -> tuple[Tensor, Tensor]:
        assert self.attention_axes is not None
        axes, rank = self.attention_axes, q.rank
        front = [d for d in range(rank - 1) if d not in axes]  # examples, other dims, heads
        perm = (*front, *axes, rank - 1)
        places_q, places_k = ([x.shape[a] for a in axes] for x in (q, k))
        outer = [q.shape[d] for d in front]
        q, k, v = (
            fn.reshape(fn.transpose(x, perm), (*outer, prod(places), x.shape[-1]))
            for x, places in (
                (q * (1 / sqrt(self.key_dim)), places_q),
                (k, places_k),
                (v, places_k),
            )
        )
        scores = fn.matmul(q, k, transpose_b=True)
        whole = (*outer, *places_q, *places_k)
        if seen is not None:
            seen = _with_heads(seen, len(whole), 2 * len(axes) + 1)
            if len(axes) > 1:
                seen = fn.reshape(fn.broadcast_to(seen, whole), scores.shape)
        weights = self._shares(scores, seen, even)
        y = fn.matmul(_dropped(weights, self.dropout, training, self.seed), v)
        y = fn.reshape(y, (*outer, *places_q, y.shape[-1]))
        y = fn.transpose(y, tuple(perm.index(d) for d in range(rank)))
        return y, fn.reshape(weights, whole)


class GroupQueryAttention(_Heads):
    """`MultiHeadAttention` whose query heads share those of key and value, in groups.

    Args:
        head_dim: size of each head.
        num_query_heads: a multiple of num_key_value_heads; neighbours share one of those.

    Other arguments and the call: see `MultiHeadAttention`. Source: Ainslie et al. 2023.
    """

    fields = (
        "head_dim",
        "num_query_heads",
        "num_key_value_heads",
        "use_bias",
        "use_gate",
        "sliding_window",
        "dropout",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
        "seed",
    )

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            dropout,
            use_bias,
            sliding_window,
            flash_attention,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            use_gate,
            seed,
            **options,
        )
        self.head_dim = self.head_size = self.value_size = _whole(self, "head_dim", head_dim)
        shared = _whole(self, "num_key_value_heads", num_key_value_heads)
        heads = _whole(self, "num_query_heads", num_query_heads)
        if heads % shared:
            raise argument_error(self, "num_query_heads", f"a multiple of {shared}", heads)
        self.num_query_heads = self.query_heads = heads
        self.num_key_value_heads = self.shared_heads = shared

    three = True

    def _check_ranks(self, query: Any, value: Any, key: Any) -> None:
        super()._check_ranks(query, value, key)
        if len(query) != 3 or len(value) != 3:
            raise input_error(self, "[examples, places, size]", f"shapes {query}, {value}")

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, even: bool, training: bool
    ) -> tuple[Tensor, Tensor]:
        count, rows, heads, size = q.shape
        shared, columns = self.num_key_value_heads, k.shape[1]
        groups = heads // shared
        # [N, shared, groups, T, size] with [N, shared, 1, S, size]: keys are not repeated.
        q = fn.reshape(q * (1 / sqrt(size)), (count, rows, shared, groups, size))
        q = fn.transpose(q, (0, 2, 3, 1, 4))
        k, v = (fn.expand_dims(fn.transpose(x, (0, 2, 1, 3)), 2) for x in (k, v))
        scores = fn.matmul(q, k, transpose_b=True)
        scores = fn.reshape(scores, (count, heads, rows, columns))
        seen = None if seen is None else _with_heads(seen, 4, 3)
        weights = self._shares(scores, seen, even)
        kept = _dropped(weights, self.dropout, training, self.seed)
        kept = fn.reshape(kept, (count, shared, groups, rows, columns))
        y = fn.transpose(fn.matmul(kept, v), (0, 3, 1, 2, 4))
        return fn.reshape(y, (count, rows, heads, size)), weights


# --- parts ----------------------------------------------------------------------------------------


def _both(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else fn.logical_and(a, b)


def _causal(rows: int, columns: int) -> Tensor:
    """bool [1, rows, columns]: columns up to the row."""
    return tensor(np.tril(np.ones((1, rows, columns), bool)))


def _with_heads(seen: Tensor, rank: int, before: int) -> Tensor:
    """A mask with new dims of size 1 before its last ones, up to a rank."""
    at = seen.rank - (before - 1)
    ones = [1] * (rank - seen.rank)
    return fn.reshape(seen, (*seen.shape[:at], *ones, *seen.shape[at:]))


def _dropped(weights: Tensor, rate: float, training: bool, seed: int | None) -> Tensor:
    if not training or not rate:
        return weights
    return random.dropout(weights, rate, key=scope.next_key(seed))


def _rate(layer: Layer, rate: Any) -> float:
    if not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise argument_error(layer, "dropout", "a number from 0 to below 1", rate)
    return float(rate)


def _whole(layer: Layer, argument: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise argument_error(layer, argument, "a whole number from 1 on", value)
    return value


def _several(layer: Layer, argument: str, value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    found = (value,) if isinstance(value, int) else value
    if not isinstance(found, list | tuple) or any(not isinstance(n, int) for n in found):
        raise argument_error(layer, argument, "a whole number, or several", value)
    return tuple(found)
