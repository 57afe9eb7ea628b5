""".safetensors: the weights of a model, by name.

Eight bytes say how long a JSON text is; it names arrays and where they begin and end in the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.atomic import write_file
from fanlight.formats.files import Mapped
from fanlight.formats.jsonfile import dims, expect, parse_json
from fanlight.formats.manifest import checked
from fanlight.layers.blank import blank
from fanlight.layers.compiled import compile_as, described, give
from fanlight.layers.describe import described_model, model_from_json
from fanlight.layers.layer import Layer
from fanlight.layers.places import Found, Stored, assign, misfit, places

_WRITTEN = {"float32": "F32", "int32": "I32", "bool": "BOOL", "uint8": "U8", "int8": "I8"}
_READ = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "u1",
}  # fmt: skip
_COUNT = re.compile(r"_\d+(?=_|$)")
# How PyTorch names the parameters and buffers of a module: "layer.0.weight".
_TORCH_NAMES = (
    ".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked", ".in_proj_weight",
    ".in_proj_bias", ".weight_ih_l0", ".weight_hh_l0", ".bias_ih_l0", ".bias_hh_l0",
)  # fmt: skip
_MAX_BYTES = 1 << 32
_MAX_HEADER = 100 << 20
_MOST_BLANK = 1 << 26
# A file and where in it the arrays begin.
_Body = tuple[Mapped, int]


def write(model: Layer, path: Path, overwrite: bool) -> None:
    """Write all weights, under names as dense/kernel."""
    write_file(path, _pieces(_entries(named(model))), overwrite)


def write_model(model: Any, path: Path, overwrite: bool, include_optimizer: bool) -> None:
    """Write a whole model, as `save` of a page that trains one does.

    Of a class that a file cannot name it has the weights, and what the class is called.
    """
    told, state = None, []
    if include_optimizer:
        told, optimizer = described(model), model.optimizer
        if optimizer is not None and optimizer.trained:  # it has made a step
            state = [(f"optimizer/{v.path}", v) for v in optimizer.variables]
    about = {"model": model_or_none(model), "class": type(model).__name__, "compile": told}
    about["labels"] = _texts(model.labels)
    pieces = _pieces(_entries([*named(model), *state]), json.dumps(about))
    write_file(path, pieces, overwrite)


def _texts(labels: Any) -> list[str] | None:
    """Names of classes; None for what a class of one's own calls so."""
    found = isinstance(labels, list | tuple) and all(isinstance(n, str) for n in labels)
    return list(labels) if found and labels else None


def model_or_none(model: Any) -> Any:
    """The model as files name it; None if it is of a class that a file cannot name."""
    try:
        return described_model(model)
    except FanlightError as error:
        if model.functional or error.code != "E-LAYER-009":
            raise
        return None


def write_arrays(path: Path, weights: Mapping[str, np.ndarray], overwrite: bool = True) -> None:
    """Write arrays by name, without a model."""
    entries = [(n, a.shape, str(a.dtype), partial(np.asarray, a)) for n, a in weights.items()]
    write_file(path, _pieces(entries), overwrite)


def packed(weights: Iterable[tuple[str, Any]], config: str | None = None) -> bytes:
    """The bytes of a file of some weights and their names.

    Args:
        config: what the file says of its model and its training, as JSON.
    """
    return b"".join(_pieces(_entries(weights), config))


# The name, shape and dtype of an array, and what gives its numbers.
_Entry = tuple[str, tuple[int, ...], str, Callable[[], np.ndarray]]


def _entries(weights: Iterable[tuple[str, Any]]) -> list[_Entry]:
    return [(n, tuple(w.shape), str(w.dtype), w.numpy) for n, w in weights]


def _pieces(weights: Sequence[_Entry], config: str | None = None) -> Iterator[bytes | memoryview]:
    """The bytes of a file, one array after the other, so that none is in memory twice."""
    about = {"format": "fanlight"} | ({} if config is None else {"config": config, "holds": "all"})
    header: dict[str, Any] = {"__metadata__": about}
    at = 0
    for name, shape, dtype, _ in weights:
        end = at + prod(shape) * np.dtype(dtype).itemsize
        header[name] = {
            "dtype": _WRITTEN[dtype],
            "shape": list(shape),
            "data_offsets": [at, end],
        }
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    yield len(text + b" " * (-len(text) % 8)).to_bytes(8, "little")
    yield text + b" " * (-len(text) % 8)
    for _, _, dtype, load in weights:
        whole = np.ascontiguousarray(load()).reshape(-1)
        little = whole.astype(np.dtype(dtype).newbyteorder("<"), copy=False)
        if little.size:
            yield little.view(np.uint8).data


