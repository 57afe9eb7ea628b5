"""Tensors of strings, and of the other dtypes that only store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight import FanlightError
from fanlight.tensor.fingerprint import fingerprint

WORDS = fl.tensor([["one", "two", "three"], ["four", "five", "six"]])
ARRAY = np.array([["one", "two", "three"], ["four", "five", "six"]], object)


def test_tensors_of_strings() -> None:
    assert (WORDS.dtype, WORDS.shape, WORDS.rank) == ("string", (2, 3), 2)
    assert WORDS.tolist() == ARRAY.tolist()
    assert "str[2, 3]" in str(WORDS.type) and "'three'" in repr(WORDS)
    for value in (np.array(["a", "b"]), np.array([b"a", b"b"]), ("a", "b"), ARRAY[0]):
        assert fl.tensor(value).dtype == "string"
    assert fl.tensor(b"\xc3\xa9").item() == "é" and fl.tensor("é", "string").item() == "é"
    assert fl.fill((2, 2), "hi").tolist() == [["hi", "hi"], ["hi", "hi"]]
    assert all(type(t) is str for t in fl.tensor(np.array(["a"])).tolist())


@pytest.mark.parametrize(
    ("mine", "numpys"),
    [
        (lambda x: fl.reshape(x, (3, 2)), lambda a: a.reshape(3, 2)),
        (lambda x: x.T, lambda a: a.T),
        (lambda x: x[:, ::-2], lambda a: a[:, ::-2]),
        (lambda x: x[1, 2], lambda a: a[1, 2]),
        (lambda x: x[fl.tensor([True, False])], lambda a: a[:1]),
        (lambda x: fl.gather(x, [2, 0], 1), lambda a: a[:, [2, 0]]),
        (lambda x: fl.concat([x, x], 1), lambda a: np.concatenate([a, a], 1)),
        (lambda x: fl.stack([x, x]), lambda a: np.stack([a, a])),
        (lambda x: fl.tile(x, (1, 2)), lambda a: np.tile(a, (1, 2))),
        (lambda x: fl.reverse(x, 1), lambda a: a[:, ::-1]),
        (lambda x: fl.expand_dims(x), lambda a: a[None]),
        (lambda x: fl.unstack(x)[1], lambda a: a[1]),
        (lambda x: fl.broadcast_to(x, (2, 2, 3)), lambda a: np.stack([a, a])),
        (lambda x: fl.clone(x), lambda a: a),
        (lambda x: fl.equal(x, "two"), lambda a: a == "two"),
        (lambda x: x != x[1], lambda a: a != a[1]),
        (lambda x: x < "o", lambda a: a < "o"),
        (lambda x: fl.greater_equal(x, x[:1]), lambda a: a >= a[:1]),
    ],
)
def test_they_move_and_compare_like_arrays(mine: Any, numpys: Any) -> None:
    made, wanted = mine(WORDS), np.asarray(numpys(ARRAY))
    assert made.shape == wanted.shape
    assert made.tolist() == wanted.tolist()
    assert made.dtype == ("string" if wanted.dtype.kind in "OU" else "bool")


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: fl.tensor(["a", 1]), "E-TENSOR-001"),
        (lambda: fl.tensor(["a"], "float32"), "E-TENSOR-001"),
        (lambda: fl.tensor([1.0], "string"), "E-TENSOR-001"),
        (lambda: fl.tensor([None]), "E-TENSOR-001"),
        (lambda: WORDS + 1, "E-OP-003"),
        (lambda: WORDS == 1, "E-OP-003"),
        (lambda: WORDS + WORDS, "E-OP-003"),
        (lambda: fl.concat([WORDS, fl.ones((2, 3))]), "E-OP-003"),
        (lambda: fl.where(fl.ones((2, 3)), WORDS, WORDS), "E-OP-003"),
        (lambda: fl.cast(WORDS, "int32"), "E-OP-003"),
        (lambda: fl.cast(1, "string"), "E-OP-003"),
        (lambda: fl.exp(WORDS), "E-OP-003"),
        (lambda: fl.sum(WORDS), "E-OP-003"),
        (lambda: fl.spec(2, "string"), "E-TENSOR-022"),
        (lambda: fl.spec(2, "float16"), "E-TENSOR-022"),
        (lambda: fl.jit(lambda x: x)(WORDS), "E-TENSOR-022"),
        (lambda: fl.jit(lambda x: fl.gather(WORDS, x))(fl.tensor([0])), "E-TENSOR-022"),
        (lambda: fl.jit(lambda x: fl.cast(x, "float16"))(fl.ones(2)), "E-TENSOR-022"),
        (lambda: fl.string.lower([1.0]), "E-OP-003"),
        (lambda: fl.string.split(WORDS), "E-OP-004"),
        (lambda: fl.string.to_hash_bucket_fast(WORDS, 0), "E-OP-005"),
        (lambda: fl.string.static_regex_replace(WORDS, "(", ""), "E-OP-005"),
        (lambda: fl.string.static_regex_replace(WORDS, "o", r"\3"), "E-OP-005"),
        (lambda: fl.string.n_grams(["a"], [0, 2], "", [1]), "E-OP-005"),
        (lambda: fl.string.n_grams(["a"], [0, 1], "", [0]), "E-OP-005"),
        (lambda: fl.string.length(WORDS, "word"), "E-OP-005"),
        (lambda: fl.string.substr(WORDS, 0, -1), "E-OP-005"),
        (lambda: fl.string.join([["a", "b"], ["a", "b", "c"]]), "E-OP-004"),
        (lambda: fl.string.join([]), "E-OP-005"),
        (lambda: fl.string.join(["a"], 1), "E-OP-005"),
        (lambda: fl.string.n_grams(["a"], [0, 1], 1, [1]), "E-OP-005"),
        (lambda: fl.string.n_grams(["a"], [0, 1], "", 3), "E-OP-005"),
        (lambda: fl.string.static_regex_replace(["a"], 1, "b"), "E-OP-005"),
        (lambda: fl.pad(["a"], [(1, 1)]), "E-OP-003"),
    ],
)
def test_what_is_refused(call: Any, code: str) -> None:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code, caught.value
    assert "test_string.py" in str(caught.value)


# FarmHash's own test data (farmhash.cc, by way of tecnickcom/farmhash64): every branch of lengths.
FINGERPRINTS = {
    "": 0x9AE16A3B2F90404F,
    "a": 0xB3454265B6DF75E3,
    "abcde": 0xC22F4663E54E04D4,
    "0123456789": 0xAD052244B781C4EB,
    "0123456789=012345": 0x46A7416ED4861E3B,
    "C is as portable as Stonehedge!!": 0xB944F8A16261E414,
    "Discard medicine more than two years old.": 0xE8F89AB6DF9BDD25,
    "The days of the digital watch are numbered.  -Tom Stoppard": 0x2A578B80BB82147C,
    "It's a tiny change to the code and not completely disgusting. - Bob Manchek": (
        0x38AA3175B37F305C
    ),
    "The fugacity of a constituent in a mixture of gases at a given temperature is proportional "
    "to its mole fraction.  Lewis-Randall Rule": 0x98EFF6958C5E91A,
}


@pytest.mark.parametrize(("text", "wanted"), FINGERPRINTS.items(), ids=lambda v: str(v)[:9])
def test_fingerprints(text: str, wanted: int) -> None:
    assert fingerprint(text.encode()) == wanted
    assert fl.string.to_hash_bucket_fast([text], 1000).tolist() == [wanted % 1000]


def test_buckets_are_those_of_tensorflow() -> None:
    # The example in the documentation of tf.strings.to_hash_bucket_fast.
    assert fl.string.to_hash_bucket_fast(["Hello", "TensorFlow", "2.x"], 3).tolist() == [0, 2, 2]


def test_functions_of_strings() -> None:
    s = fl.string
    assert s.lower(["Ab", "É"]).tolist() == ["ab", "é"]
    assert s.upper(WORDS).tolist()[0] == ["ONE", "TWO", "THREE"]
    assert s.length(["", "é"]).tolist() == [0, 1]
    assert s.length(["é"], "byte").tolist() == [2]
    assert s.length(["\ud800"], "byte").tolist() == [3]
    assert s.substr(["hello", "a"], 1, 3).tolist() == ["ell", ""]
    assert s.substr(["hello", "a"], -2, 1).tolist() == ["l", "a"]
    assert s.join([WORDS, "!"], "-").tolist()[1] == ["four-!", "five-!", "six-!"]
    assert s.static_regex_replace(["a1b22"], r"\d+", r"<\0>").tolist() == ["a<1>b<22>"]
    assert s.static_regex_replace(["aa"], "a", "b", False).tolist() == ["ba"]
    assert s.lower([]).tolist() == []
    indices, parts, shape = s.split(["a,b;c", ""], ",;")
    assert parts.tolist() == ["a", "b", "c"] and shape.tolist() == [2, 3]
    assert indices.tolist() == [[0, 0], [0, 1], [0, 2]]
    assert s.split(["ab"])[1].tolist() == ["a", "b"]
    runs, ends = s.n_grams(["a", "b", "c"], [0, 2, 3], "|", [2], "<", ">", -1)
    assert runs.tolist() == ["<|a", "a|b", "b|>", "<|c", "c|>"] and ends.tolist() == [0, 3, 5]


def test_dtypes_that_only_store() -> None:
    x = [-1e9, -128.7, -0.5, 1.9, 127.9, float("nan"), 70000]
    small = fl.tensor(x, "int8")
    assert small.dtype == "int8" and small.numpy().dtype == np.int8
    assert small.tolist() == [-128, -128, 0, 1, 127, 0, 127]
    half = fl.cast(fl.tensor([1 / 3, 70000.0]), "float16")
    assert half.numpy().dtype == np.float16
    assert half.numpy().tolist() == [float(np.float16(1 / 3)), float("inf")]
    assert fl.cast(half, "float32").tolist() == half.numpy().astype(np.float32).tolist()
    assert fl.cast(small, "int32").tolist() == small.tolist()
    assert fl.cast(fl.tensor([2.5], "float16"), "int8").tolist() == [2]
    # Between numbers they widen to what computes.
    assert (small * 2).dtype == "int32" and (half + 1).dtype == "float32"
    assert fl.exp(half).dtype == "float32"
    assert fl.tensor(np.float16([1, 2])).dtype == "float32"  # unless they are asked for
    with pytest.raises(FanlightError, match="E-OP-003"):
        fl.reshape(half, (1, 2))
    assert fl.zeros(2, "int8").dtype == "int8"
