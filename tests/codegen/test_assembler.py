"""The opcode table against an independent assembler; the operand stack; blocks; modules."""

from __future__ import annotations

import pytest
import wasmtime

from fanlight.codegen.wasm.assembler import Function
from fanlight.codegen.wasm.module import SHARED, Module
from fanlight.codegen.wasm.opcodes import OPCODES, RELAXED, VALUE_TYPES, signed, unsigned
from fanlight.errors import FanlightError


def engine(*, relaxed: bool = True, threads: bool = False) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_relaxed_simd = relaxed
    config.wasm_threads = threads
    return wasmtime.Engine(config)


def instance(module: Module) -> tuple[wasmtime.Store, wasmtime.InstanceExports, wasmtime.Memory]:
    store = wasmtime.Store(engine())
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(module.pages, None)))
    compiled = wasmtime.Module(store.engine, module.encode())
    return store, wasmtime.Instance(store, compiled, [memory]).exports(store), memory


def function(params: tuple[str, ...] = (), results: tuple[str, ...] = ()) -> Function:
    return Module().function("f", params, results)


# --- opcodes --------------------------------------------------------------------------------------

SHUFFLE = tuple(range(3, 19))


@pytest.mark.parametrize("name", OPCODES)
def test_every_opcode_is_what_the_specification_says(name: str) -> None:
    """Our bytes and those of an independent assembler for the same one-instruction function."""
    row = OPCODES[name]
    immediates, text = {
        "": ((), ""),
        "mem": ((20,), "offset=20 align=1"),
        "atomic": ((20,), "offset=20"),
        "lane": ((1,), "1"),
        "mem lane": ((20, 1), "offset=20 align=1 1"),
        "shuffle": (SHUFFLE, " ".join(map(str, SHUFFLE))),
        "zero": ((), ""),
        "zero zero": ((), ""),
    }[row.immediate]
    module = Module()
    f = module.function("f", row.operands, row.results, export=True)
    for local in f.params:
        f.get(local)
    f.op(name, *immediates)
    params = f"(param {' '.join(row.operands)})" if row.operands else ""
    results = f"(result {' '.join(row.results)})" if row.results else ""
    gets = " ".join(f"local.get {i}" for i in range(len(row.operands)))
    theirs = wasmtime.wat2wasm(
        f'(module (import "fanlight" "memory" (memory 1)) (func (export "f") {params} {results} '
        f"{gets} {name} {text}))"
    )
    ours = module.encode()
    assert ours == bytes(theirs)
    wasmtime.Module.validate(engine(threads="atomic" in name), ours)


def test_relaxed_instructions_are_known() -> None:
    assert {n for n in OPCODES if "relaxed" in n} == RELAXED


@pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, 300, 2**31, 2**32 - 1])
def test_unsigned_numbers(value: int) -> None:
    data, result = unsigned(value), 0
    for position, byte in enumerate(data):
        assert (byte >= 128) == (position < len(data) - 1)
        result |= (byte & 127) << 7 * position
    assert result == value


@pytest.mark.parametrize("value", [0, 1, -1, 63, 64, -64, -65, 127, -128, 2**31 - 1, -(2**31)])
def test_signed_numbers_come_back(value: int) -> None:
    assert signed(value)[-1] < 128
    module = Module()
    module.function("f", (), ("i32",), export=True).i32(value)
    store, exports, _ = instance(module)
    assert exports["f"](store) == value


# --- the operand stack ----------------------------------------------------------------------------


def refused(message: str):  # type: ignore[no-untyped-def]
    return pytest.raises(FanlightError, match=message)


def test_wrong_operands_are_refused_where_they_are_emitted() -> None:
    with refused("another type") as caught:
        function().i32(1).f32(1.0).op("i32.add")
    assert caught.value.code == "E-BUILD-008"
    assert (caught.value.expected, caught.value.received) == ("i32", "f32")
    with refused("stack empty"):
        function().i32(1).op("i32.add")
    with refused("stack empty"):
        function().drop()
    with refused("three operands"):
        function().i32(1).i32(1).select()
    with refused("another type"):
        function().f32(1.0).f32(2.0).i32(1).i32(1).select()
    f = function(("v128",))
    with refused("another type"):
        f.i32(1).set(f.params[0])


def test_wrong_immediates_are_refused() -> None:
    with refused("no such instruction"):
        function().op("i32.frobnicate")
    with refused("out of range"):
        function().i32(2**32)
    with refused("takes an offset"):
        function().i32(0).load(-1)
    with refused("no immediates"):
        function().i32(1).i32(2).op("i32.add", 3)
    with refused("16 bytes"):
        function().v128(b"123")
    with refused("16 indices"):
        function().f32x4(0.0).f32x4(0.0).op("i8x16.shuffle", 1, 2)
    with refused("no such value type"):
        function().local("f16")


def test_a_function_must_end_with_its_results() -> None:
    with refused("stack empty"):
        function((), ("i32",)).finish()
    with refused("leaves operands"):
        function().i32(1).finish()
    f = function((), ("i32",))
    f.unreachable().finish()


def test_blocks_must_be_balanced() -> None:
    f = function()
    with refused("leaves operands"), f.block():
        f.i32(1)
    f = function()
    with refused("stack empty"):
        f.i32(1)
        with f.block():
            f.drop()
    f = function()
    with f.block() as gone:
        pass
    with refused("has ended"):
        f.br(gone)
    with refused("outside an if"):
        f.else_()


def test_after_a_branch_any_operand_may_be_taken() -> None:
    f = function((), ("i32",))
    with f.block() as done:
        f.br(done).op("i32.add").drop()
    f.i32(7)
    f.finish()


