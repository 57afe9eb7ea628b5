"""The state dict of a PyTorch module into a model of layers: names, layouts and order mapped."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers.file_safetensors import arrays
from fanlight.layers.model import Model, not_built
from fanlight.layers.places import Found, Stored, assign, places, walked
from fanlight.layers.torch_features import Features, image_features
from fanlight.layers.torch_parametrized import put_together
from fanlight.layers.weight import Weight
from fanlight.tensor.caller import caller

# A counter of batch normalisation in PyTorch; nothing is computed with it.
_COUNTER = "num_batches_tracked"
_GATE = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)(?:_l(\d{1,4}))?(_reverse)?")
_PLAIN = {
    "kernel": "weight", "depthwise_kernel": "weight", "pointwise_kernel": "weight",
    "embeddings": "weight", "gamma": "weight", "scale": "weight", "alpha": "weight",
    "beta": "bias", "bias": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # fmt: skip
_RECURRENT = {1: "rnn", 3: "gru", 4: "lstm"}  # by the number of gates
_PARTS = {"query": "q", "key": "k", "value": "v"}


class Unplaced(NamedTuple):
    """What `load_torch_state` with strict=False could not place.

    Attributes:
        missing: weights of the model that keep their numbers.
        unexpected: names of the state dict that no weight took.
    """

    missing: list[str]
    unexpected: list[str]


@dataclass
class _Unit:
    """A part of the model that one module of PyTorch stands for: name -> its weights."""

    name: str
    kind: str
    weights: dict[str, Weight] = field(default_factory=dict)
    transposed: bool = False

    @property
    def pointwise(self) -> bool:
        """Whether it is a product of features: a Dense, or a convolution of one pixel."""
        kernel = self.weights.get("kernel")
        if kernel is None or self.transposed:
            return False
        alike = self.kind == "matrix" or self.kind.startswith("conv of")
        return bool(alike and np.prod(kernel.shape[:-2]) == 1)


@dataclass
class _Module:
    """A module of a state dict: parameter -> its name in the dict, and its array."""

    name: str
    kind: str = ""
    given: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)

    @property
    def pointwise(self) -> bool:
        """Whether it may be a Linear, or a Conv of one pixel."""
        weight = self.given["weight"][1] if "weight" in self.given else np.zeros(())
        alike = self.kind == "matrix" or self.kind.startswith("conv of")
        return bool(alike and weight.ndim >= 2 and np.prod(weight.shape[2:]) == 1)


# Weight of a unit -> what it takes of a module: names in the dict, and the array.
_Taken = dict[str, tuple[tuple[str, ...], np.ndarray]]


def load_torch_state(
    model: Any,
    state: Mapping[str, Any] | str | Path,
    names: Mapping[str, str] | None = None,
    strict: bool = True,
) -> Unplaced:
    """See `Model.load_torch_state`."""
    if not model.built:
        raise not_built(model)
    given, ordered, where = _read(state)
    read, parts = put_together(given, where)
    units, modules = _units(model), _modules(read)
    pairs = _matched(units, modules, dict(names or {}), ordered, where)
    features = image_features(model.graph)
    found: list[tuple[str, Weight, Any]] = []
    used: set[str] = set()
    for unit, module in pairs:
        taken = {} if module is None else _taken(unit, module)
        for name, weight in unit.weights.items():
            label = f"{unit.name}/{name}"
            if name not in taken:
                found.append((label, weight, None))
                continue
            keys, array = taken[name]
            wrong = array.shape != tuple(weight.shape)
            if wrong and not strict:
                found.append((label, weight, None))
                continue
            used.update(keys)
            array = array if wrong else _reordered(array, weight, features)
            loaded = Stored(" and ".join(keys), array.shape, partial(np.asarray, array))
            found.append((label, weight, loaded))
    left = [n for n in read if n not in used and n.rpartition(".")[2] != _COUNTER]
    unexpected = [part for n in left for part in parts.get(n, (n,))]
    missing = [label for label, _, stored in found if stored is None]
    try:
        assign(Found(found, unexpected), where, partial=not strict)
    except FanlightError as error:
        error.message = error.message.replace("of the file do", "of the state dict do")
        error.next = (
            "make the layers as the modules are (GRUs with reset_after=True); say which layer is "
            'which module: names={"dense_1": "head.fc"}; strict=False leaves out what does not fit.'
        )
        raise
    return Unplaced(missing, unexpected)


# --- what is given --------------------------------------------------------------------------------


def _read(state: Any) -> tuple[dict[str, np.ndarray], bool, str]:
    """Arrays by name, whether their order is that of the modules, and what they are of."""
    if isinstance(state, str | Path):
        path = Path(state)
        if path.suffix.lower() != ".safetensors":
            raise FanlightError(
                "E-FORMAT-002",
                "pickles of PyTorch can run any program, and are never opened."
                if path.suffix.lower() in (".pt", ".pth", ".bin", ".ckpt", ".pkl")
                else "this is not a file of a state dict.",
                where=path,
                expected="a .safetensors file, or a dict of tensors or arrays",
                received=path.name,
                next="where PyTorch is: safetensors.torch.save_file(module.state_dict(), "
                '"model.safetensors"); or give module.state_dict() itself.',
            )
        return {n: s.load() for n, s in arrays(path).items()}, False, str(path)
    if not isinstance(state, Mapping):
        raise _unfit("this is no state dict.", "names to tensors or arrays", repr(state)[:80])
    made: dict[str, np.ndarray] = {}
    for name, tensor in state.items():
        plain = tensor.detach().cpu() if hasattr(tensor, "detach") else tensor
        if str(getattr(plain, "dtype", "")) == "torch.bfloat16":  # NumPy has none
            plain = plain.float()
        array = np.asarray(plain)
        if not isinstance(name, str) or array.dtype.kind not in "fiub":
            raise _unfit(
                "a value of the state dict is no tensor.",
                "names to tensors or arrays",
                f"{name!r}: {type(tensor).__name__}"[:120],
                "give the state dict alone: checkpoint['state_dict'], module.state_dict().",
            )
        made[name] = array
    return made, True, "the state dict"


def _unfit(message: str, expected: str, received: str, next: str | None = None) -> FanlightError:
    return FanlightError(
        "E-LAYER-006",
        message,
        where=f"the state dict, {caller()}",
        expected=expected,
        received=received,
        next=next,
    )


def _modules(read: Mapping[str, np.ndarray]) -> list[_Module]:
    """The modules of a state dict in its order; each layer of a stacked recurrent one is one."""
    found: dict[str, _Module] = {}
    for name, array in read.items():
        prefix, _, last = name.rpartition(".")
        gate = _GATE.fullmatch(last)
        if gate:
            prefix += f"_l{gate[2]}" if gate[2] not in (None, "0") else ""
            last = gate[1] + (gate[3] or "")
        if last != _COUNTER:
            found.setdefault(prefix, _Module(prefix)).given[last] = (name, array)
    for prefix, module in list(found.items()):
        # Attention keeps its last projection in a module of its own.
        inner = found.get(f"{prefix}.out_proj" if prefix else "out_proj")
        if inner and any(k in module.given for k in ("in_proj_weight", "q_proj_weight")):
            module.given |= {f"out_proj.{k}": v for k, v in inner.given.items()}
            del found[inner.name]
        module.kind = _kind({k: a.shape for k, (_, a) in module.given.items()})
    return list(found.values())


def _kind(shapes: Mapping[str, tuple[int, ...]]) -> str:
    if "in_proj_weight" in shapes or "q_proj_weight" in shapes:
        return "attention"
    if len(shapes.get("weight_hh", ())) == 2:
        rows, units = shapes["weight_hh"]
        both = "bidirectional " if "weight_hh_reverse" in shapes else ""
        return both + _RECURRENT.get(rows // max(units, 1), "recurrent")
    rank = len(shapes.get("weight", ()))
    if "running_mean" in shapes:
        return "batch norm"
    return {0: "", 1: "norm", 2: "matrix"}.get(rank, f"conv of {rank - 2} dims")


# --- what there is to fill ------------------------------------------------------------------------


def _units(model: Model) -> list[_Unit]:
    """The parts of a model that modules of PyTorch stand for, in order."""
    found: dict[str, _Unit] = {}
    listed = places(model)
    cells = {p.chain: p.weight.shape for p in listed if p.weight.name == "recurrent_kernel"}
    # PyTorch has no GRU whose gate comes before the product.
    other = {c for _, c, layer in walked(model) if getattr(layer, "reset_after", True) is False}
    transposed = {c for _, c, layer in walked(model) if "Transpose" in type(layer).__name__}
    attention = {p.chain[:-1] for p in listed if p.chain and p.chain[-1] == "attention_output"}
    for place in listed:
        chain, name = place.chain, place.weight.name
        kind = _unit_kind(name, place.weight)
        if chain[:-1] in attention and chain[-1] in (*_PARTS, "attention_output"):
            chain, name, kind = chain[:-1], f"{chain[-1]}/{name}", "attention"
        elif chain in cells:
            shape = cells[chain]
            kind = _RECURRENT.get(shape[-1] // max(shape[0], 1), "recurrent")
            kind = "GRU with reset_after=False" if chain in other else kind
            inside = chain[-2] if len(chain) > 1 else ""
            if len(chain) > 2 and inside.startswith(("forward_", "backward_")):
                chain, name = chain[:-2], f"{inside.partition('_')[0]}/{name}"
                kind = f"bidirectional {kind}"
            elif sum(c[:-1] == chain[:-1] for c in cells) == 1:
                chain = chain[:-1] or chain
        key = "/".join(chain)
        if name == "depthwise_kernel":  # a separable convolution is two modules
            found[f"{key} depthwise"] = _Unit(f"{key} depthwise", kind, {name: place.weight})
            continue
        unit = found.setdefault(key, _Unit(key, kind, transposed=chain in transposed))
        unit.weights[name] = place.weight
        # The rank of a kernel says more than a bias that comes first.
        unit.kind = kind if name not in ("bias", "beta") else unit.kind or kind
    return list(found.values())


def _unit_kind(name: str, weight: Weight) -> str:
    if name in ("moving_mean", "moving_variance"):
        return "batch norm"
    if name in ("kernel", "depthwise_kernel", "pointwise_kernel", "embeddings"):
        rank = len(weight.shape)
        return "matrix" if rank == 2 else f"conv of {rank - 2} dims"
    return "matrix" if name != "alpha" and len(weight.shape) == 2 else "norm"


# --- which is which -------------------------------------------------------------------------------


def _matched(
    units: list[_Unit], modules: list[_Module], names: dict[str, str], ordered: bool, where: str
) -> list[tuple[_Unit, _Module | None]]:
    """A module for each unit: as told, else of the same name, else the next of its kind."""
    left = {m.name: m for m in modules}
    found: dict[str, _Module] = {}
    for mine, theirs in names.items():
        unit = next((u for u in units if mine in (u.name, u.name.rpartition("/")[2])), None)
        if unit is None or theirs not in left:
            known = [u.name for u in units] if unit is None else list(left)
            wrong = mine if unit is None else theirs
            near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
            raise _unfit(
                f"names has {wrong!r}, which {'the model' if unit is None else where} has not.",
                ", ".join(known[:40]),
                repr(wrong)[:80],
                f"did you mean {near[0]!r}?" if near else None,
            )
        found[unit.name] = left.pop(theirs)
    rest = [u for u in units if u.name not in found]
    same = {_plain_name(m): m for m in left.values()}
    if rest and all(_plain_name(u) in same for u in rest):
        return [(u, found.get(u.name) or same[_plain_name(u)]) for u in units]
    if not ordered:
        modules = sorted(left.values(), key=lambda m: _natural(m.name))
        left = {m.name: m for m in modules}
    met = _in_order(rest, left, ordered, where)
    if len(met) < len(rest) and any(u.pointwise for u in rest):
        # Where each keeps to its kind something is left over: are Linear and 1x1 Conv exchanged?
        met = max(met, _in_order(rest, left, ordered, where, loosely=True), key=len)
    found |= {name: left.pop(module.name) for name, module in met.items()}
    for unit in rest:  # so that what does not fit is told with what it is next to
        next_ = next((m for m in left.values() if m.kind == unit.kind), None)
        if unit.name not in found and next_ is not None:
            found[unit.name] = left.pop(next_.name)
    return [(u, found.get(u.name)) for u in units]


def _in_order(
    units: list[_Unit],
    modules: Mapping[str, _Module],
    ordered: bool,
    where: str,
    loosely: bool = False,
) -> dict[str, _Module]:
    """For each unit the next module that fits: of its kind, or also a Linear for a 1x1 Conv."""
    left, found = dict(modules), {}
    for unit in units:
        fitting = [
            m
            for m in left.values()
            if (m.kind == unit.kind or (loosely and m.pointwise and unit.pointwise))
            and _fits(unit, m)
        ]
        if not ordered:
            _told_apart(unit, fitting, where)
        whole = [m for m in fitting if not _remaining(unit, m)]
        if fitting:
            found[unit.name] = left.pop((whole or fitting)[0].name)
    return found


def _plain_name(part: _Unit | _Module) -> str:
    return re.sub(r"\W+", "_", part.name)


def _natural(name: str) -> list[Any]:
    """ "layers.2" before "layers.10"."""
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d{1,9})", name)]


def _told_apart(unit: _Unit, fitting: list[_Module], where: str) -> None:
    """Files sort their names: only those that are counted have an order that can be told."""
    if len({re.sub(r"\d+", "#", m.name) for m in fitting}) > 1:
        raise _unfit(
            f"{len(fitting)} modules of the file fit the layer {unit.name!r}, and files do not "
            "keep the order of modules.",
            "modules that are counted, such as layers.0 and layers.1, or that have other shapes",
            ", ".join(m.name for m in fitting[:12]),
            f"say which: names={{{unit.name!r}: {fitting[0].name!r}, ...}}; or give the state "
            "dict itself, which has an order.",
        )


def _fits(unit: _Unit, module: _Module) -> bool:
    taken = _taken(unit, module)
    return bool(taken) and all(
        a.shape == tuple(unit.weights[n].shape) for n, (_, a) in taken.items()
    )


def _remaining(unit: _Unit, module: _Module) -> bool:
    """Whether weights, or arrays of the module, would be left over."""
    taken = _taken(unit, module)
    keys = {k for names, _ in taken.values() for k in names}
    return len(taken) < len(unit.weights) or len(keys) < len(module.given)


# --- layouts --------------------------------------------------------------------------------------


def _taken(unit: _Unit, module: _Module) -> _Taken:
    """What each weight of a unit takes of a module, in the unit's layout."""
    if unit.kind == "attention":
        return _attention(unit, module)
    if unit.kind.rpartition(" ")[2] in _RECURRENT.values():
        return _recurrent(unit, module)
    made: _Taken = {}
    for name, weight in unit.weights.items():
        key = _PLAIN.get(name, name)
        if key in module.given:
            label, array = module.given[key]
            if name == "kernel" and unit.pointwise and module.pointwise:
                array = array.reshape(*array.shape[:2], *[1] * (len(weight.shape) - 2))
            made[name] = ((label,), _turned(name, array, tuple(weight.shape)))
    return made


