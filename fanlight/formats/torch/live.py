"""A live module or ExportedProgram -> a graph, by the user's own torch.

The program is serialized in memory, and read as a .pt2 file is; its tensors are taken from it as
they are, so nothing is pickled and older versions of torch serve as well.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.given import instead_of_model
from fanlight.formats.jsonfile import parse_json
from fanlight.formats.source import Options, Source
from fanlight.formats.together import told_apart
from fanlight.formats.torch.call import handler_of
from fanlight.formats.torch.program import Program, parse_program
from fanlight.formats.torch.reader import import_program, inventory


def read_torch(module: Any, example_inputs: Any, name: str | None, options: Options) -> Source:
    """The source of a live module or program."""
    # Whoever has a module has imported torch: nothing is installed or imported for others.
    torch = sys.modules.get("torch")
    export = None if torch is None else import_module("torch.export")
    is_module = torch is not None and isinstance(module, torch.nn.Module)
    is_program = export is not None and isinstance(module, export.ExportedProgram)
    if torch is None or not (is_module or is_program):
        received, todo = instead_of_model(module)
        raise FanlightError(
            "E-FORMAT-002",
            "this is neither a module nor a program of PyTorch.",
            where="fl.from_torch",
            expected="an nn.Module with example_inputs, or torch.export.export(...)'s result",
            received=received,
            next=todo or "a file is read by fl.load('model.pt2').",
        )
    called = name or (type(module).__name__ if is_module else "program")
    program = _exported(torch, module, example_inputs) if is_module else module
    where = f"the program {called!r}"
    if inventory(_parsed(torch, program, where).graph).unknown:
        program = _readable(torch, _decomposed(export, program, False), where) or program
    try:
        return _imported(torch, program, options, called, where)
    except FanlightError as error:
        if error.code == "E-FORMAT-013":
            # The operators were taken apart already, as far as PyTorch can.
            error.next = "export the part of the model before them, or ask for them in an issue."
        # What an importer refuses (a mode, an option) is often within the simpler operators.
        simple = _decomposed(export, program, True) if error.code == "E-FORMAT-012" else None
        if simple is None:
            raise
        try:
            return _imported(torch, simple, options, called, where)
        except FanlightError:
            raise error from None


def _imported(torch: Any, program: Any, options: Options, called: str, where: str) -> Source:
    def fetch(fqn: str, kind: str) -> np.ndarray:
        for held in (program.state_dict, program.constants):
            if fqn in held:
                return _array(torch, held[fqn], fqn)
        raise FanlightError(
            "E-FORMAT-011",
            "the program needs a tensor that it does not hold.",
            where=where,
            expected=fqn,
            received=f"{len(program.state_dict)} others",
        )

    parsed = _parsed(torch, program, where)

    def read(asked: Options) -> Source:
        return import_program(parsed, fetch, asked, called, where)

    return told_apart(read(options), options, read)


def _parsed(torch: Any, program: Any, where: str) -> Program:
    return parse_program(parse_json(_serialized(torch, program), where), where)


def _readable(torch: Any, program: Any, where: str) -> Any:
    """The program, unless its serialized form has something that is not read (checks of numbers
    that PyTorch keeps in order, for one).
    """
    try:
        return None if program is None else _parsed(torch, program, where) and program
    except FanlightError:
        return None


def _decomposed(export: Any, program: Any, handled: bool) -> Any:
    """The program in simpler operators; None if PyTorch cannot write it so.

    Args:
        handled: whether operators that have an importer are taken apart, too.
    """
    try:
        if handled or not hasattr(export, "default_decompositions"):
            return program.run_decompositions()
        table = export.default_decompositions()
        for op in list(table):
            if handler_of(str(op)):
                table.pop(op)
        return program.run_decompositions(table)
    except Exception:  # whatever stops PyTorch, the first program's own error tells more
        return None


def _exported(torch: Any, module: Any, example_inputs: Any) -> Any:
    name = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        raise FanlightError(
            "E-FORMAT-002",
            "TorchScript is not read: PyTorch has given it up for torch.export.",
            where=f"fl.from_torch({name})",
            expected="the nn.Module that was traced or scripted, or a program of torch.export",
            received=name,
            next="give the module itself: fl.from_torch(module, example_inputs).",
        )
    for part in module.modules():
        if ".quantized" in type(part).__module__ and type(part).__module__.startswith("torch."):
            raise FanlightError(
                "E-FORMAT-008",
                "a module is quantised in PyTorch's own packed form, which it does not export.",
                where=f"fl.from_torch({name})",
                expected="a module of floats",
                received=f"{type(part).__module__}.{type(part).__name__}",
                next="give the module as it was before quantize_dynamic or convert; "
                "fl.build(model, path, quantize='int8') quantises it here.",
            )
    if example_inputs is None:
        raise FanlightError(
            "E-FORMAT-017",
            "a module does not say the shapes of its inputs.",
            where="fl.from_torch",
            expected="example_inputs: tensors with which the module can be called",
            received="none",
            next="fl.from_torch(module, (torch.zeros(1, 3, 224, 224),)).",
        )
    # A mapping is of keyword arguments, as modules of transformers take their inputs.
    named = isinstance(example_inputs, Mapping)
    several = isinstance(example_inputs, list | tuple)
    given = () if named else tuple(example_inputs) if several else (example_inputs,)
    inputs = tuple(_as_tensor(torch, x) for x in given)
    keywords = {str(k): _as_tensor(torch, x) for k, x in (example_inputs if named else {}).items()}
    # Each part has its own flag: a frozen batch norm in a module that is trained, for one.
    training = {part: part.training for part in module.modules()}
    try:
        module.eval()
        with torch.no_grad():
            try:
                return torch.export.export(module, inputs, keywords)
            except Exception as error:
                raise _unexported(module, inputs, keywords, error) from None
    finally:
        for part, flag in training.items():
            part.training = flag


def _as_tensor(torch: Any, value: Any) -> Any:
    return torch.as_tensor(value) if isinstance(value, np.ndarray) else value


def _unexported(
    module: Any, inputs: tuple[Any, ...], keywords: dict[str, Any], error: Exception
) -> FanlightError:
    """Why PyTorch does not export a module, and what to do: the inputs do not fit, or its code."""
    where = f"fl.from_torch({type(module).__name__})"
    by_name = [f"{k}={_shown(x)}" for k, x in keywords.items()]
    shapes = ", ".join([*map(_shown, inputs), *by_name])[:200]
    try:
        module(*inputs, **keywords)
    except Exception as own:
        return FanlightError(
            "E-FORMAT-018",
            "the module cannot be called with the example inputs.",
            where=where,
            expected="example_inputs with which module(*example_inputs) works, or for a dict "
            "module(**example_inputs)",
            received=f"{shapes}: {_line(own)}",
            next="give them as a tuple, one for each argument: "
            "fl.from_torch(module, (torch.zeros(1, 3, 224, 224),)); or as a dict of keyword "
            "arguments: fl.from_torch(module, {'input_ids': ids}). A dict that is itself an "
            "argument is given in a tuple: (batch,).",
        )
    if "data-dependent" in str(error) or "DataDependent" in type(error).__name__:
        return FanlightError(
            "E-FORMAT-019",
            "the module decides by the numbers of its input what it computes.",
            where=where,
            expected="one way for all inputs of a shape",
            received=_line(error),
            next="write torch.where(condition, a, b) in place of `if`, and no .item() or loops "
            "whose length depends on numbers; torch.export.export(module, inputs) names the line.",
        )
    return FanlightError(
        "E-FORMAT-012",
        "PyTorch cannot export the module.",
        where=where,
        expected="a module for which torch.export.export(module.eval(), example_inputs) works",
        received=f"{type(error).__name__}: {_line(error)}",
        next="call torch.export.export(module.eval(), example_inputs) for the whole report, and "
        "give its program to fl.from_torch; or export the part of the module that it can.",
    )


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{value.dtype} {tuple(shape)}"


def _line(error: Exception) -> str:
    """The first line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:240]


