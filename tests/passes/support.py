"""Graphs for tests of passes: random ones, and the comparison of what two graphs compute."""

from __future__ import annotations

import numpy as np

from fanlight import dtypes
from fanlight.graph import Builder, Graph, Value, evaluate, to_text


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal floats, small whole numbers, coin flips: one array per input, sizes at the bound."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for v in graph.inputs:
        shape = v.type.bound
        if v.dtype == "float32":
            array = rng.normal(size=shape)
        else:
            array = rng.integers(0, 2 if v.dtype == "bool" else 200, shape)
        arrays[v.name] = np.asarray(array, dtypes.to_numpy(v.dtype))
    return arrays


def assert_same_meaning(before: Graph, after: Graph, tolerance: float = 2e-5) -> None:
    """The graphs have the same inputs and outputs, and compute the same, within rounding."""
    assert after.inputs == before.inputs
    assert [(n, v.type) for n, v in after.outputs] == [(n, v.type) for n, v in before.outputs]
    inputs = random_inputs(before)
    expected, received = evaluate(before, inputs), evaluate(after, inputs)
    for name, array in expected.items():
        assert received[name].shape == array.shape, name
        assert received[name].dtype == array.dtype, name
        error = difference(received[name], array)
        assert error <= tolerance, f"{name}: {error}\n{to_text(before)}\n{to_text(after)}"


