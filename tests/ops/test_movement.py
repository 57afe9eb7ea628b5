"""Movement rows: every element of the result is looked up where the definition says it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.support import FULL_SHAPES, SEEDS, SHAPES, call, sample

DTYPES = st.sampled_from(["float32", "int32", "bool", "uint8"])
Index = tuple[int, ...]


def looked_up(x: np.ndarray, shape: Index, where: Callable[[Index], Index | None]) -> np.ndarray:
    """The array of `shape` whose element i is x[where(i)], or 0 where that is None."""
    out = np.zeros(shape, x.dtype)
    for i in np.ndindex(*shape):
        place = where(i)
        if place is not None:
            assert all(0 <= p < n for p, n in zip(place, x.shape, strict=True))
            out[i] = x[place]
    return out


def inside(place: Index, shape: Index) -> Index | None:
    """The place itself if it is one."""
    return place if all(0 <= p < n for p, n in zip(place, shape, strict=True)) else None


@given(shape=SHAPES, seed=SEEDS, dtype=DTYPES, data=st.data())
def test_reshape_and_transpose(shape: Index, seed: int, dtype: str, data: st.DataObject) -> None:
    x = sample(seed, shape, dtype)
    perm = data.draw(st.permutations(range(len(shape))))
    y = call("transpose", x, perm=perm)
    wanted = looked_up(
        x,
        tuple(shape[p] for p in perm),
        lambda i: tuple(i[perm.index(d)] for d in range(len(perm))),
    )
    assert np.array_equal(y, wanted)
    flat = call("reshape", y, shape=(y.size,))
    assert flat.tolist() == list(y.flat)
    if y.size:
        assert np.array_equal(call("reshape", flat, shape=(1, -1, 1))[0, :, 0], flat)


@given(shape=FULL_SHAPES, seed=SEEDS, data=st.data())
def test_slice(shape: Index, seed: int, data: st.DataObject) -> None:
    x = sample(seed, shape)
    begin = tuple(data.draw(st.integers(0, n)) for n in shape)
    size = tuple(data.draw(st.integers(0, n - b)) for n, b in zip(shape, begin))
    got = call("slice", x, begin=begin, size=size)
    assert np.array_equal(got, looked_up(x, size, lambda i: tuple(b + k for b, k in zip(begin, i))))


@given(shape=FULL_SHAPES, seed=SEEDS, data=st.data())
def test_strided_slice(shape: Index, seed: int, data: st.DataObject) -> None:
    x = sample(seed, shape)
    begin, end, strides = [], [], []
    for n in shape:
        strides.append(data.draw(st.sampled_from([1, 2, 3, -1, -2])))
        begin.append(data.draw(st.integers(0, n - 1)))
        end.append(data.draw(st.integers(0, n) if strides[-1] > 0 else st.integers(-1, n - 1)))
    ranges = [range(*v) for v in zip(begin, end, strides)]
    got = call("strided_slice", x, begin=begin, end=end, strides=strides)
    wanted = looked_up(x, tuple(map(len, ranges)), lambda i: tuple(r[k] for r, k in zip(ranges, i)))
    assert np.array_equal(got, wanted)


@given(shape=SHAPES, seed=SEEDS, dtype=DTYPES, data=st.data())
def test_reverse_tile_broadcast(shape: Index, seed: int, dtype: str, data: st.DataObject) -> None:
    x = sample(seed, shape, dtype)
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1)))) if shape else ()
    assert np.array_equal(
        call("reverse", x, axes=axes),
        looked_up(
            x,
            shape,
            lambda i: tuple(
                n - 1 - k if d in axes else k for d, (n, k) in enumerate(zip(shape, i))
            ),
        ),
    )
    times = tuple(data.draw(st.integers(0, 3)) for _ in shape)
    whole = tuple(n * t for n, t in zip(shape, times))
    assert np.array_equal(
        call("tile", x, multiples=times),
        looked_up(x, whole, lambda i: tuple(k % n for k, n in zip(i, shape))),
    )
    wider = (2, *(data.draw(st.integers(0, 3)) if n == 1 else n for n in shape))
    assert np.array_equal(
        call("broadcast_to", x, shape=wider),
        looked_up(x, wider, lambda i: tuple(0 if n == 1 else k for n, k in zip(shape, i[1:]))),
    )


def _paddings(data: st.DataObject, shape: Index, most: Callable[[int], int]) -> tuple:
    return tuple(tuple(data.draw(st.integers(0, most(n))) for _ in range(2)) for n in shape)


@given(shape=SHAPES, seed=SEEDS, dtype=DTYPES, data=st.data())
def test_pad(shape: Index, seed: int, dtype: str, data: st.DataObject) -> None:
    x = sample(seed, shape, dtype)
    paddings = _paddings(data, shape, lambda n: 2)
    whole = tuple(n + a + b for n, (a, b) in zip(shape, paddings))
    wanted = looked_up(
        x, whole, lambda i: inside(tuple(k - a for k, (a, _) in zip(i, paddings)), shape)
    )
    assert np.array_equal(call("pad", x, paddings=paddings), wanted)
    ones = call("pad", x, paddings=paddings, value=1)
    frame = call("pad", np.zeros_like(x), paddings=paddings, value=1).astype(bool)
    assert np.array_equal(ones[~frame], x.ravel())
    assert ones[frame].astype(bool).all()


@given(
    shape=FULL_SHAPES, seed=SEEDS, mode=st.sampled_from(["reflect", "symmetric"]), data=st.data()
)
def test_mirror_pad(shape: Index, seed: int, mode: str, data: st.DataObject) -> None:
    x = sample(seed, shape)
    skip = mode == "reflect"
    paddings = _paddings(data, shape, lambda n: n - skip)
    whole = tuple(n + a + b for n, (a, b) in zip(shape, paddings))

    def mirror(k: int, n: int) -> int:
        if k < 0:
            return -k if skip else -k - 1
        return 2 * n - 2 - k + (not skip) if k >= n else k

    got = call("mirror_pad", x, paddings=paddings, mode=mode)
    wanted = looked_up(
        x, whole, lambda i: tuple(mirror(k - a, n) for k, (a, _), n in zip(i, paddings, shape))
    )
    assert np.array_equal(got, wanted)


@given(shape=SHAPES.filter(bool), seed=SEEDS, dtype=DTYPES, data=st.data())
def test_concat_is_undone_by_slice(
    shape: Index, seed: int, dtype: str, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    at = axis % len(shape)
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    parts = [
        sample(seed + i, (*shape[:at], n, *shape[at + 1 :]), dtype) for i, n in enumerate(sizes)
    ]
    whole = call("concat", *parts, axis=axis)
    begin = [0] * len(shape)
    for part in parts:
        assert np.array_equal(call("slice", whole, begin=begin, size=part.shape), part)
        begin[at] += part.shape[at]
    assert whole.shape[at] == sum(sizes)


@given(shape=FULL_SHAPES.filter(bool), seed=SEEDS, dtype=DTYPES, data=st.data())
def test_gather(shape: Index, seed: int, dtype: str, data: st.DataObject) -> None:
    x = sample(seed, shape, dtype)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    at, n = axis % len(shape), shape[axis]
    picked = data.draw(SHAPES.filter(lambda s: len(s) < 3))
    indices = np.random.default_rng(seed).integers(-2, n + 2, picked).astype(np.int32)
    got = call("gather", x, indices, axis=axis)
    wanted = looked_up(
        x,
        (*shape[:at], *picked, *shape[at + 1 :]),
        lambda i: (
            *i[:at],
            min(max(int(indices[i[at : at + len(picked)]]), 0), n - 1),
            *i[at + len(picked) :],
        ),
    )
    assert np.array_equal(got, wanted)


@given(seed=SEEDS, block=st.integers(1, 3), data=st.data())
@settings(max_examples=30)
def test_depth_and_space(seed: int, block: int, data: st.DataObject) -> None:
    n, h, w, c = (data.draw(st.integers(1, 3)) for _ in range(4))
    x = sample(seed, (n, h, w, c * block * block))
    y = call("depth_to_space", x, block=block)
    wanted = looked_up(
        x,
        (n, h * block, w * block, c),
        lambda i: (
            i[0],
            i[1] // block,
            i[2] // block,
            (i[1] % block * block + i[2] % block) * c + i[3],
        ),
    )
    assert np.array_equal(y, wanted)
    assert np.array_equal(call("space_to_depth", y, block=block), x)


@given(seed=SEEDS, data=st.data())
@settings(max_examples=60)
def test_space_and_batch(seed: int, data: st.DataObject) -> None:
    blocks = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    n, rest = data.draw(st.integers(1, 2)), data.draw(st.sampled_from([(), (2,)]))
    space = [data.draw(st.integers(1, 4)) for _ in blocks]
    paddings = []
    for size, block in zip(space, blocks):
        before = data.draw(st.integers(0, 3))
        paddings.append((before, -(size + before) % block + block * data.draw(st.integers(0, 1))))
    x = sample(seed, (n, *space, *rest))
    y = call("space_to_batch", x, block=blocks, paddings=paddings)
    m = len(blocks)
    small = [(s + a + b) // k for s, (a, b), k in zip(space, paddings, blocks)]

    def source(i: Index) -> Index | None:
        # The position inside the block is the slow part of the batch index.
        position, item = divmod(i[0], n)
        place = []
        for d in reversed(range(m)):
            position, offset = divmod(position, blocks[d])
            place.append(i[1 + d] * blocks[d] + offset - paddings[d][0])
        return inside((item, *reversed(place), *i[1 + m :]), x.shape)

    assert np.array_equal(y, looked_up(x, (n * int(np.prod(blocks)), *small, *rest), source))
    back = call("batch_to_space", y, block=blocks, crops=paddings)
    assert np.array_equal(back, x)