def _serialized(torch: Any, program: Any) -> bytes:
    try:
        saved = _saved(torch, program)
    except NotImplementedError:
        # Results such as those of torch.topk have classes of their own, that are not saved.
        saved = _saved_as_tuples(torch, program)
    except Exception as error:
        raise FanlightError(
            "E-FORMAT-012",
            "PyTorch cannot serialize the program.",
            where="fl.from_torch",
            expected="a program that torch.export.save writes down",
            received=f"{type(error).__name__}: {_line(error)}",
            next="numbers that a branch of torch.cond writes into a tensor are given to it as "
            "tensors of outside; torch.export.save(program, path) gives the whole report.",
        ) from None
    with zipfile.ZipFile(saved) as file:
        for name in file.namelist():
            last = Path(name)
            if last.parts[-2:-1] == ("models",) and last.suffix == ".json":
                return file.read(name)
            if last.name == "serialized_exported_program.json":
                return file.read(name)
    raise FanlightError(
        "E-FORMAT-002",
        "this version of PyTorch saves programs in a way that Fanlight does not know.",
        where="fl.from_torch",
        expected="PyTorch 2.5 to 2.13",
        received=str(getattr(torch, "__version__", "?")),
    )


def _saved(torch: Any, program: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    return buffer


def _saved_as_tuples(torch: Any, program: Any) -> io.BytesIO:
    """The program saved as one whose named tuples are plain ones."""
    tree = import_module("torch.utils._pytree")
    signatures = [e.signature for e in program.module_call_graph if e.signature is not None]
    specs = [s.out_spec for s in signatures]
    try:
        for signature, spec in zip(signatures, specs, strict=True):
            whole = tree.tree_unflatten(list(range(spec.num_leaves)), spec)
            signature.out_spec = tree.tree_structure(_plain(whole))
        return _saved(torch, program)
    finally:
        for signature, spec in zip(signatures, specs, strict=True):
            signature.out_spec = spec


def _plain(value: Any) -> Any:
    """The same leaves in the same order, of named tuples in a dict: its keys name outputs."""
    names = getattr(type(value), "__match_args__", None)  # of named tuples of all kinds
    if isinstance(value, tuple) and names and len(names) == len(value):
        return {k: _plain(v) for k, v in zip(names, value, strict=True)}
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if type(value) is dict:
        return {k: _plain(v) for k, v in value.items()}
    return value


def _array(torch: Any, tensor: Any, fqn: str) -> np.ndarray:
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if plain.is_complex():
        plain = plain.to(torch.complex64)
    if plain.dtype in (torch.bfloat16, torch.float16):
        plain = plain.float()
    try:
        array: np.ndarray = plain.contiguous().numpy()
    except (TypeError, RuntimeError) as error:
        raise FanlightError(
            "E-FORMAT-008",
            "a tensor of the program is none that NumPy knows.",
            where=fqn,
            expected="dense floats, whole numbers or bool",
            received=f"{plain.dtype}: {error}"[:120],
        ) from None
    return array