def difference(received: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to max(1, the largest magnitude), as rows state theirs."""
    if expected.size == 0:
        return 0.0
    difference = np.abs(received.astype(np.float64) - expected.astype(np.float64)).max()
    return float(difference / max(1.0, np.abs(expected).max()))


class RandomGraph:
    """A small image network made of choices: linear ops, affine steps, activations, movement."""

    def __init__(self, seed: int, steps: int = 8) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = Builder(f"random_{seed}")
        size = [1, *self.rng.integers(3, 7, 2).tolist(), int(self.rng.integers(1, 5))]
        self.values: list[Value] = [self.builder.input("x", size)]
        for _ in range(steps):
            choices = [
                self.linear,
                self.affine,
                self.activate,
                self.combine,
                self.move,
                self.other,
            ]
            odds = [0.25, 0.25, 0.15, 0.1, 0.15, 0.1]
            made = choices[self.rng.choice(len(choices), p=odds)](self.pick())
            if made is not None and 0 < made.type.size < 20_000:
                self.values.append(made)
        outputs = {"last": self.values[-1]}
        if self.rng.random() < 0.3:
            outputs["other"] = self.pick()
        self.graph = self.builder.finish(outputs)

    def pick(self) -> Value:
        """A value, most often the latest."""
        if self.rng.random() < 0.7:
            return self.values[-1]
        return self.values[self.rng.integers(len(self.values))]

    def weight(self, *shape: int) -> Value:
        return self.builder.weight(np.float32(self.rng.normal(size=shape)))

    def number(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def pairs(self, high: int) -> tuple:
        return tuple((self.number(0, high), self.number(0, high)) for _ in range(2))

    def linear(self, x: Value) -> Value | None:
        if x.type.rank != 4:
            flat = self.builder.add("reshape", x, shape=(-1, x.shape[-1])) if x.shape else None
            if flat is None:
                return None
            turn = bool(self.rng.integers(2))
            n, k = self.number(1, 5), x.shape[-1]
            w = self.weight(*((n, k) if turn else (k, n)))
            made = self.builder.add("matmul", flat, w, transpose_b=turn)
            return self.builder.add("reshape", made, shape=(*x.shape[:-1], n))
        _, high, wide, channels = x.shape
        op = ("conv2d", "depthwise_conv2d", "conv2d_transpose", "matmul")[self.number(0, 3)]
        kernel = self.number(1, min(3, high)), self.number(1, min(3, wide))
        strides = self.number(1, 2), self.number(1, 2)
        padding = self.pairs(1) if self.rng.random() < 0.5 else ((0, 0), (0, 0))
        if op == "matmul":
            return self.builder.add("matmul", x, self.weight(channels, self.number(1, 4)))
        if op == "conv2d_transpose":
            if self.rng.random() < 0.5:
                strides = strides[0], strides[0]
            # The sizes whose convolution with this kernel, stride and padding gives x.
            sizes = [
                (n - 1) * s + k - sum(p) + self.number(0, s - 1)
                for n, s, k, p in zip((high, wide), strides, kernel, padding)
            ]
            if min(sizes) < 1 or any(sum(p) >= k for p, k in zip(padding, kernel)):
                return None
            w = self.weight(*kernel, self.number(1, 3), channels)
            return self.builder.add(
                op, x, w, strides=strides, padding=padding, output_size=tuple(sizes)
            )
        last = (channels, self.number(1, 2 if op == "depthwise_conv2d" else 4))
        return self.builder.add(
            op, x, self.weight(*kernel, *last), strides=strides, padding=padding
        )

    def affine(self, x: Value) -> Value:
        channels = x.shape[-1] if x.shape else 1
        if x.shape and self.rng.random() < 0.3:
            parameters = [self.weight(channels) for _ in range(4)]
            parameters[1] = self.builder.weight(np.float32(self.rng.uniform(0.1, 2, channels)))
            return self.builder.add("batch_norm", x, *parameters, epsilon=1e-3)
        shapes = [(), (1,), (channels,), (*[1] * (x.type.rank - 1), channels)]
        shape = shapes[self.number(0, 3 if x.shape else 0)]
        constant = self.builder.weight(np.float32(self.rng.uniform(0.5, 2, shape)))
        if self.rng.random() < 0.1:
            constant = self.builder.weight(np.float32(self.rng.integers(0, 2)))
        op = ("add", "sub", "mul", "div")[self.number(0, 3)]
        if self.rng.random() < 0.25 and op != "div":
            return self.builder.add(op, constant, x)
        if op == "div" and (self.builder.array(constant) == 0).any():
            op = "mul"
        return self.builder.add(op, x, constant)

    def activate(self, x: Value) -> Value:
        op = ("relu", "relu6", "tanh", "sigmoid", "hard_swish", "abs", "neg")[self.number(0, 6)]
        made = self.builder.add(op, x)
        if self.rng.random() < 0.3:
            made = self.builder.add("mul", x, made)  # as in swish
        return made

    def combine(self, x: Value) -> Value:
        same = [v for v in self.values if v.shape == x.shape]
        other = same[self.rng.integers(len(same))]
        if self.rng.random() < 0.2 and x.shape:
            return self.builder.add("concat", x, other, axis=self.number(0, len(x.shape) - 1))
        if self.rng.random() < 0.2:
            positive = self.builder.add("greater", x, other)
            return self.builder.add("select", positive, x, other)
        return self.builder.add(("add", "mul", "maximum")[self.number(0, 2)], x, other)

    def move(self, x: Value) -> Value | None:
        rank = x.type.rank
        kind = self.number(0, 5)
        if rank == 0:
            return None
        if kind == 0:
            return self.builder.add("reshape", x, shape=(-1, x.shape[-1]))
        if kind == 1:
            perm = tuple(self.rng.permutation(rank).tolist())
            return self.builder.add("transpose", x, perm=perm)
        if kind == 2:
            begin = tuple(self.number(0, n - 1) for n in x.shape)
            size = tuple(self.number(1, n - b) for n, b in zip(x.shape, begin))
            return self.builder.add("slice", x, begin=begin, size=size)
        if kind == 3:
            paddings = [(0, 0)] * rank
            for axis in range(rank):
                if self.rng.random() < (0.7 if rank == 4 and axis in (1, 2) else 0.1):
                    paddings[axis] = (self.number(0, 2), self.number(0, 2))
            value = 0.0 if self.rng.random() < 0.7 else 0.5
            return self.builder.add("pad", x, paddings=tuple(paddings), value=value)
        axes = tuple(sorted(self.rng.permutation(rank)[: self.number(1, rank)].tolist()))
        if kind == 4:
            keep = bool(self.rng.integers(2))
            return self.builder.add("mean", x, axes=axes, keepdims=keep)
        return self.builder.add("reverse", x, axes=axes)

    def other(self, x: Value) -> Value | None:
        """What is neither linear, nor elementwise, nor simple movement. All continuous: a last
        bit of difference stays a last bit."""
        rank = x.type.rank
        if rank == 0:
            return None
        add = self.builder.add
        axis = self.number(-rank, rank - 1)
        kind = self.number(0, 7 if rank != 4 else 13)
        if kind == 0:
            return add(("softmax", "log_softmax")[self.number(0, 1)], x, axis=axis)
        if kind == 1:
            return add("tile", x, multiples=tuple(self.number(1, 2) for _ in x.shape))
        if kind == 2:
            begin = [self.number(0, n - 1) for n in x.shape]
            strides = [(-2, -1, 1, 2)[self.number(0, 3)] for _ in x.shape]
            end = [n if s > 0 else -1 for n, s in zip(x.shape, strides)]
            return add("strided_slice", x, begin=tuple(begin), end=tuple(end), strides=strides)
        if kind == 3:
            mode = ("reflect", "symmetric")[self.number(0, 1)]
            most = [n - (mode == "reflect") for n in x.shape]
            paddings = [(self.number(0, min(2, m)), self.number(0, min(2, m))) for m in most]
            return add("mirror_pad", x, paddings=tuple(paddings), mode=mode)
        if kind == 4:
            indices = self.rng.integers(0, x.shape[axis], (2, self.number(1, 3)))
            return add("gather", x, self.builder.weight(np.int32(indices)), axis=axis)
        if kind == 5:
            return add("top_k", x, k=self.number(1, x.shape[-1]))[0]
        if kind == 6:
            turn = bool(self.rng.integers(2))
            if rank < 2:
                return None
            return add("matmul", x, x, transpose_a=turn, transpose_b=not turn)
        if kind == 7:
            op = ("max", "min", "sum")[self.number(0, 2)]
            return add(op, x, axes=(axis,), keepdims=bool(self.rng.integers(2)))
        _, high, wide, channels = x.shape
        if kind in (8, 9):
            size = self.number(1, min(3, high)), self.number(1, min(3, wide))
            # Windows that lie in the padding only have no average.
            padding = tuple((self.number(0, s // 2), self.number(0, s // 2)) for s in size)
            strides = self.number(1, 2), self.number(1, 2)
            op = "max_pool" if kind == 8 else "avg_pool"
            return add(op, x, size=size, strides=strides, padding=padding)
        if kind in (10, 11):
            coordinates = ("half_pixel", "align_corners", "asymmetric")[self.number(0, 2)]
            size = self.number(1, 8), self.number(1, 8)
            op = "resize_bilinear" if kind == 10 else "resize_nearest"
            return add(op, x, size=size, coordinates=coordinates)
        if kind == 12:
            return add("depth_to_space", x, block=2) if channels % 4 == 0 else None
        if high % 2 or wide % 2:
            return None
        return add("space_to_depth", x, block=2)
