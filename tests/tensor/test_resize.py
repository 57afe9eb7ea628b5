"""Resizing and boxes against ONNX's reference implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.tensor.image import grid_sample
from fanlight.tensor.resize import COORDINATES, ROUNDINGS, filter_matrix, resize, roi_align
from tests.tensor.test_image import differences, normal

onnx = pytest.importorskip("onnx", reason="onnx is not installed, the oracle of resizing")


def reference(op: str, inputs: list[np.ndarray | None], opset: int = 20, **attrs: Any) -> Any:
    """One node through ONNX's own evaluator."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    given = [
        helper.make_tensor_value_info(n, kinds[str(x.dtype)], list(x.shape))
        for n, x in zip(names, inputs, strict=True)
        if x is not None
    ]
    node = helper.make_node(op, names, ["y"], **{k: v for k, v in attrs.items() if v is not None})
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", given, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    feed = {n: x for n, x in zip(names, inputs, strict=True) if x is not None}
    return ReferenceEvaluator(model).run(None, feed)[0]


def same(function: Any, args: tuple[Any, ...], expected: np.ndarray, tol: float = 3e-5) -> None:
    for found in (function(*args), fl.jit(function)(*args)):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected, rtol=tol, atol=tol)


PLACES = [c for c in COORDINATES if c != "tf_half_pixel_for_nn"]


@pytest.mark.parametrize("coordinates", PLACES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("by", ["sizes", "scales"])
def test_resize_is_onnx_s(coordinates: str, mode: str, by: str) -> None:
    x = normal(2, 5, 4, 3)
    roi = [0.0625, -0.25, 0.875, 1.375]
    for row, (first, second) in enumerate([(3, 9), (10, 2), (1, 4)]):
        scales = np.array([first / 5 + 0.03, second / 4 + 0.07], np.float32)
        sizes = np.array([first, second], np.int64)
        rounding = ROUNDINGS[row]
        excluded = mode == "cubic" and row == 1
        a = -0.5 if row == 2 else -0.75
        expected = reference(
            "Resize",
            [
                x,
                np.array(roi, np.float32) if coordinates == "tf_crop_and_resize" else None,
                scales if by == "scales" else None,
                sizes if by == "sizes" else None,
            ],
            axes=[1, 2],
            mode=mode,
            coordinate_transformation_mode=coordinates,
            nearest_mode=rounding if mode == "nearest" else None,
            cubic_coeff_a=a,
            exclude_outside=int(excluded),
            extrapolation_value=7.0,
        )

        def ours(
            x: Any,
            sizes: Any = sizes,
            scales: Any = scales,
            rounding: str = rounding,
            a: float = a,
            excluded: bool = excluded,
        ) -> Any:
            given = {"sizes": sizes.tolist()} if by == "sizes" else {"scales": scales.tolist()}
            return resize(
                x,
                **given,
                axes=[1, 2],
                mode=mode,
                coordinates=coordinates,
                rounding=rounding,
                cubic_coefficient=a,
                exclude_outside=excluded,
                extrapolation_value=7.0,
                roi=roi,
            )

        same(ours, (x,), expected)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
def test_every_rounding(coordinates: str, rounding: str) -> None:
    x = normal(1, 4, 6, 2)
    for sizes in ([8, 3], [2, 12], [7, 5]):
        expected = reference(
            "Resize",
            [x, None, None, np.array(sizes, np.int64)],
            axes=[1, 2],
            mode="nearest",
            coordinate_transformation_mode=coordinates,
            nearest_mode=rounding,
        )
        same(
            lambda x, sizes=sizes: resize(x, sizes, None, [1, 2], "nearest", coordinates, rounding),
            (x,),
            expected,
            0,
        )


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("excluded", [False, True])
def test_antialias(mode: str, excluded: bool) -> None:
    x = normal(1, 2, 9, 7)
    for sizes in ([4, 3], [2, 10]):
        expected = reference(
            "Resize",
            [x, None, None, np.array(sizes, np.int64)],
            axes=[2, 3],
            mode=mode,
            antialias=1,
            exclude_outside=int(excluded),
        )
        same(
            lambda x, sizes=sizes: resize(
                x, sizes, None, [2, 3], mode, exclude_outside=excluded, antialias=True
            ),
            (x,),
            expected,
        )


def test_policies_ranks_and_dtypes() -> None:
    x = normal(4, 6)
    for policy in ("not_larger", "not_smaller"):
        expected = reference(
            "Resize",
            [x, None, None, np.array([7, 8], np.int64)],
            mode="linear",
            keep_aspect_ratio_policy=policy,
        )
        same(lambda x, p=policy: resize(x, [7, 8], policy=p), (x,), expected)
    line = normal(5)
    same(
        lambda x: resize(x, scales=[2.0]),
        (line,),
        reference("Resize", [line, None, np.array([2.0], np.float32)], mode="linear"),
    )
    whole = np.arange(6, dtype=np.int32).reshape(2, 3)
    grown = resize(whole, scales=[2, 2], mode="nearest", coordinates="asymmetric", rounding="floor")
    assert grown.dtype == "int32"
    np.testing.assert_array_equal(grown.numpy(), whole.repeat(2, 0).repeat(2, 1))
    # The middle of each pair, where TensorFlow's old rule picks an element.
    row = resize(np.arange(4.0), [2], None, None, "nearest", "tf_half_pixel_for_nn", "floor")
    assert row.tolist() == [1.0, 3.0]


def test_resize_has_gradients() -> None:
    x = normal(1, 4, 5, 2)
    for mode in ("linear", "cubic", "nearest"):
        differences(
            lambda x, m=mode: resize(x, [7, 3], None, [1, 2], m, "pytorch_half_pixel"), (x,)
        )


def test_weights_of_a_filter_sum_to_one() -> None:
    for mode in ("linear", "cubic"):
        matrix = filter_matrix(np.linspace(-1, 8, 30), 8, mode, 0.4, exclude_outside=True)
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_roi_align_is_onnx_s(mode: str, ratio: int, aligned: bool) -> None:
    x = normal(2, 3, 9, 8)
    boxes = np.array(
        [[0, 0, 7, 8], [2.2, 1.1, 5.5, 3.9], [-3, -2, 4, 5], [3, 3, 3.4, 3.2], [4, 4, 14, 9]],
        np.float32,
    )
    which = np.array([0, 1, 1, 0, 1], np.int64)
    if ratio == 0:  # as many places as ONNX takes, for boxes inside the image
        boxes, which = boxes[[0, 1, 3]], which[[0, 1, 3]]
    expected = reference(
        "RoiAlign",
        [x, boxes, which],
        mode=mode,
        output_height=2,
        output_width=3,
        sampling_ratio=ratio,
        spatial_scale=0.9,
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
    ).transpose(0, 2, 3, 1)
    image, numbers = x.transpose(0, 2, 3, 1).copy(), which.astype(np.int32)
    same(
        lambda x, b: roi_align(x, b, numbers, (2, 3), ratio, 0.9, aligned, mode),
        (image, boxes),
        expected,
    )


def test_roi_align_has_gradients() -> None:
    boxes = np.array([[0.3, 0.2, 3.1, 4.2], [1.2, 1.1, 4.4, 2.9]], np.float32)
    which = np.array([0, 1], np.int32)
    differences(lambda x: roi_align(x, boxes, which, (2, 2), 2), (normal(2, 5, 6, 2),))


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [0, 1])
def test_grid_sample_is_onnx_s(mode: str, padding: str, corners: int) -> None:
    x, grid = normal(2, 2, 4, 5), normal(2, 3, 4, 2)
    if (mode, padding) == ("cubic", "border"):
        # Beyond, PyTorch (as we do) clips the 16 pixels, and ONNX's evaluator the place itself.
        grid = np.tanh(grid)
    expected = reference(
        "GridSample", [x, grid], mode=mode, padding_mode=padding, align_corners=corners
    ).transpose(0, 2, 3, 1)
    ours = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    same(
        lambda x, g: grid_sample(x, g, ours, padding, bool(corners)),
        (x.transpose(0, 2, 3, 1).copy(), grid),
        expected,
        1e-4,
    )


