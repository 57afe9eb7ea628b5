"""Layers that look texts and whole numbers up in a vocabulary, or hash them into buckets.

Texts are Python's: such layers run on the host, before what is traced. Whole numbers in a
vocabulary are found by tensor functions, and so can be traced and built.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.layers.arguments import whole
from fanlight.layers.hashes import bucket, crossed
from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.layers.preprocessing import MODES, batches, check_mode, encoded
from fanlight.layers.symbolic import Node, Symbolic, symbols
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.indices import gather
from fanlight.tensor.sorting import lower_bound

__all__ = ["HashedCrossing", "Hashing", "IntegerLookup", "StringLookup"]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


# Each has its place in the vocabulary.
_MOST_OTHERS = 1_000_000


class HostLayer(Layer):
    """A layer that needs the values of its input, so that it cannot be traced.

    Its shapes are known by rule: `compute_output_shape` and `output_dtype`.
    """

    output_dtype = "int32"
    host = True

    def symbolic_outputs(self, args: tuple[Any, ...], options: dict[str, Any]) -> list[Symbolic]:
        given = symbols((args, options))
        if len(given) != 1:
            raise input_error(self, "one input", f"{len(given)} of them")
        self._form = None
        shape = self.compute_output_shape(given[0].shape)
        return [Symbolic(shape, self.output_dtype, Node(self, args, options), 0)]


def texts_of(layer: Layer, inputs: Any) -> np.ndarray:
    """The strings of an input: an array of objects."""
    x = tensor(inputs)
    if x.dtype != "string":
        raise input_error(layer, "strings", x.type)
    return np.asarray(x.numpy(), object)


def mode_shape(shape: Sequence[int | None], mode: str, depth: int) -> tuple[int | None, ...]:
    """The shape that an output mode gives; see `encoded`."""
    sizes = tuple(shape)
    if mode == "int":
        return sizes
    if mode == "one_hot":
        return (*(sizes[:-1] if len(sizes) > 1 and sizes[-1] == 1 else sizes), depth)
    return (*sizes[:-1], depth)


def salt_of(layer: Layer, salt: Any) -> list[int] | None:
    """The two words of a salt."""
    pair = [salt, salt] if isinstance(salt, int) else salt
    if pair is None:
        return None
    good = isinstance(pair, list | tuple) and len(pair) == 2
    if not good or not all(isinstance(n, int) for n in pair):
        raise argument_error(layer, "salt", "a whole number, or two", salt)
    return list(pair)


class Hashing(HostLayer):
    """Texts or whole numbers as the numbers of buckets that their hashes name.

    The buckets are TensorFlow's: Fingerprint64 of the text (of a number's digits) modulo num_bins;
    with a salt SipHash-2-4.

    Args:
        num_bins: how many buckets there are.
        mask_value: gets bucket 0 for itself.
        output_mode: "int", or float32 "one_hot", "multi_hot" or "count".
    """

    fields = ("num_bins", "salt", "mask_value", "output_mode", "sparse")

    def __init__(
        self,
        num_bins: int,
        mask_value: str | int | None = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **options: Any,
    ) -> None:
        default = "int32" if output_mode == "int" else "float32"
        if options.get("dtype") is None:
            options["dtype"] = default
        super().__init__(**options)
        self.output_mode = check_mode(self, output_mode, MODES, sparse)
        whole(self, "num_bins", num_bins)
        if num_bins >= 2**31:
            raise argument_error(self, "num_bins", "a whole number of int32", num_bins)
        if output_mode == "int" and self.dtype_policy.computed != "int32":
            raise argument_error(self, "dtype", "int32 for output_mode=int", self.dtype)
        self.num_bins, self.mask_value, self.sparse = num_bins, mask_value, False
        self.salt = salt_of(self, salt)
        self.output_dtype = default

    def compute_output_shape(self, input_shape: Any) -> Any:
        return mode_shape(input_shape, self.output_mode, self.num_bins)

    def call(self, inputs: Any) -> Tensor:
        values = tensor(inputs).numpy()
        if values.dtype.kind == "f":
            values = values.astype(np.int64)
        masked = self.mask_value is not None and self.num_bins > 1
        found = np.empty(values.size, np.int32)
        for i, value in enumerate(values.reshape(-1).tolist()):
            if masked and value == self.mask_value:
                found[i] = 0
            else:
                found[i] = bucket(str(value), self.num_bins - masked, self.salt) + masked
        return encoded(tensor(found.reshape(values.shape)), self.output_mode, self.num_bins)


class HashedCrossing(HostLayer):
    """Several features together as a bucket: of ("red", 3) one, of ("red", 4) another.

    The buckets are TensorFlow's: see `crossed`. It takes a list of inputs, texts or whole numbers,
    each [N], [N, 1] or a single one.

    Args:
        num_bins: how many buckets there are.
        output_mode: "int", or float32 "one_hot".
    """

    fields = ("num_bins", "output_mode", "sparse")

    def __init__(
        self, num_bins: int, output_mode: str = "int", sparse: bool = False, **options: Any
    ) -> None:
        default = "int32" if output_mode == "int" else "float32"
        given = options.get("dtype")
        if given is None or (isinstance(given, str) and given == "int64"):  # Keras's own
            options["dtype"] = default
        super().__init__(**options)
        self.output_mode = check_mode(self, output_mode, ("int", "one_hot"), sparse)
        whole(self, "num_bins", num_bins)
        if num_bins >= 2**31:
            raise argument_error(self, "num_bins", "a whole number of int32", num_bins)
        self.num_bins, self.sparse, self.output_dtype = num_bins, False, default

    def symbolic_outputs(self, args: tuple[Any, ...], options: dict[str, Any]) -> list[Symbolic]:
        given = symbols((args, options))
        self._form = None
        shape = self.compute_output_shape([s.shape for s in given])
        return [Symbolic(shape, self.output_dtype, Node(self, args, options), 0)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._check([tuple(s) for s in input_shape])
        return mode_shape(tuple(input_shape[0]), self.output_mode, self.num_bins)

    def _check(self, shapes: Sequence[tuple[int | None, ...]]) -> None:
        wrong = len(shapes) < 2 or any(s != shapes[0] for s in shapes)
        if wrong or len(shapes[0]) > 2 or (len(shapes[0]) == 2 and shapes[0][1] != 1):
            expected = "two inputs or more, of one shape: [N], [N, 1] or a single one"
            raise input_error(self, expected, ", ".join(map(str, shapes)))

    def call(self, inputs: Any) -> Tensor:
        if not isinstance(inputs, list | tuple):
            raise input_error(self, "a list of inputs", type(inputs).__name__)
        columns = [tensor(x).numpy() for x in inputs]
        self._check([c.shape for c in columns])
        if any(c.dtype.kind == "f" for c in columns):
            raise input_error(self, "texts or whole numbers", "numbers with fractions")
        rows = zip(*(c.reshape(-1).tolist() for c in columns), strict=True)
        found = np.array([crossed(row, self.num_bins) for row in rows], np.int32)
        return encoded(tensor(found.reshape(columns[0].shape)), self.output_mode, self.num_bins)


class IndexLookup(HostLayer):
    """The base of lookups: a vocabulary, behind places for a mask and for what is not in it."""

    fields: tuple[str, ...] = (
        *("max_tokens", "num_oov_indices", "mask_token", "oov_token", "vocabulary", "idf_weights"),
        *("invert", "output_mode", "pad_to_max_tokens", "sparse"),
    )
    kind = "string"

    def _take(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        pad_to_max_tokens: bool,
        sparse: bool,
    ) -> None:
        self.output_mode = check_mode(self, output_mode, (*MODES, "tf_idf"), sparse)
        if max_tokens is not None and (not isinstance(max_tokens, int) or max_tokens < 2):
            raise argument_error(self, "max_tokens", "a whole number from 2 on", max_tokens)
        if pad_to_max_tokens and max_tokens is None:
            raise argument_error(self, "pad_to_max_tokens", "max_tokens beside it", True)
        if isinstance(num_oov_indices, bool) or not isinstance(num_oov_indices, int):
            raise argument_error(self, "num_oov_indices", "a whole number", num_oov_indices)
        if not 0 <= num_oov_indices <= _MOST_OTHERS:
            expected = f"0 to {_MOST_OTHERS:,}"
            raise argument_error(self, "num_oov_indices", expected, num_oov_indices)
        if invert and self.output_mode != "int":
            raise argument_error(self, "invert", "output_mode=int beside it", output_mode)
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise argument_error(self, "idf_weights", "output_mode=tf_idf beside it", output_mode)
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token, self.invert = mask_token, oov_token, bool(invert)
        self.pad_to_max_tokens, self.sparse = bool(pad_to_max_tokens), False
        self.fixed = vocabulary is not None
        self.tokens: list[Any] = []
        self.places: dict[Any, int] = {}
        self.weights_of_tokens: np.ndarray | None = None
        if self.output_mode != "int":
            self.output_dtype = "float32"
        elif invert:
            self.output_dtype = self.kind
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    # --- vocabulary -------------------------------------------------------------------------------

    @property
    def _masks(self) -> int:
        """How many places the mask has."""
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _start(self) -> int:
        """The place of the first token."""
        return self._masks + self.num_oov_indices

    def _token(self, value: Any) -> Any:
        """A token as it is kept."""
        return value

    def vocabulary_size(self) -> int:
        """The number of tokens, of the mask and of what is not in the vocabulary."""
        return len(self.tokens) + self._start

    @property
    def depth(self) -> int:
        """The size of the last dim of encoded results."""
        return (self.max_tokens or 0) if self.pad_to_max_tokens else self.vocabulary_size()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens by their numbers."""
        special = [self.mask_token] * self._masks + [self.oov_token] * self.num_oov_indices
        return [*(special if include_special_tokens else ()), *self.tokens]

    @property
    def vocabulary(self) -> list[Any] | None:
        """The tokens, as a file has them; None before there are any.

        With those that are special where they have weights of their own.
        """
        return self.get_vocabulary(self.output_mode == "tf_idf") if self.tokens else None

    @property
    def idf_weights(self) -> list[float] | None:
        """Weights of the tokens and of those before them, for tf_idf."""
        if self.weights_of_tokens is None:
            return None
        return [float(w) for w in self.weights_of_tokens]

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Give the vocabulary: tokens, or the path of a file with one on each line.

        Args:
            vocabulary: with all special tokens in front, or without any.
            idf_weights: for output_mode "tf_idf": one for each token.
        """
        if isinstance(vocabulary, str | Path):
            try:
                text = Path(vocabulary).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as problem:
                raise argument_error(
                    self, "vocabulary", "tokens, or a text file that can be read", str(problem)
                ) from None
            vocabulary = text.splitlines()
        if isinstance(vocabulary, bytes | Mapping) or not hasattr(vocabulary, "__iter__"):
            expected = "a list of tokens, or the path of a text file"
            raise argument_error(self, "vocabulary", expected, vocabulary)
        tokens = [self._token(t) for t in np.asarray(tensor_free(vocabulary)).reshape(-1).tolist()]
        special = self.get_vocabulary()[: self._start]
        begins = bool(special) and tokens[: self._start] == special
        tokens = tokens[self._start :] if begins else tokens
        seen = Counter(tokens)
        twice = [t for t, n in seen.items() if n > 1]
        wrong = twice or [t for t in tokens if t is not None and t == self.mask_token]
        if self.invert and not wrong and self.oov_token in seen:
            wrong = [self.oov_token]
        if not tokens or wrong:
            raise argument_error(
                self,
                "vocabulary",
                f"tokens that differ, with {special} in front or nowhere",
                f"{wrong[:10]} twice or in a wrong place" if wrong else "no tokens",
            )
        if self.max_tokens is not None and len(tokens) + self._start > self.max_tokens:
            raise argument_error(
                self, "vocabulary", f"at most max_tokens={self.max_tokens}", len(tokens)
            )
        weights: Any = None
        if self.output_mode == "tf_idf":
            weights = np.asarray([] if idf_weights is None else idf_weights, np.float32)
            many = len(tokens) + (self._start if begins else 0)
            if weights.shape != (many,):
                raise argument_error(
                    self, "idf_weights", f"{many} numbers: one per token", idf_weights
                )
            if not begins:
                weights = self._with_special(weights)
        self.fixed = True
        self._keep(tokens, weights)

    def _with_special(self, weights: np.ndarray) -> np.ndarray:
        """Weights of tokens behind those of others, which are not known: their mean."""
        return np.concatenate([np.full(self._start, weights.mean(), np.float32), weights])

    def _keep(self, tokens: list[Any], weights: np.ndarray | None) -> None:
        self.tokens, self.weights_of_tokens = tokens, weights
        self.places = {t: i + self._start for i, t in enumerate(tokens)}

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Take the tokens of data, the most frequent first; of as many, the greater one first.

        Args:
            data: an array or list, whose rows are documents; a dataset or iterable of batches.
        """
        if self.fixed:
            raise argument_error(self, "vocabulary", "none, for adapt", self.tokens[:5])

        def documents() -> Any:
            for part in batches(self, data, steps):
                rows = part.reshape(-1, 1) if part.ndim < 2 else part.reshape(len(part), -1)
                yield from rows.tolist()

        self.learn(documents())

    def learn(self, documents: Any) -> None:
        """Take the tokens of documents, each a list."""
        counts: Counter[Any] = Counter()
        within: Counter[Any] = Counter()
        many = 0
        for row in documents:
            tokens = [self._token(t) for t in row]
            counts.update(tokens)
            within.update(set(tokens))
            many += 1
        for special in (self.mask_token, self.oov_token):
            counts.pop(special, None)
        if not counts:
            raise input_error(self, "at least one token", "no data")
        # By bytes, which UTF-8 orders as code points.
        found = sorted(counts, key=lambda t: (counts[t], t), reverse=True)
        if self.max_tokens is not None:
            found = found[: self.max_tokens - self._start]
        weights = None
        if self.output_mode == "tf_idf":
            each = np.array([within[t] for t in found], np.float64)
            weights = self._with_special(np.log(1 + many / (1 + each)).astype(np.float32))
        self._keep(found, weights)

    # --- lookups ----------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Any) -> Any:
        return mode_shape(input_shape, self.output_mode, self.depth)

    def _ready(self) -> None:
        if not self.tokens:
            raise input_error(
                self, "a vocabulary", "none", "give vocabulary, or call adapt(data) first."
            )

    def _unknown(self, tokens: Sequence[Any]) -> None:
        """E-LAYER-001 where nothing may be outside the vocabulary."""
        raise input_error(
            self,
            "tokens of the vocabulary, since num_oov_indices=0",
            ", ".join(map(repr, tokens[:5])),
            "num_oov_indices=1 has a place for others.",
        )

    def number_of(self, token: Any, elsewhere: Callable[[Any], int]) -> int:
        """The number of a token; of the mask -1 where it counts nowhere."""
        if self.mask_token is not None and token == self.mask_token:
            return 0 if self._masks else -1
        found = self.places.get(token)
        if found is None:
            if not self.num_oov_indices:
                self._unknown([token])
            found = self._masks + (elsewhere(token) if self.num_oov_indices > 1 else 0)
        return found

    def encode(self, indices: Any) -> Tensor:
        """Numbers of tokens in the output mode."""
        if self.output_mode != "tf_idf":
            return encoded(indices, self.output_mode, self.depth)
        assert self.weights_of_tokens is not None
        counts = encoded(indices, "count", self.depth)
        weights = np.zeros(self.depth, np.float32)  # to max_tokens
        weights[: len(self.weights_of_tokens)] = self.weights_of_tokens
        return counts * weights

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        known = {**config}
        for of_keras in ("vocabulary_size", "has_input_vocabulary", "vocabulary_dtype"):
            known.pop(of_keras, None)
        vocabulary = known.get("vocabulary")
        if isinstance(vocabulary, str):
            # A model file must not make the host read others.
            layer = cls(**{**known, "vocabulary": None})
            raise argument_error(layer, "vocabulary", "tokens: no path in a file", vocabulary)
        return cls(**known)


