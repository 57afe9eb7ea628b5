"""The element types of ONNX tensors, and what stands for them in our graphs."""

from __future__ import annotations

from fanlight.errors import FanlightError

FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, STRING, BOOL = range(1, 10)
FLOAT16, DOUBLE, UINT32, UINT64, COMPLEX64, COMPLEX128, BFLOAT16 = range(10, 17)
F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, UINT4, INT4, F4E2M1, F8E8M0, UINT2, INT2 = range(17, 27)

NAMES = dict(
    enumerate(
        "UNDEFINED FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 STRING BOOL FLOAT16 DOUBLE UINT32 "
        "UINT64 COMPLEX64 COMPLEX128 BFLOAT16 FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 "
        "FLOAT8E5M2FNUZ UINT4 INT4 FLOAT4E2M1 FLOAT8E8M0 UINT2 INT2".split()
    )
)
# Browsers compute in 32 bits; whole numbers narrower than that keep their range by `LIMITS`.
_DTYPES = dict.fromkeys((FLOAT, FLOAT16, DOUBLE, BFLOAT16), "float32")
_DTYPES |= dict.fromkeys(
    (INT8, UINT16, INT16, INT32, INT64, UINT32, UINT64, UINT4, INT4, UINT2, INT2), "int32"
)
_DTYPES |= {UINT8: "uint8", BOOL: "bool"}
FLOATS = frozenset((FLOAT, FLOAT16, DOUBLE, BFLOAT16))
# The kind that a result has where nothing says more.
OF_DTYPE = {"float32": FLOAT, "int32": INT64, "uint8": UINT8, "bool": BOOL}
# Least and greatest number of the kinds that wrap around within int32.
LIMITS = {
    UINT8: (0, 255), INT8: (-128, 127), UINT16: (0, 65535), INT16: (-32768, 32767),
    UINT4: (0, 15), INT4: (-8, 7), UINT2: (0, 3), INT2: (-2, 1),
}  # fmt: skip


def dtype_of_kind(kind: int, where: object) -> str:
    """The dtype in our graphs; E-FORMAT-012 for texts, complex and 8-bit floating numbers."""
    found = _DTYPES.get(kind)
    if found is None:
        raise FanlightError(
            "E-FORMAT-012",
            f"tensors of {NAMES.get(kind, f'type {kind}')} are not computed with.",
            where=where,
            expected="FLOAT, FLOAT16, BFLOAT16, DOUBLE, whole numbers or BOOL",
            received=NAMES.get(kind, kind),
            next="cast them before the export, or cut the model where they are gone.",
        )
    return found
