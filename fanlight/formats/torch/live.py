"""A live module or ExportedProgram -> a graph, by the user's own torch.

The program is serialized in memory, and read as a .pt2 file is; its tensors are taken from it as
they are, so nothing is pickled and older versions of torch serve as well.
"""

from __future__ import annotations

import io
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.jsonfile import parse_json
from fanlight.formats.source import Options, Source
from fanlight.formats.together import told_apart
from fanlight.formats.torch.program import parse_program
from fanlight.formats.torch.reader import import_program


def read_torch(module: Any, example_inputs: Any, name: str | None, options: Options) -> Source:
    """The source of a live module or program."""
    # Whoever has a module has imported torch: nothing is installed or imported for others.
    torch = sys.modules.get("torch")
    export = None if torch is None else import_module("torch.export")
    is_module = torch is not None and isinstance(module, torch.nn.Module)
    is_program = export is not None and isinstance(module, export.ExportedProgram)
    if torch is None or not (is_module or is_program):
        raise FanlightError(
            "E-FORMAT-002",
            "this is neither a module nor a program of PyTorch.",
            where="fl.from_torch",
            expected="an nn.Module with example_inputs, or torch.export.export(...)'s result",
            received=repr(type(module)),
            next="a file is read by fl.load('model.pt2').",
        )
    called = name or (type(module).__name__ if is_module else "program")
    program = _exported(torch, module, example_inputs) if is_module else module
    json = _serialized(torch, program)
    where = f"the program {called!r}"
    parsed = parse_program(parse_json(json, where), where)

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

    def read(asked: Options) -> Source:
        return import_program(parsed, fetch, asked, called, where)

    return told_apart(read(options), options, read)


def _exported(torch: Any, module: Any, example_inputs: Any) -> Any:
    if example_inputs is None:
        raise FanlightError(
            "E-FORMAT-017",
            "a module does not say the shapes of its inputs.",
            where="fl.from_torch",
            expected="example_inputs: tensors with which the module can be called",
            received="none",
            next="fl.from_torch(module, (torch.zeros(1, 3, 224, 224),)).",
        )
    inputs = example_inputs if isinstance(example_inputs, list | tuple) else (example_inputs,)
    training = module.training
    try:
        with torch.no_grad():
            return torch.export.export(module.eval(), tuple(inputs))
    finally:
        module.train(training)


def _serialized(torch: Any, program: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        torch.export.save(program, buffer)
    except NotImplementedError as error:  # of a class that torch has no written form of
        raise FanlightError(
            "E-FORMAT-012",
            "PyTorch cannot write the program down: it takes or gives objects of another class.",
            where="fl.from_torch",
            expected="tensors in tuples, lists and dicts",
            received=str(error)[:300],
            next='let forward give a dict, {"scores": y}: its keys become names of outputs.',
        ) from None
    with zipfile.ZipFile(buffer) as file:
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


def _array(torch: Any, tensor: Any, fqn: str) -> np.ndarray:
    plain = tensor.detach().cpu()
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