def _reordered(array: np.ndarray, weight: Weight, features: list[Features]) -> np.ndarray:
    """Features of a flattened image: channels first there, last here."""
    own = weight.numpy()
    for one in features:
        if np.may_share_memory(one.array, own):
            array = one.from_torch(array)
    return array


def _turned(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Kernels: OIHW to HWIO (transposed ones: IOHW to HWOI), linear ones transposed."""
    if name in ("kernel", "depthwise_kernel", "pointwise_kernel") and array.ndim >= 2:
        array = np.transpose(array, (*range(2, array.ndim), 1, 0))
        of_one = len(shape) == array.ndim and array.ndim > 2 and array.shape[-2] == 1
        # Depthwise: [h, w, 1, channels x multiplier] there, [h, w, channels, multiplier] here.
        if of_one and array.shape != shape and array.size == int(np.prod(shape)):
            return array.reshape(shape)
    if name == "alpha" and array.size == int(np.prod(shape)):
        return array.reshape(shape)
    return np.broadcast_to(array, shape) if name == "alpha" and array.size == 1 else array


def _recurrent(unit: _Unit, module: _Module) -> _Taken:
    """LSTM: the same order (i, f, g, o), one bias. GRU: r, z, n there, z, r, n here."""
    made: _Taken = {}
    for name, weight in unit.weights.items():
        direction, _, last = name.rpartition("/")
        end = "_reverse" if direction == "backward" else ""
        sort = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh"}.get(last)
        if sort is not None and sort + end in module.given:
            label, array = module.given[sort + end]
            made[name] = ((label,), _gates(unit, array).T)
        elif last == "bias" and f"bias_ih{end}" in module.given and f"bias_hh{end}" in module.given:
            given = [module.given[f"{k}{end}"] for k in ("bias_ih", "bias_hh")]
            one, two = (_gates(unit, array) for _, array in given)
            both = np.stack([one, two]) if len(weight.shape) == 2 else one + two
            made[name] = (tuple(label for label, _ in given), both)
    return made


def _gates(unit: _Unit, array: np.ndarray) -> np.ndarray:
    if "gru" not in unit.kind or len(array) % 3:
        return array
    r, z, n = np.split(array, 3)
    return np.concatenate([z, r, n])


def _attention(unit: _Unit, module: _Module) -> _Taken:
    """One matrix of three projections there, one of [in, heads, size] for each of them here."""
    made: _Taken = {}
    for name, weight in unit.weights.items():
        part, _, last = name.partition("/")
        shape = tuple(weight.shape)
        key = f"{_PARTS.get(part)}_proj_weight"
        index = list(_PARTS).index(part) if part in _PARTS else -1
        if part == "attention_output":
            key = f"out_proj.{_PLAIN[last]}"
            index = -1
        elif last == "bias":
            key = "in_proj_bias"
        elif "in_proj_weight" in module.given:
            key = "in_proj_weight"
        if key not in module.given:
            continue
        label, array = module.given[key]
        if key.startswith("in_proj") and len(array) % 3 == 0:
            array = np.split(array, 3)[index]
        array = array.T if last == "kernel" else array
        made[name] = ((label,), array.reshape(shape) if array.size == np.prod(shape) else array)
    return made