def read_model(path: Path, compile: bool) -> Any:
    """The model that a page, or `model.save`, has saved with its layers and its training.

    Raises:
        FanlightError: E-LAYER-009 the file has weights only; E-LAYER-006 it lacks some.
    """
    header, body = _header(path)
    told = header.get("__metadata__")
    text = told.get("config") if isinstance(told, dict) else None
    if not isinstance(text, str):
        # A damaged file is that first.
        raise _no_layers(path, list(_arrays(header, body, path)))
    about = expect(parse_json(text.encode(), f"config in {path}"), dict, "config", str(path))
    if about.get("model") is None:
        name = str(about.get("class"))[:80]
        raise FanlightError(
            "E-LAYER-009",
            "the file has the weights of a model of a class of your own, not the class.",
            where=str(path),
            expected=f"{name} in this program: its code is in Python",
            received="weights and the state of training",
            next=f"make a {name}, call it once, then model.load_weights(path). Where the class is "
            "registered, @fl.register(), and has a get_config before the page is built, fl.load "
            "makes the model.",
        )
    stored, kept = _apart(_arrays(header, body, path))
    # What nothing learnt is not in the file, so the model may be larger; but not without end.
    with blank(max(sum(prod(a.shape) for a in stored.values()), _MOST_BLANK)):
        model = model_from_json(json.dumps(about.get("model")))
    own = named(model)
    stored = _in_order(own, stored)
    pairs = [(n, w, stored.get(n)) for n, w in own]
    missing = [n for n, _, a in pairs if a is None]
    if missing:
        raise FanlightError(
            "E-LAYER-006",
            "the file has what the page learnt, and the model has more.",
            where=str(path),
            expected="all weights of the model",
            received=f"none for {', '.join(missing[:10])}{', ...' if len(missing) > 10 else ''}",
            next="load the weights into the model that was built: "
            "model.load_weights(path, by_name=True).",
        )
    assign(Found(pairs, []), path, new=True)
    labels = _texts(about.get("labels"))
    if labels and model.labels is None:
        model.labels = tuple(labels)
    if compile:
        compile_as(model, about.get("compile"), path)
        optimizer = model.optimizer
        if optimizer is not None and kept:
            optimizer.build(model.trainable_weights)
            state = [(f"optimizer/{v.path}", v) for v in optimizer.variables]
            kept = _in_order(state, kept)
            give(Found([(n, v, kept.get(n)) for n, v in state], []), path, new=True)
    return model


def _apart(stored: dict[str, Stored]) -> tuple[dict[str, Stored], dict[str, Stored]]:
    """The weights of a file that a page has saved, and the state of its optimizer."""
    weights = {n: a for n, a in stored.items() if not n.startswith(("optimizer/", "key/"))}
    return weights, {n: a for n, a in stored.items() if n.startswith("optimizer/")}


def _uncounted(name: str) -> str:
    """dense_3_kernel_momentum, a slot of an optimizer, -> dense_kernel_momentum."""
    return _COUNT.sub("", name.rpartition("/")[2])


def _in_order(own: Sequence[tuple[str, Any]], stored: dict[str, Stored]) -> dict[str, Stored]:
    """The arrays under the names of one's own, if they are those but for how layers are counted.

    Layers that were not named are counted anew in every program.
    """
    if all(name in stored for name, _ in own):
        return stored
    inner = [(_uncounted(n), tuple(w.shape)) for n, w in own]
    if inner == [(_uncounted(n), tuple(a.shape)) for n, a in stored.items()]:
        return dict(zip([n for n, _ in own], stored.values(), strict=True))
    return stored


def named(model: Layer) -> list[tuple[str, Any]]:
    """Weights by names that differ."""
    found: dict[str, Any] = {}
    for place in places(model):
        name, count = place.name, 0
        while name in found:
            count += 1
            name = f"{place.name}_{count}"
        found[name] = place.weight
    return list(found.items())


def _no_layers(path: Path, names: Sequence[str]) -> FanlightError:
    """E-LAYER-009 for weights by name, of ours or of PyTorch."""
    torch = sum(n.endswith(_TORCH_NAMES) for n in names) * 2 > len(names)
    some = [n[:60] for n in names if not n.endswith("num_batches_tracked")][:4]
    listed = ", ".join(some) + (", ..." if len(names) > len(some) else "")
    return FanlightError(
        "E-LAYER-009",
        "the file has the weights of a PyTorch model, and not its layers."
        if torch
        else "the file has weights only, no layers.",
        where=str(path),
        expected="what model.save, or `save` of a trained page, gives",
        received=f"{len(names)} arrays: {listed}" if names else path.name,
        next="build the same layers of fl.layers and call model.load_torch_state(path), then "
        "fl.convert(model, destination); or export the PyTorch model itself with its weights, "
        "torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2'), and "
        "convert that."
        if torch
        else "make the model first, then model.load_weights(path).",
    )


