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

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        # DLPack cannot say that memory is not to be written, so it gets memory of its own.
        options: dict[str, Any] = {"max_version": max_version, "dl_device": dl_device}
        return self.numpy().copy().__dlpack__(stream=stream, **options)  # type: ignore[attr-defined]

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self.numpy().__dlpack_device__()  # type: ignore[attr-defined]
        return device