def test_wrong_arguments_say_which() -> None:
    x = normal(1, 4, 4, 1)
    for code, options in (
        ("E-OP-005", {"sizes": [1, 2]}),
        ("E-OP-005", {}),
        ("E-OP-005", {"sizes": [1, 2, 2, 1], "scales": [1.0] * 4}),
        ("E-OP-005", {"scales": [0.0], "axes": [1]}),
        ("E-OP-005", {"sizes": [2, 2], "axes": [1, 1]}),
        ("E-OP-005", {"sizes": [2], "axes": [9]}),
        ("E-OP-004", {"sizes": [0], "axes": [1]}),
        ("E-OP-004", {"sizes": [1 << 30], "axes": [1]}),
        ("E-OP-005", {"sizes": [2], "axes": [1], "mode": "lanczos"}),
        ("E-OP-005", {"sizes": [2], "axes": [1], "mode": "nearest", "antialias": True}),
        ("E-OP-005", {"sizes": [2], "axes": [1], "coordinates": "tf_crop_and_resize"}),
    ):
        with pytest.raises(FanlightError) as caught:
            resize(x, **options)  # type: ignore[arg-type]
        assert caught.value.code == code, options
    with pytest.raises(FanlightError):
        roi_align(x, np.zeros((2, 4)), np.zeros(2, np.int32), (0, 1))
    with pytest.raises(FanlightError):
        roi_align(x, np.zeros((2, 4)), np.array([0, 5], np.int32), (1, 1))
