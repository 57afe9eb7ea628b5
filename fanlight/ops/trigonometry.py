"""Angles and hyperbolic functions, element by element, float32; angles are in radians."""

from __future__ import annotations

from typing import Any

from fanlight.ops import functions
from fanlight.ops import scalar as sc
from fanlight.ops.pointwise import pointwise
from fanlight.ops.row import Row

_TOL = {"float32": 2e-6}


def trigonometric(name: str, scalar: Any, doc: str, partial: Any, **options: Any) -> Row:
    """y = f(x), with the derivative as a function of x and y."""
    return pointwise(
        name,
        1,
        scalar,
        family="trigonometry",
        doc=doc,
        partials=lambda x, y: [partial(x, y)],
        tol=options.pop("tol", _TOL),
        **options,
    )


trigonometric(
    "tan",
    lambda x: sc.make("sin", x) / sc.make("cos", x),
    "Tangent, as sin(x) / cos(x). Source: numpy.tan.",
    lambda x, y: 1 + y * y,
    tol={"float32": 5e-5},
)
trigonometric(
    "asin",
    lambda x: functions.atan(x / sc.sqrt((1 - x) * (1 + x))),
    "Arc sine, from -pi / 2 to pi / 2; NaN for |x| > 1. Source: numpy.arcsin.",
    lambda x, y: 1 / sc.sqrt((1 - x) * (1 + x)),
)
trigonometric(
    "acos",
    lambda x: 2 * functions.atan(sc.sqrt((1 - x) / (1 + x))),
    "Arc cosine, from 0 to pi; NaN for |x| > 1. Source: numpy.arccos.",
    lambda x, y: -1 / sc.sqrt((1 - x) * (1 + x)),
)
trigonometric(
    "atan",
    functions.atan,
    "Arc tangent, from -pi / 2 to pi / 2. Source: numpy.arctan.",
    lambda x, y: 1 / (1 + x * x),
)
trigonometric(
    "sinh",
    functions.sinh,
    "Hyperbolic sine. Source: numpy.sinh.",
    lambda x, y: functions.cosh(x),
    tol={"float32": 1e-5},
)
trigonometric(
    "cosh",
    functions.cosh,
    "Hyperbolic cosine. Source: numpy.cosh.",
    lambda x, y: functions.sinh(x),
    tol={"float32": 1e-5},
)
trigonometric(
    "asinh",
    functions.asinh,
    "Inverse of sinh. Source: numpy.arcsinh.",
    lambda x, y: 1 / sc.sqrt(x * x + 1),
)
trigonometric(
    "acosh",
    functions.acosh,
    "Inverse of cosh, at least 0; NaN for x < 1. Source: numpy.arccosh.",
    lambda x, y: 1 / sc.sqrt((x - 1) * (x + 1)),
)
trigonometric(
    "atanh",
    functions.atanh,
    "Inverse of tanh; infinite at -1 and 1, NaN beyond. Source: numpy.arctanh.",
    lambda x, y: 1 / ((1 - x) * (1 + x)),
)
pointwise(
    "hypot",
    2,
    functions.hypot,
    family="trigonometry",
    doc="sqrt(a^2 + b^2), without overflow on the way; the gradient at (0, 0) is 0. Source: IEEE "
    "754-2019, 9.2.1.",
    tol=_TOL,
    partials=lambda a, b, y: [
        sc.where(sc.equal(y, 0.0), 0.0, side / sc.where(sc.equal(y, 0.0), 1.0, y))
        for side in (a, b)
    ],
)
pointwise(
    "atan2",
    2,
    functions.atan2,
    family="trigonometry",
    doc="The angle of the point (b, a): the arc tangent of a / b in the right quadrant, from -pi "
    "to pi; 0 for (0, 0). Unlike NumPy's it takes a = -0 for 0. Source: IEEE 754-2019, 9.2.1.",
    tol=_TOL,
    partials=lambda y, x, angle: [x / (x * x + y * y), -y / (x * x + y * y)],
)