def read(model: Layer, path: Path, by_name: bool, skip: bool) -> None:
    """Give a model the weights of a file: by name, else in order where all shapes agree."""
    header, body = _header(path)
    stored = _arrays(header, body, path)
    told = header.get("__metadata__")
    about = told if isinstance(told, dict) else {}
    whole = "config" in about
    page = whole and about.get("holds") != "all"  # what a page has learnt, and nothing else
    if whole:
        stored = _apart(stored)[0]
    own = named(model)
    if not by_name or page:
        stored = _in_order(own, stored)
    pairs = [(name, weight, stored.pop(name, None)) for name, weight in own]
    if page and by_name and stored and not skip:
        # All that a page has learnt is meant for the model: a name that it lacks is a mistake.
        raise misfit([f"nothing from {n}" for n in sorted(stored)], path)
    assign(Found(pairs, sorted(stored)), path, skip, by_name)


def has_layers(path: Path) -> bool:
    """Whether a file says of which layers its weights are."""
    header, _ = _header(path)
    about = header.get("__metadata__")
    return isinstance(about, dict) and isinstance(about.get("config"), str)


def arrays(path: Path) -> dict[str, Stored]:
    """The arrays of a file; nothing of it is believed before it is compared with its size.

    Raises:
        FanlightError: E-FORMAT-001 no such file; E-FORMAT-007 offsets or sizes that do not fit;
            E-FORMAT-008 a dtype that is not known.
    """
    return _arrays(*_header(path), path)


def _arrays(header: dict[str, Any], body: _Body, path: Path) -> dict[str, Stored]:
    file, start = body
    room = len(file.view) - start
    found: dict[str, Stored] = {}
    end = 0
    spans: list[tuple[int, int]] = []
    for name, item in header.items():
        if name == "__metadata__":
            continue
        here = f"{name[:120]} in {path}"
        one = expect(item, dict, "an array", here)
        dtype = expect(one.get("dtype"), str, '"dtype"', here)
        if dtype not in _READ:
            raise FanlightError(
                "E-FORMAT-008",
                "a weight has a dtype that is not read.",
                where=here,
                expected=", ".join(_READ),
                received=dtype[:80],
            )
        shape = dims(one.get("shape"), '"shape"', here)
        offsets = dims(one.get("data_offsets"), '"data_offsets"', here)
        needed = prod(shape) * np.dtype(_READ[dtype]).itemsize
        if len(offsets) != 2 or offsets[1] - offsets[0] != needed or offsets[1] > room:
            raise _wrong(here, f"{needed:,} bytes within {room:,}", f"bytes {list(offsets)}")
        spans.append((offsets[0], offsets[1]))
        end = max(end, offsets[1])
        span = (start + offsets[0], start + offsets[1])
        found[name] = Stored(name, shape, _loader(file, span, dtype, shape, here))
    spans.sort()
    if any(a[1] > b[0] for a, b in pairwise(spans)) or end != room:
        raise _wrong(path, "arrays one after the other, to the end", f"{spans[:8]}, {room:,}")
    return found


def _header(path: Path) -> tuple[dict[str, Any], _Body]:
    """What the file says of its arrays, the file, and where in it they begin."""
    file = Mapped(path, "E-FORMAT-001", "the weights", _MAX_BYTES)
    data = file.view
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, _MAX_HEADER):
        raise _wrong(path, f"a header of {size:,} bytes", f"{len(data):,} bytes in all")
    where = f"the header of {path}"
    header = expect(parse_json(bytes(data[8 : 8 + size]), where), dict, "the header", where)
    return header, (file, 8 + size)


def _loader(
    file: Mapped, span: tuple[int, int], dtype: str, shape: tuple[int, ...], where: str
) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        data = file.view[slice(*span)]
        array = np.frombuffer(data, _READ[dtype])
        if dtype == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        elif dtype == "BOOL":
            array = array != 0
        elif dtype.startswith("F"):
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
        elif dtype.startswith("I") or dtype == "U8":
            array = array.astype(np.int32)
        file.forget(data)
        return checked(array.reshape(shape), where, where)

    return load


def _wrong(where: object, expected: str, received: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-007",
        "the .safetensors file is damaged or is not one.",
        where=where,
        expected=expected,
        received=received,
        next="download or save the file again.",
    )
