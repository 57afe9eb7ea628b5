"""Texts as numbers of their words: `fl.layers.TextVectorization`. It runs on the host."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fanlight.layers import config as configs
from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.layers.lookup import HostLayer, StringLookup, texts_of
from fanlight.layers.preprocessing import batches
from fanlight.tensor import Tensor, tensor

__all__ = ["TextVectorization"]

STANDARDS = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
SPLITS = ("whitespace", "character")
_LONGEST = 1000  # words of a run
# As TensorFlow's, which sees ASCII only: so vocabularies of Keras fit.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NO_MARKS = str.maketrans("", "", string.punctuation)
_SPACES = re.compile(r"[ \t\n\r\f\v]+")


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


class TextVectorization(HostLayer):
    """Texts as the numbers of their words: 0 for no word, 1 for those outside the vocabulary.

    Args:
        max_tokens: most words of the vocabulary that `adapt` finds, with the two special ones.
        standardize: "lower_and_strip_punctuation" (of ASCII, as in Keras), "lower",
            "strip_punctuation", None, or a function of an array of strings.
        split: "whitespace", "character", None (each string is a word), or a function of an array of
            strings that gives a list of words for each.
        ngrams: runs of up to so many words count, too; a tuple: of just these lengths.
        output_mode: "int": [texts, words]; or float32 [texts, vocabulary] "multi_hot", "count" or
            "tf_idf".
        output_sequence_length: with "int": longer texts are cut, shorter ones filled with 0; None:
            the length of the longest.
        pad_to_max_tokens: the last dim of other modes is max_tokens in any case.
        vocabulary, idf_weights: see `StringLookup`; without, `adapt` finds them.
    """

    fields = (
        *("max_tokens", "standardize", "split", "ngrams", "output_mode"),
        *("output_sequence_length", "pad_to_max_tokens", "vocabulary", "idf_weights"),
        *("sparse", "ragged", "encoding"),
    )

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        **options: Any,
    ) -> None:
        options["dtype"] = "string"
        super().__init__(**options)
        self.standardize = self._function("standardize", standardize, STANDARDS)
        self.split = self._function("split", split, SPLITS)
        if isinstance(ngrams, list):
            ngrams = tuple(ngrams)
        if isinstance(ngrams, int) and ngrams > _LONGEST:
            raise argument_error(self, "ngrams", f"runs of at most {_LONGEST:,} words", ngrams)
        wide = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams
        if wide is not None and (not wide or not all(isinstance(n, int) and n > 0 for n in wide)):
            raise argument_error(self, "ngrams", "a whole number, several, or None", ngrams)
        if ragged:
            raise argument_error(self, "ragged", "False: tensors are dense", ragged)
        self.ngrams, self.widths, self.ragged = ngrams, wide, False
        self.lookup = StringLookup(
            max_tokens, 1, "", "[UNK]", vocabulary, idf_weights, False, output_mode,
            pad_to_max_tokens, sparse, encoding, name=f"{self.name}_lookup",
        )  # fmt: skip
        self.output_mode = self.lookup.output_mode
        if self.output_mode == "one_hot":
            raise argument_error(self, "output_mode", "int, multi_hot, count or tf_idf", "one_hot")
        length = output_sequence_length
        if length is not None and (
            isinstance(length, bool)
            or not isinstance(length, int)
            or not 1 <= length < 2**31
            or self.output_mode != "int"
        ):
            raise argument_error(
                self, "output_sequence_length", "a whole number, with output_mode=int", length
            )
        self.output_sequence_length = output_sequence_length
        self.max_tokens, self.pad_to_max_tokens = max_tokens, bool(pad_to_max_tokens)
        self.sparse, self.encoding = False, encoding
        self.output_dtype = self.lookup.output_dtype

    def _function(self, argument: str, given: Any, names: Sequence[str]) -> Any:
        if given is None or (isinstance(given, str) and given in names):
            return given
        known = configs.registered(given) if isinstance(given, str) else given
        if not callable(known):
            raise argument_error(self, argument, f"{', '.join(names)}, None or a function", given)
        return known

    # --- vocabulary -------------------------------------------------------------------------------

    @property
    def vocabulary(self) -> list[str] | None:
        """The words, as a file has them; None before there are any."""
        return self.lookup.vocabulary

    @property
    def idf_weights(self) -> list[float] | None:
        """Weights of the words, for tf_idf."""
        return self.lookup.idf_weights

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words by their numbers."""
        return self.lookup.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """The number of words, with those that are special."""
        return self.lookup.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Give the words; see `StringLookup.set_vocabulary`."""
        self.lookup.set_vocabulary(vocabulary, idf_weights)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take the words of texts, the most frequent first.

        Args:
            data: strings in a list or array, or a dataset or iterable of batches of them.
            batch_size: Keras has it; all is read at once.
        """
        if self.lookup.fixed:
            raise argument_error(self, "vocabulary", "none, for adapt", self.vocabulary)

        def documents() -> Iterator[list[str]]:
            for part in batches(self, data, steps):
                if part.dtype.kind not in "OUS":
                    raise input_error(self, "strings", str(part.dtype))
                yield from self.words(part)

        self.lookup.learn(documents())

    # --- texts ------------------------------------------------------------------------------------

    def words(self, texts: np.ndarray) -> list[list[str]]:
        """The words of each text: standardized, split, and in runs."""
        given = texts
        if given.ndim > 1 and self.split is not None:
            if given.shape[-1] != 1 or given.ndim > 2:
                raise input_error(self, "texts [n] or [n, 1]", f"strings {list(given.shape)}")
            given = given[:, 0]
        given = _changed(given, self.standardize)
        if self.split is None:
            rows = [list(map(str, np.reshape(row, -1))) for row in np.atleast_1d(given)]
        elif callable(self.split):
            rows = [[str(w) for w in row] for row in self.split(given)]
        else:
            rows = [_split(str(text), self.split) for text in np.reshape(given, -1)]
        return rows if self.widths is None else [_runs(row, self.widths) for row in rows]

    def compute_output_shape(self, input_shape: Any) -> Any:
        count = input_shape[0] if len(input_shape) else 1
        if self.output_mode == "int":
            return (count, self.output_sequence_length)
        return (count, self.lookup.depth)

    def call(self, inputs: Any) -> Tensor:
        self.lookup._ready()
        texts = texts_of(self, inputs)
        single = texts.ndim == 0
        rows = self.words(texts.reshape(1) if single else texts)
        number = self.lookup.number_of
        found = [[number(w, self.lookup.elsewhere) for w in row] for row in rows]
        length = self.output_sequence_length or max(map(len, found), default=0)
        if self.output_mode != "int":
            length = max(1, max(map(len, found), default=0))
        # No word is 0, and counts nowhere in other modes.
        made = np.full((len(found), length), 0 if self.output_mode == "int" else -1, np.int32)
        for row, numbers in zip(made, found, strict=True):
            row[: len(numbers)] = numbers[:length]
        result = self.lookup.encode(tensor(made))
        return result[0] if single else result

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        known = {k: v for k, v in config.items() if k != "vocabulary_size"}
        for argument in ("standardize", "split"):
            described = known.get(argument)
            if isinstance(described, dict):
                name = described.get("registered_name") or described.get("config")
                known[argument] = configs.registered(str(name)) or str(name)
        if isinstance(known.get("vocabulary"), str):
            layer = cls()
            raise argument_error(
                layer, "vocabulary", "words: no path in a file", known["vocabulary"]
            )
        return cls(**known)


def _changed(texts: np.ndarray, how: str | Callable[[Any], Any] | None) -> Any:
    """Texts in a standard form."""
    if how is None:
        return texts
    if callable(how):
        changed = how(texts)
        return np.asarray(changed.numpy() if isinstance(changed, Tensor) else changed, object)
    made = np.empty(texts.size, object)
    for i, text in enumerate(texts.reshape(-1)):
        if "lower" in how:
            text = text.translate(_LOWER)
        made[i] = text.translate(_NO_MARKS) if "punctuation" in how else text
    return made.reshape(texts.shape)


def _split(text: str, how: str) -> list[str]:
    return list(text) if how == "character" else [w for w in _SPACES.split(text) if w]


def _runs(words: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Runs of words of these lengths, those of the first length first."""
    return [" ".join(words[i : i + wide]) for wide in widths for i in range(len(words) - wide + 1)]
