"""What the array API standard asks of a tensor besides its operators."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanlight.tensor.core import Tensor


class Standard:
    """Attributes and methods of the standard; see fanlight.array_api."""

    __slots__ = ()

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        # By its name: that room looks down on this one.
        return import_module("fanlight.array_api").namespace_of(api_version)

    @property
    def mT(self) -> Tensor:
        """The matrices transposed: the last two dims exchanged."""
        result: Tensor = self.__array_namespace__().matrix_transpose(self)
        return result

    @property
    def device(self) -> str:
        """Where it is: "cpu"."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """The tensor itself, since there is one device; E-OP-005 if it is asked for another."""
        result: Tensor = self.__array_namespace__().asarray(self, device=device)
        return result

    def tobytes(self) -> bytes:
        """A copy of the numbers as they lie in memory, row by row."""
        found: bytes = self.numpy().tobytes()  # type: ignore[attr-defined]
        return found

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        options: dict[str, Any] = {"max_version": max_version, "dl_device": dl_device}
        array = self.numpy()  # type: ignore[attr-defined]
        # From version 1 on DLPack can say that memory is not to be written. Others get a copy.
        if copy or max_version is None or max_version[0] < 1:
            array = array.copy()
        return array.__dlpack__(stream=stream, **options)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self.numpy().__dlpack_device__()  # type: ignore[attr-defined]
        return device
