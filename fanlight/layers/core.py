"""Dense layers and what reshapes, embeds or passes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.keras.config import is_bytecode
from fanlight.layers import (
    activations,
    config,
    constraints,
    initializers,
    ranges,
    regularizers,
    scope,
)
from fanlight.layers.arguments import data_format as format_of
from fanlight.layers.arguments import whole
from fanlight.layers.layer import Layer, argument_error, channels_of, input_error
from fanlight.tensor import Tensor, cast, einsum, indices
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller


class Dense(Layer):
    """activation(x kernel + bias), along the last dim.

    Args:
        units: size of the last dim of the result.
    """

    fields = (
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )
    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        if not isinstance(units, int) or isinstance(units, bool) or units < 1:
            raise argument_error(self, "units", "a whole number from 1 on", units)
        self.units, self.use_bias = units, use_bias
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        size = channels_of(self, input_shape)
        self.kernel = self.add_weight(
            (size, self.units),
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                "bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        if x.rank < 2 or x.shape[-1] != self.kernel.shape[0]:
            raise input_error(self, f"[examples, ..., {self.kernel.shape[0]}]", x.type)
        y = fn.matmul(x, self.kernel)
        return self.activation(y + self.bias if self.use_bias else y)


class Activation(Layer):
    """An activation, by its name or as a function."""

    fields = ("activation",)
    supports_masking = True

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Tensor:
        result: Tensor = self.activation(inputs)
        return result


class Flatten(Layer):
    """All dims but the first one as one."""

    fields = ("data_format",)

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.data_format = format_of(self, data_format)

    def call(self, inputs: Any) -> Tensor:
        x = inputs
        if self.data_format == "channels_first" and x.rank > 2:
            x = fn.transpose(x, (0, *range(2, x.rank), 1))
        return fn.reshape(x, (x.shape[0], prod(x.shape[1:])))


class Identity(Layer):
    """What it gets."""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs


# --- shapes ---------------------------------------------------------------------------------------


class Reshape(Layer):
    """Each example with another shape.

    Args:
        target_shape: without the batch; one size may be -1: what is left.
    """

    fields = ("target_shape",)

    def __init__(self, target_shape: int | Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        given = (target_shape,) if isinstance(target_shape, int) else target_shape
        sizes = tuple(given) if isinstance(given, list | tuple) else (None,)
        wrong = any(not isinstance(n, int) or isinstance(n, bool) or n < -1 for n in sizes)
        if wrong or sizes.count(-1) > 1:
            expected = "sizes without that of the batch, one of which may be -1"
            raise argument_error(self, "target_shape", expected, target_shape)
        self.target_shape: tuple[Any, ...] = sizes

    def call(self, inputs: Any) -> Tensor:
        x = inputs
        count = prod(x.shape[1:])
        known = prod(n for n in self.target_shape if n != -1)
        left = count // known if known else 0
        sizes = tuple(left if n == -1 else n for n in self.target_shape)
        if prod(sizes) != count:
            expected = f"examples of as many numbers as {list(self.target_shape)}"
            raise input_error(self, expected, f"{count} numbers: {x.type}")
        return fn.reshape(x, (x.shape[0], *sizes))


class Permute(Layer):
    """Dims in another order.

    Args:
        dims: which dim becomes the first, the second, ... behind the batch; they count from 1.
    """

    fields = ("dims",)

    def __init__(self, dims: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        order = tuple(dims) if isinstance(dims, list | tuple) else ()
        right = all(isinstance(d, int) and not isinstance(d, bool) for d in order)
        if not right or sorted(order) != list(range(1, len(order) + 1)):
            raise argument_error(self, "dims", "the numbers from 1 on, in some order", dims)
        self.dims = order

    def call(self, inputs: Any) -> Tensor:
        if inputs.rank != len(self.dims) + 1:
            raise input_error(self, f"{len(self.dims) + 1} dims", inputs.type)
        return fn.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """[N, C] -> [N, n, C]: each example n times."""

    fields = ("n",)

    def __init__(self, n: int, **options: Any) -> None:
        super().__init__(**options)
        self.n = whole(self, "n", n)

    def call(self, inputs: Any) -> Tensor:
        if inputs.rank != 2:
            raise input_error(self, "[N, C]", inputs.type)
        batch, size = inputs.shape
        return fn.broadcast_to(fn.reshape(inputs, (batch, 1, size)), (batch, self.n, size))


# --- words and gaps -------------------------------------------------------------------------------


class Embedding(Layer):
    """Whole numbers [N, ...] as rows of a table: [N, ..., output_dim].

    Args:
        input_dim: how many rows there are: numbers go from 0 to below it. Others are refused with
            E-LAYER-001 where they are inputs of a step or known at once; built, they are clamped.
        mask_zero: whether 0 says that there is nothing: later layers leave such places out.
        weights: the table itself, [input_dim, output_dim], or a list of it.
    """

    fields: tuple[str, ...] = (
        "input_dim",
        "output_dim",
        "embeddings_initializer",
        "embeddings_regularizer",
        "embeddings_constraint",
        "mask_zero",
    )

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        input_length: int | None = None,
        **options: Any,
    ) -> None:
        if input_length is not None:  # as Keras 2 says how many numbers an example has
            options.setdefault("input_shape", (input_length,))
        super().__init__(**options)
        self.input_dim = whole(self, "input_dim", input_dim)
        self.output_dim = whole(self, "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = bool(mask_zero)
        self.supports_masking = self.mask_zero
        self._table = weights

    def build(self, input_shape: Any) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            "embeddings",
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        if self._table is not None:
            whole_list = isinstance(self._table, list | tuple) and len(self._table) == 1
            self.set_weights(self._table if whole_list else [self._table])
            self._table = None

    def call(self, inputs: Any) -> Tensor:
        ranges.looked_up(self, inputs, self.input_dim)
        x = inputs if inputs.dtype == "int32" else cast(inputs, "int32")
        return indices.gather(self.embeddings, x)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return fn.not_equal(inputs, 0) if self.mask_zero else None


class ReversibleEmbedding(Embedding):
    """`Embedding` that goes both ways: with reverse=True, [N, ..., output_dim] as scores of the
    rows, [N, ..., input_dim].

    Args:
        tie_weights: whether scores are by the table itself, and not by a matrix of their own.
        reverse_dtype: kept for Keras; scores are float32.
        logit_soft_cap: scores x become c tanh(x / c) of this number c.

    Source: Press & Wolf 2016.
    """

    fields = (*Embedding.fields, "tie_weights", "reverse_dtype", "logit_soft_cap")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **options,
        )
        self.tie_weights, self.reverse_dtype = bool(tie_weights), reverse_dtype
        self.logit_soft_cap = logit_soft_cap
        if logit_soft_cap is not None and not logit_soft_cap > 0:
            raise argument_error(self, "logit_soft_cap", "a number above 0", logit_soft_cap)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                (self.output_dim, self.input_dim), self.embeddings_initializer, "reverse_embeddings"
            )

    def call(self, inputs: Any, reverse: bool = False) -> Tensor:
        if not reverse:
            result = super().call(inputs)
            scope.set_mask(result, super().compute_mask(inputs, None))
            return result
        x = cast(inputs, "float32")
        if self.tie_weights:
            scores = fn.matmul(x, self.embeddings, transpose_b=True)
        else:
            scores = fn.matmul(x, self.reverse_embeddings)
        cap = self.logit_soft_cap
        return scores if cap is None else fn.tanh(scores / float(cap)) * float(cap)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return None  # said in call: scores have none


class Masking(Layer):
    """Leaves out the places of [N, T, C] at which all numbers are mask_value; they become 0.

    Later layers leave such places out.
    """

    fields = ("mask_value",)
    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(mask_value, int | float) or isinstance(mask_value, bool):
            raise argument_error(self, "mask_value", "a number", mask_value)
        self.mask_value = mask_value

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return fn.any(fn.not_equal(inputs, float(self.mask_value)), -1)

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        counts = fn.any(fn.not_equal(x, float(self.mask_value)), -1, keepdims=True)
        return x * cast(counts, "float32")


# --- functions ------------------------------------------------------------------------------------


class Lambda(Layer):
    """A function of tensors as a layer.

    A file names the function, so it has to be registered: `@fl.register()` above it. Others work
    as long as the model stays in this program.

    Args:
        function: called with the input, `arguments`, and `mask` and `training` if it takes those.
        output_shape: of one example, for readers: what the function gives is found by calling it.
        mask: the mask of the result, or a function (inputs, mask) that gives it.
        arguments: further arguments by name, as plain data.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not callable(function):
            raise argument_error(self, "function", "a function of tensors", function)
        if isinstance(mask, list | tuple):
            raise argument_error(self, "mask", "a mask, or a function that gives one", mask)
        self.function, self.output_shape, self.mask = function, output_shape, mask
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        code = getattr(function, "__code__", None)
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()
        self._takes_training, self._takes_mask = "training" in names, "mask" in names

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        options = dict(self.arguments)
        if self._takes_mask:
            options["mask"] = mask
        if self._takes_training:
            options["training"] = training
        return self.function(inputs, **options)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        made = super().get_config() | {"function": self._named("function", self.function)}
        for key, value in (("output_shape", self.output_shape), ("mask", self.mask)):
            if value is not None:
                named = self._named(key, value) if callable(value) else config.plain(value)
                made[key] = named
        return made | {"arguments": config.plain(self.arguments)}

    def _named(self, argument: str, function: Any) -> dict[str, Any]:
        """A function as Keras's files name it; E-LAYER-004 for one that is not registered."""
        name = config.registered_name(function)
        if name is None:
            raise self._unregistered(argument, function)
        return {
            "module": "builtins",
            "class_name": "function",
            "config": name,
            "registered_name": "function",
        }

    def _unregistered(self, argument: str, function: Any) -> FanlightError:
        name = getattr(function, "__name__", "")
        todo = f"write @fl.register() in the line above def {name}, here and where it is loaded."
        if not name.isidentifier():  # a lambda, or an object
            todo = "give it a name: @fl.register(), and below it def double(x): return x * 2."
        return FanlightError(
            "E-LAYER-004",
            f"a file names the {argument} of Lambda {self.name}, and this one has no name there.",
            where=f"{argument} of {self.name}, {caller()}",
            expected="a function that is registered: @fl.register() above it",
            received=repr(function)[:200],
            next=todo,
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        made = dict(config)
        if is_bytecode(made.get("output_shape")):
            del made["output_shape"]  # what the function gives is found by calling it
        for argument in ("function", "output_shape", "mask"):
            given = made.get(argument)
            if isinstance(given, Mapping | str) or (argument == "function" and is_bytecode(given)):
                made[argument] = _function(argument, given, str(made.get("name")))
        return cls(**made)


def replacement(name: str) -> Any:
    """The function that is registered under the name of a Lambda, for one whose own is bytecode."""
    found = config.registered(name)
    return found if callable(found) and not isinstance(found, type) else None


def replaced_by(names: Sequence[str]) -> str:
    """What to do about Lambdas of these names whose functions are bytecode."""
    first = names[0][:60] if names else "lambda"
    return (
        f"say what {first!r} computes: write the function, and register it under the layer's name, "
        f'@fl.register(name="{first}") above `def f(x): return ...`, then load or convert the file '
        f'(fl.load_model(path, custom_objects={{"{first}": f}}) loads it, too, but it cannot be '
        "saved as layers then). Or put a layer in its place before you save in Keras: Rescaling, "
        "Activation, Reshape, or one of your own."
    )


def _function(argument: str, description: Any, layer: str) -> Any:
    """The registered function of a description; E-LAYER-003. Code in files is never run."""
    if is_bytecode(description):
        found = replacement(layer if argument == "function" else f"{layer}/{argument}")
        if found is not None:
            return found
        raise FanlightError(
            "E-LAYER-003",
            f"the {argument} of Lambda {layer[:80]!r} is Python bytecode in the file, which is "
            "never run.",
            where=f"{argument} of Lambda {layer[:80]}, {caller()}",
            expected="a function that is registered under the layer's name",
            received="compiled Python of the program that saved the model",
            next=replaced_by([layer]),
        )
    name = description
    if isinstance(description, Mapping):
        name = description.get("config")
    found = config.registered(name) if isinstance(name, str) else None
    if found is None:
        return config.lookup(f"{argument} of a Lambda", str(name)[:80], {})
    return found


class EinsumDense(Layer):
    """activation(einsum(equation, x, kernel) + bias).

    Args:
        equation: "abc,cd->abd": letters of the dims of x, the kernel and the result; "..." stands
            for dims of x that are those of the result, too.
        output_shape: sizes of the result without the batch and without those of "...".
        bias_axes: the letters of the result that the bias has dims for; None: no bias.
    """

    fields = (
        "output_shape",
        "equation",
        "activation",
        "bias_axes",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.equation = equation
        self._x, self._w, self._y = self._read(equation)
        sizes = (output_shape,) if isinstance(output_shape, int) else output_shape
        if not isinstance(sizes, list | tuple):
            expected = f"a size, or several, for the dims of {self._y}"
            raise argument_error(self, "output_shape", expected, output_shape)
        self.output_shape: tuple[Any, ...] = tuple(sizes)
        letters = self._y.replace("...", "")
        if bias_axes is not None and not set(bias_axes) <= set(letters):
            raise argument_error(self, "bias_axes", f"letters among {letters}", bias_axes)
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def _read(self, equation: Any) -> tuple[str, str, str]:
        """The letters of input, kernel and result; E-LAYER-004."""
        text = equation.replace(" ", "") if isinstance(equation, str) else ""
        left, arrow, y = text.partition("->")
        x, comma, w = left.partition(",")
        bare = [part.replace("...", "") for part in (x, w, y)]
        right = arrow and comma and "..." not in w and ("..." in x) == ("..." in y)
        if not right or not all(p.isalpha() or not p for p in bare) or not w:
            expected = '"abc,cd->abd": one input, a kernel, and a result'
            raise argument_error(self, "equation", expected, equation)
        return x, w, y

    def build(self, input_shape: Any) -> None:
        letters, result = self._x.replace("...", ""), self._y.replace("...", "")
        more = len(input_shape) - len(letters)
        if more < 0 or (more and "..." not in self._x):
            raise input_error(self, f"the dims of {self._x}", f"shape {input_shape}")
        # Where "..." comes first it holds the batch; else the batch is the first letter.
        first = self._x.startswith("...") and more > 0
        own = input_shape[more:] if self._x.startswith("...") else input_shape[: len(letters)]
        given = self.output_shape if first else (input_shape[0], *self.output_shape)
        if len(given) != len(result):
            expected = f"an output_shape of the dims of {self._y}"
            raise argument_error(self, "output_shape", expected, self.output_shape)
        sizes = dict(zip(letters, own, strict=True))
        out = dict(zip(result, given, strict=True))
        for letter, n in out.items():
            known = sizes.get(letter)
            if None not in (n, known) and n != known:
                raise input_error(
                    self, f"{n} as the size of {letter}", f"{known} in shape {input_shape}"
                )
        whole_of = {k: v for k, v in out.items() if v is not None}
        whole_of |= {k: v for k, v in sizes.items() if v is not None}
        free = [a for a in self._w if a not in whole_of]
        if free:
            raise input_error(self, f"sizes for {', '.join(free)}", f"shape {input_shape}")
        self.kernel = self.add_weight(
            [whole_of[a] for a in self._w],
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.bias_axes is not None:
            begin = min((result.index(a) for a in self.bias_axes), default=len(result))
            behind = 0 if self._y.startswith("...") else more
            wide = [whole_of[a] if a in self.bias_axes else 1 for a in result[begin:]]
            self.bias = self.add_weight(
                [*wide, *[1] * behind],
                self.bias_initializer,
                "bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Any) -> Tensor:
        equation = f"{self._x},{self._w}->{self._y}"
        y = einsum.einsum(equation, cast(inputs, "float32"), self.kernel)
        if self.bias_axes is not None:
            y = y + self.bias
        result: Tensor = self.activation(y)
        return result


__all__ = [
    "Activation",
    "Dense",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "Identity",
    "Lambda",
    "Masking",
    "Permute",
    "RepeatVector",
    "Reshape",
    "ReversibleEmbedding",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