def tensor_free(value: Any) -> Any:
    """Tokens as an array of objects or numbers."""
    if isinstance(value, Tensor):
        return value.numpy()
    return np.array(list(value), object)


class StringLookup(IndexLookup):
    """Texts as their numbers in a vocabulary: a mask (if any), others, then the tokens.

    Args:
        max_tokens: most tokens that `adapt` keeps, with the mask and others.
        num_oov_indices: places for what is not in the vocabulary, among which a hash chooses; 0
            refuses it.
        mask_token: gets 0 with "int", and counts nowhere otherwise.
        oov_token: what stands for others with `invert`.
        vocabulary: tokens, or a file with one on each line; without, `adapt` finds them.
        idf_weights: of the tokens, for "tf_idf".
        invert: numbers as texts.
        output_mode: "int", or float32 "one_hot", "multi_hot", "count" or "tf_idf" (counts times
            log(1 + documents / (1 + documents that have the token))).
        pad_to_max_tokens: the last dim is max_tokens in any case.
    """

    fields = (*IndexLookup.fields, "encoding", "salt")

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        salt: int | Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        options.pop("oov_method", None)  # Keras writes it, for whole numbers only
        super().__init__(**options)
        self.encoding, self.salt = encoding, salt_of(self, salt)
        self._take(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert,
            output_mode, pad_to_max_tokens, sparse,
        )  # fmt: skip

    def _token(self, value: Any) -> Any:
        return value.decode(self.encoding) if isinstance(value, bytes) else str(value)

    def elsewhere(self, token: str) -> int:
        """Which of the places for others."""
        return bucket(token, self.num_oov_indices, self.salt)

    def call(self, inputs: Any) -> Tensor:
        self._ready()
        if self.invert:
            numbers = tensor(inputs).numpy()
            known = self.get_vocabulary()
            made = np.empty(numbers.size, object)
            for i, n in enumerate(numbers.reshape(-1).tolist()):
                made[i] = known[int(n)] if 0 <= n < len(known) else self.oov_token
            return tensor(made.reshape(numbers.shape), "string")
        texts = texts_of(self, inputs)
        found = np.empty(texts.size, np.int32)
        for i, text in enumerate(texts.flat):
            found[i] = self.number_of(text, self.elsewhere)
        return self.encode(tensor(found.reshape(texts.shape)))