# --- structure ------------------------------------------------------------------------------------


def compute(build, *args: int) -> int:  # type: ignore[no-untyped-def]
    """What a function of i32s built by build(f) returns, in wasmtime."""
    module = Module()
    build(module.function("f", ("i32",) * len(args), ("i32",), export=True))
    store, exports, _ = instance(module)
    return exports["f"](store, *args)


@pytest.mark.parametrize("known", ["both", "low", "high", "neither"])
@pytest.mark.parametrize(("low", "high", "step"), [(0, 10, 1), (3, 11, 4), (5, 5, 1), (6, 2, 1)])
def test_range(low: int, high: int, step: int, known: str) -> None:
    def build(f: Function) -> None:
        i, total = f.locals(2, "i32")
        first = low if known in ("both", "low") else f.params[0]
        last = high if known in ("both", "high") else f.params[1]
        with f.range(i, first, last, step):
            f.get(total).i32(7).op("i32.mul").get(i).op("i32.add").set(total)
        f.get(total)

    wanted = 0
    for i in range(low, high, step):
        wanted = wanted * 7 + i
    assert compute(build, low, high) == wanted


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_repeat(count: int) -> None:
    def build(f: Function) -> None:
        with f.repeat(count):
            f.advance(f.params[0], 3)
        f.get(f.params[0])

    assert compute(build, 5) == 5 + 3 * count


@pytest.mark.parametrize(("value", "wanted"), [(0, 20), (1, 10), (-4, 10)])
def test_if_else(value: int, wanted: int) -> None:
    def build(f: Function) -> None:
        result = f.local("i32")
        f.get(f.params[0])
        with f.if_():
            f.i32(10).set(result)
            f.else_()
            f.i32(20).set(result)
        f.get(result)

    assert compute(build, value) == wanted


@pytest.mark.parametrize(("value", "wanted"), [(0, 100), (1, 101), (2, 102), (9, 102)])
def test_br_table(value: int, wanted: int) -> None:
    def build(f: Function) -> None:
        with f.block() as two:
            with f.block() as one:
                with f.block() as zero:
                    f.get(f.params[0]).br_table([zero, one], two)
                f.i32(100).return_()
            f.i32(101).return_()
        f.i32(102)

    assert compute(build, value) == wanted


@pytest.mark.parametrize("factor", [0, 1, 2, 3, 64, -5])
def test_times_and_plus(factor: int) -> None:
    assert compute(lambda f: f.get(f.params[0]).times(factor).plus(-2), 7) == 7 * factor - 2


def test_select_of_every_type() -> None:
    for type in VALUE_TYPES:
        module = Module()
        f = module.function("f", (type, type, "i32"), (type,), export=True)
        f.get(f.params[0]).get(f.params[1]).get(f.params[2]).select()
        wasmtime.Module(engine(), module.encode())


def test_held_constants_are_locals() -> None:
    f = function()
    six = bytes.fromhex("0000c040") * 4
    with f.holding([six]):
        before = len(f.code)
        f.f32x4(6.0).drop()
        assert len(f.code) - before < 5
    before = len(f.code)
    f.f32x4(6.0).drop()
    assert len(f.code) - before == 19


# --- modules --------------------------------------------------------------------------------------


def test_equal_keys_share_a_function() -> None:
    module = Module()
    made = []

    def emit(module: Module, name: str) -> None:
        made.append(name)
        module.function(name, ("i32",), ("i32",)).get(module._functions[-1].params[0]).plus(1)

    first, second = module.define("increment", emit), module.define("increment", emit)
    assert first == second
    assert made == [first]
    f = module.function("f", (), ("i32",), export=True)
    f.i32(3).call(first).call(second)
    store, exports, _ = instance(module)
    assert exports["f"](store) == 5
    assert set(module.sizes()) == {"increment", "f"}


def test_mistakes_in_modules_are_refused() -> None:
    module = Module()
    module.function("f", ())
    with refused("one name"):
        module.function("f", ())
    with refused("not there"):
        module.export("g")
    with refused("no function"):
        module.define("nothing", lambda module, name: None)
    plain = Module(relaxed_simd=False)
    plain.function("f", ()).f32x4(1.0).f32x4(1.0).f32x4(1.0).op("f32x4.relaxed_madd").drop()
    with refused("relaxed SIMD"):
        plain.encode()


def test_relaxed_modules_are_refused_by_engines_without_it() -> None:
    module = Module()
    module.function("f", ()).f32x4(1.0).f32x4(1.0).f32x4(1.0).op("f32x4.relaxed_madd").drop()
    wasmtime.Module(engine(relaxed=True), module.encode())
    with pytest.raises(wasmtime.WasmtimeError):
        wasmtime.Module(engine(relaxed=False), module.encode())


def test_shared_memory() -> None:
    """One byte makes the module one that imports a shared memory, however much is before it."""
    module = Module(2, maximum=5)
    for i in range(80):
        module.function(f"f{i}", ("i32",) * i, export=i == 0)
    code = bytearray(module.encode())
    (memory,) = wasmtime.Module(engine(threads=True), bytes(code)).imports
    assert not memory.type.is_shared
    assert code[module.memory_flags] == 1
    code[module.memory_flags] = SHARED
    (memory,) = wasmtime.Module(engine(threads=True), bytes(code)).imports
    assert memory.type.is_shared
    assert (memory.module, memory.name) == ("fanlight", "memory")
    assert memory.type.limits.min == 2
    assert memory.type.limits.max == 5
