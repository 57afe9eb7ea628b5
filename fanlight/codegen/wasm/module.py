"""A WebAssembly module: functions that share one imported memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fanlight.codegen.wasm.assembler import Function, Signature
from fanlight.codegen.wasm.opcodes import VALUE_TYPES, unsigned
from fanlight.errors import FanlightError

MEMORY_IMPORT = ("fanlight", "memory")
SHARED = 3  # flags of a shared memory, which has a maximum
_HEADER = b"\0asm\x01\0\0\0"


class Module:
    """Functions under construction and how they are seen from outside.

    Args:
        pages: least size of the imported memory in 64 KiB pages.
        maximum: its largest size; without one the memory can never be shared.
        relaxed_simd: whether functions may use relaxed SIMD instructions.
    """

    def __init__(
        self,
        pages: int = 1,
        *,
        maximum: int | None = None,
        relaxed_simd: bool = True,
    ) -> None:
        self.pages = pages
        self.maximum = maximum
        self.relaxed_simd = relaxed_simd
        self._functions: list[Function] = []
        self._index: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._exports: list[tuple[str, str]] = []

    def function(
        self, name: str, params: Sequence[str], results: Sequence[str] = (), *, export: bool = False
    ) -> Function:
        """A new function; build it before calling it from another one is encoded.

        Args:
            name: unique in the module.
            params, results: value types, e.g. ("i32", "i32").
            export: whether hosts can call it by this name.
        """
        if name in self._index:
            raise FanlightError("E-BUILD-008", "two functions have one name.", where=name)
        signature = Signature(tuple(params), tuple(results))
        function = Function(name, signature, self.resolve, relaxed_simd=self.relaxed_simd)
        self._index[name] = len(self._functions)
        self._functions.append(function)
        if export:
            self.export(name)
        return function

    def define(self, key: str, emit: Callable[[Module, str], None]) -> str:
        """The name of the function with this key, emitted on first use.

        `emit(module, name)` adds the function. Equal keys share one function, so a key must tell
        everything that the code depends on.
        """
        name = self._keys.get(key)
        if name is None:
            name = self._keys[key] = f"f{len(self._keys)}"
            emit(self, name)
            if name not in self._index:
                raise FanlightError("E-BUILD-008", "a kernel emitted no function.", where=key)
        return name

    def export(self, name: str, as_name: str | None = None) -> None:
        """Let hosts call a function by `as_name` (its own name if left out)."""
        self.resolve(name)
        self._exports.append((as_name or name, name))

    def resolve(self, name: str) -> tuple[int, Signature]:
        """Index and signature of a function, for `Function.call`."""
        index = self._index.get(name)
        if index is None:
            raise FanlightError(
                "E-BUILD-008", "a call goes to a function that is not there.", where=name
            )
        return index, self._functions[index].signature

    def sizes(self) -> dict[str, int]:
        """Bytes of code per function key, to see what makes a module large."""
        names = {name: key for key, name in self._keys.items()}
        return {names.get(f.name, f.name): len(f.code) for f in self._functions}

    def _types(self) -> dict[Signature, int]:
        types: dict[Signature, int] = {}
        for function in self._functions:
            types.setdefault(function.signature, len(types))
        return types

    @property
    def memory_flags(self) -> int:
        """Where in the encoded module the byte stands that says what memory it imports.

        It is 1 if there is a maximum. With 3 instead (`SHARED`), the same module imports a memory
        that is shared between threads.
        """
        types = _section(1, [_signature(t) for t in self._types()])
        names = sum(len(_text(name)) for name in MEMORY_IMPORT)
        head = len(_section(2, [self._import()])) - len(self._import())
        return len(_HEADER) + len(types) + head + names + 1  # 1: "a memory"

    def _import(self) -> bytes:
        limits = bytes([self.maximum is not None]) + unsigned(self.pages)
        if self.maximum is not None:
            limits += unsigned(self.maximum)
        return _text(MEMORY_IMPORT[0]) + _text(MEMORY_IMPORT[1]) + b"\x02" + limits

    def encode(self) -> bytes:
        """The module as bytes."""
        types = self._types()
        for function in self._functions:
            if function.uses_relaxed and not self.relaxed_simd:
                raise FanlightError(
                    "E-BUILD-008",
                    "a function uses relaxed SIMD in a module without it.",
                    where=function.name,
                )
        exports = [
            _text(out) + b"\x00" + unsigned(self._index[name]) for out, name in self._exports
        ]
        sections = [
            (1, [_signature(t) for t in types]),
            (2, [self._import()]),
            (3, [unsigned(types[f.signature]) for f in self._functions]),
            (7, exports),
            (10, [f.finish() for f in self._functions]),
        ]
        return _HEADER + b"".join(_section(number, items) for number, items in sections)


def _text(name: str) -> bytes:
    data = name.encode()
    return unsigned(len(data)) + data


def _signature(signature: Signature) -> bytes:
    return b"\x60" + _types(signature.params) + _types(signature.results)


def _types(types: Sequence[str]) -> bytes:
    return unsigned(len(types)) + bytes(VALUE_TYPES[t] for t in types)


def _section(number: int, items: Sequence[bytes]) -> bytes:
    body = unsigned(len(items)) + b"".join(items)
    return bytes([number]) + unsigned(len(body)) + body