class IntegerLookup(IndexLookup):
    """Whole numbers as their numbers in a vocabulary; see `StringLookup`.

    Args:
        oov_token: what stands for others with `invert`.
        oov_method: which of several places others get: "floormod", the number modulo
            num_oov_indices; or "farmhash", the hash of its digits.
    """

    fields = (*IndexLookup.fields, "vocabulary_dtype", "oov_method", "salt")
    kind = "int32"
    host = False  # but for hashes, and for numbers that are refused
    vocabulary_dtype = "int64"  # its name in Keras

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: int | Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if vocabulary_dtype not in ("int64", "int32"):
            raise argument_error(self, "vocabulary_dtype", "int64 or int32", vocabulary_dtype)
        if oov_method not in ("floormod", "farmhash"):
            raise argument_error(self, "oov_method", "floormod or farmhash", oov_method)
        if salt is not None and oov_method != "farmhash":
            raise argument_error(self, "salt", "oov_method=farmhash beside it", salt)
        for argument, token in (("mask_token", mask_token), ("oov_token", oov_token)):
            if token is not None and not -(2**31) <= token < 2**31:
                raise argument_error(self, argument, "a whole number of int32", token)
        self.oov_method, self.salt = oov_method, salt_of(self, salt)
        self.host = not num_oov_indices or (num_oov_indices > 1 and oov_method == "farmhash")
        self._take(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert,
            output_mode, pad_to_max_tokens, sparse,
        )  # fmt: skip

    def _token(self, value: Any) -> Any:
        try:
            whole = int(value)
        except (TypeError, ValueError):
            whole = 2**31
        if not -(2**31) <= whole < 2**31:
            raise argument_error(self, "vocabulary", "whole numbers of int32", value)
        return whole

    def call(self, inputs: Any) -> Tensor:
        self._ready()
        x = cast(inputs, "int32")
        if self.invert:
            known = np.array([-1 if t is None else t for t in self.get_vocabulary()], np.int32)
            inside = fn.logical_and(fn.greater_equal(x, 0), fn.less(x, len(known)))
            found = gather(known, fn.clip(x, 0, len(known) - 1), 0)
            return fn.where(inside, found, np.int32(self.oov_token))
        tokens = np.array(self.tokens, np.int32)
        order = np.argsort(tokens, kind="stable")
        ordered = tokens[order]
        at = fn.clip(lower_bound(ordered, x), 0, len(tokens) - 1)
        here = fn.equal(gather(ordered, at, 0), x)
        numbers = gather((order + self._start).astype(np.int32), at, 0)
        found = fn.where(here, numbers, self._others(x, here))
        if self.mask_token is not None:
            masked = fn.equal(x, np.int32(self.mask_token))
            found = fn.where(masked, np.int32(0 if self._masks else -1), found)
        return self.encode(found)

    def _others(self, x: Tensor, here: Tensor) -> Tensor:
        """The places of numbers that are not in the vocabulary."""
        many = self.num_oov_indices
        if many == 1:
            return fn.full(x.shape, self._masks, "int32")
        if many > 1 and self.oov_method == "floormod":
            return fn.floor_mod(x, many) + self._masks
        values, known = x.numpy(), here.numpy()  # only now: else it can be traced
        if not many:
            unknown = values[~known]
            masks = unknown == self.mask_token if self.mask_token is not None else False
            unknown = unknown[~np.broadcast_to(masks, unknown.shape)]
            if unknown.size:
                self._unknown(unknown.tolist())
            return fn.zeros_like(x)
        places = [bucket(str(v), many, self.salt) for v in values.reshape(-1).tolist()]
        return tensor(np.array(places, np.int32).reshape(values.shape)) + self._masks
