"""Random bits against the vectors that the authors of the cipher give, and NumPy against WASM."""

from __future__ import annotations

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.ops import random
from fanlight.ops import row as rows
from fanlight.ops import scalar as sc
from fanlight.ops.types import TensorType
from tests.codegen.kernel_runner import TARGETS, run_op

# Random123 1.x, tests/kat_vectors: "threefry2x32 20": counter, key, result.
VECTORS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def words(values: tuple[int, ...]) -> list[np.ndarray]:
    return [np.array([v], np.uint32).view(np.int32) for v in values]


@pytest.mark.parametrize(("counter", "key", "wanted"), VECTORS)
def test_the_cipher_gives_the_vectors_of_its_authors(
    counter: tuple[int, int], key: tuple[int, int], wanted: tuple[int, int]
) -> None:
    args = tuple(map(sc.arg, range(4)))
    third = random.third_word(args[2], args[3])
    made = random.threefry((args[2], args[3], third), (args[0], args[1]))
    found = [int(sc.evaluate(e, words((*counter, *key))).view(np.uint32)[0]) for e in made]
    assert tuple(found) == wanted


def bits(key: list[int], shape: tuple[int, ...], stream: int = 0) -> np.ndarray:
    (found,) = rows.evaluate(
        "random_bits", [np.array(key, np.int32)], {"shape": shape, "stream": stream}
    )
    return found


def test_the_meaning_is_the_body() -> None:
    for key, stream in (([0, 0], 0), ([-7, 2**31 - 1], 5), ([123456789, -(2**31)], 2**31 - 1)):
        size = sc.CHUNK + 77
        places = np.arange(size, dtype=np.int32)
        a, b = (np.int32([k]) for k in key)
        third = random.third_word(a, b).astype(np.int32)
        wanted = sc.evaluate(random.body(stream), [places, a, b, third])
        assert np.array_equal(bits(key, (size,), stream), wanted)


def test_an_element_is_known_by_key_stream_and_place() -> None:
    whole = bits([7, -3], (5, 4))
    assert np.array_equal(bits([7, -3], (11,)), whole.reshape(-1)[:11])
    assert not np.array_equal(bits([7, -2], (5, 4)), whole)
    assert not np.array_equal(bits([7, -3], (5, 4), 1), whole)
    plain = [(0x6B200159 ^ 0x99BA4EFE) - 2**32]  # both words of the first vector
    assert bits([0, 0], (1,)).tolist() == plain


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 1001])
@pytest.mark.parametrize("stream", [0, 3])
def test_wasm_gives_the_same_bits(size: int, stream: int) -> None:
    key = np.int32([-5, 2**31 - 1])
    for target in TARGETS:
        (found,) = run_op("random_bits", [key], target, shape=(size,), stream=stream)
        assert np.array_equal(found, bits([-5, 2**31 - 1], (size,), stream))


@pytest.mark.parametrize(
    ("type", "attrs", "code"),
    [
        (TensorType((3,), "int32"), {"shape": (2,)}, "E-OP-004"),
        (TensorType((2, 1), "int32"), {"shape": (2,)}, "E-OP-004"),
        (TensorType((2,), "float32"), {"shape": (2,)}, "E-OP-003"),
        (TensorType((2,), "int32"), {"shape": (-1,)}, "E-OP-005"),
        (TensorType((2,), "int32"), {"shape": (2**16, 2**16)}, "E-OP-005"),
        (TensorType((2,), "int32"), {"shape": (2,), "stream": -1}, "E-OP-005"),
    ],
)
def test_what_it_refuses(type: TensorType, attrs: dict, code: str) -> None:
    with pytest.raises(FanlightError) as caught:
        rows.infer("random_bits", [type], attrs)
    assert caught.value.code == code
    assert "random_bits" in str(caught.value)


OPERATIONS = {
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "left_shift": np.left_shift,
    "right_shift": np.right_shift,
}


@pytest.mark.parametrize("op", [*OPERATIONS, "bitwise_not"])
def test_whole_numbers_bit_by_bit(op: str) -> None:
    rng = np.random.default_rng(3)
    a = rng.integers(-(2**31), 2**31, (5, 7)).astype(np.int32)
    b = rng.integers(0, 32, 7).astype(np.int32)
    arrays = [a] if op == "bitwise_not" else [a, b]
    wanted = np.invert(a) if op == "bitwise_not" else OPERATIONS[op](a, b)
    full, types = rows.infer(op, [TensorType(x.shape, "int32") for x in arrays], {})
    assert np.array_equal(rows.evaluate(op, arrays, full)[0], wanted)
    assert types == [TensorType((5, 7), "int32")]
    for target in TARGETS:
        assert np.array_equal(run_op(op, arrays, target)[0], wanted)
    assert np.array_equal(run_op(op, arrays, constant=[len(arrays) - 1])[0], wanted)


def test_a_logical_shift_has_no_sign() -> None:
    a, b = np.int32([-8, 8]), np.int32([1])
    assert run_op("right_shift", [a, b], logical=True)[0].tolist() == [2**31 - 4, 4]
