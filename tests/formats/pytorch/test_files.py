"""The .pt2 files of torch.export.save, read without torch; broken and hostile ones refused."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.torch import archive
from fanlight.passes.pipeline import optimize

FIXTURES = Path(__file__).parents[4] / "shared" / "fixtures" / "torch"
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="the fixtures beside the repository are not here"
)


@needs_fixtures
@pytest.mark.parametrize("name", ["net", "net_core", "tr", "tr_core"])
def test_fixture(name: str) -> None:
    """The numbers are those that PyTorch computed when the file was made."""
    numbers = np.load(FIXTURES / f"{name.split('_')[0]}_io.npz")
    model = fl.load(FIXTURES / f"{name}.pt2")
    given = numbers["input_0"]
    given = given.astype(np.int32) if given.dtype == np.int64 else given
    assert model.batched == {"x": True}
    np.testing.assert_allclose(model(given), numbers["output_0"], 1e-5, 1e-6)


@needs_fixtures
def test_layouts_are_turned_once() -> None:
    """After the passes a convolutional net has no transposes but that of its input."""
    graph = optimize(load_graph(FIXTURES / "net.pt2").graph)
    kinds = [n.op for n in graph.nodes]
    assert kinds.count("transpose") <= 1, kinds


# --- files made by hand ---------------------------------------------------------------------------


def tensor(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def meta(*sizes: int | str, dtype: int = 7) -> dict[str, Any]:
    dims = [{"as_int": s} if isinstance(s, int) else {"as_expr": {"expr_str": s}} for s in sizes]
    steps = [int(np.prod([s for s in sizes[i + 1 :] if isinstance(s, int)], initial=1))
             for i in range(len(sizes))]  # fmt: skip
    return {
        "dtype": dtype,
        "sizes": dims,
        "strides": [{"as_int": s} for s in steps],
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }


def node(target: str, output: str, **args: Any) -> dict[str, Any]:
    return {
        "target": f"torch.ops.aten.{target}",
        "name": output,
        "inputs": [{"name": k, "arg": v} for k, v in args.items()],
        "outputs": [tensor(output)],
        "metadata": {},
    }


WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


def small(last: int | str = 4) -> dict[str, Any]:
    """relu(linear(x)) of a batch of rows."""
    return {
        "schema_version": {"major": 8, "minor": 20},
        "torch_version": "2.13.0",
        "range_constraints": {},
        "graph_module": {
            "graph": {
                "inputs": [tensor("p_w"), tensor("x")],
                "outputs": [tensor("relu")],
                "nodes": [
                    node("linear.default", "linear", input=tensor("x"), weight=tensor("p_w")),
                    node("relu.default", "relu", self=tensor("linear")),
                ],
                "tensor_values": {
                    "p_w": meta(3, 4),
                    "x": meta("s0", last),
                    "linear": meta("s0", 3),
                    "relu": meta("s0", 3),
                },
            },
            "signature": {
                "input_specs": [
                    {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "w"}},
                    {"user_input": {"arg": tensor("x")}},
                ],
                "output_specs": [{"user_output": {"arg": tensor("relu")}}],
            },
        },
    }


def entry() -> dict[str, Any]:
    return {
        "path_name": "weight_0",
        "use_pickle": False,
        "tensor_meta": meta(3, 4),
    }


def write(
    path: Path,
    model: Any,
    weight: dict[str, Any] | None = None,
    data: bytes = WEIGHT.tobytes(),
    extra: dict[str, bytes] | None = None,
    **options: Any,
) -> Path:
    config = {"config": {"w": entry() if weight is None else weight}}
    with zipfile.ZipFile(path, "w", **options) as file:
        file.writestr("m/models/model.json", json.dumps(model))
        file.writestr("m/data/weights/model_weights_config.json", json.dumps(config))
        file.writestr("m/data/weights/weight_0", data)
        for name, content in (extra or {}).items():
            file.writestr(name, content)
    return path


def test_by_hand(tmp_path: Path) -> None:
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    got = fl.load(write(tmp_path / "a.pt2", small()))(x)
    np.testing.assert_allclose(got, np.maximum(x @ WEIGHT.T, 0), 1e-6)


def test_large_tensors_are_read_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the mapped file, if they are not packed there; their check sums are looked at, too."""
    monkeypatch.setattr(archive, "_LARGE", 1)
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    path = write(tmp_path / "a.pt2", small())
    np.testing.assert_allclose(fl.load(path)(x), np.maximum(x @ WEIGHT.T, 0), 1e-6)
    data = path.read_bytes()
    for cut in (data.index(WEIGHT.tobytes()) + 5, data.index(b"m/data/weights/weight_0") - 30):
        wrong = bytearray(data)
        wrong[cut] ^= 1
        (tmp_path / "b.pt2").write_bytes(wrong)
        refused(tmp_path / "b.pt2", "E-FORMAT-020")
    packed = write(tmp_path / "c.pt2", small(), compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_allclose(fl.load(packed)(x), np.maximum(x @ WEIGHT.T, 0), 1e-6)


def test_strides(tmp_path: Path) -> None:
    """A transposed weight lies in its storage as it was before."""
    weight = entry()
    weight["tensor_meta"]["strides"] = [{"as_int": 1}, {"as_int": 3}]
    x = np.ones((1, 4), np.float32)
    got = fl.load(write(tmp_path / "a.pt2", small(), weight))(x)
    np.testing.assert_allclose(got, x @ WEIGHT.reshape(4, 3))


def test_bfloat16(tmp_path: Path) -> None:
    weight = entry()
    weight["tensor_meta"]["dtype"] = 13
    data = (WEIGHT.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    x = np.ones((1, 4), np.float32)
    got = fl.load(write(tmp_path / "a.pt2", small(), weight, data))(x)
    np.testing.assert_allclose(got, x @ WEIGHT.T)


def test_random_weights(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt2", small())
    x = np.ones((1, 4), np.float32)
    first, second = (fl.load(path, weights="random")(x) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def refused(path: Path, code: str, *words: str) -> None:
    with pytest.raises(FanlightError) as caught:
        load_graph(path)
    assert caught.value.code == code, caught.value
    for word in words:
        assert word in str(caught.value)


def test_open_size(tmp_path: Path) -> None:
    model = small("s1")
    path = write(tmp_path / "a.pt2", model)
    refused(path, "E-FORMAT-017", "input_shapes")
    assert load_graph(path, input_shapes={"x": (1, 4)}).graph.inputs[0].shape == (1, 4)


def test_pickle(tmp_path: Path) -> None:
    weight = {**entry(), "use_pickle": True}
    refused(write(tmp_path / "a.pt2", small(), weight), "E-FORMAT-008", "pickle")


def test_old_layout(tmp_path: Path) -> None:
    path = tmp_path / "a.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("serialized_exported_program.json", "{}")
        file.writestr("serialized_state_dict.pt", b"\x80\x02.")
    refused(path, "E-FORMAT-020", "from_torch")


def test_state_dict_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02.")
    refused(path, "E-FORMAT-002", "torch.export.save")


def test_other_version(tmp_path: Path) -> None:
    model = small()
    model["schema_version"]["major"] = 9
    refused(write(tmp_path / "a.pt2", model), "E-FORMAT-002", "9")


def test_unsupported(tmp_path: Path) -> None:
    model = small()
    model["graph_module"]["graph"]["nodes"][1]["target"] = "torch.ops.aten.linalg_eig.default"
    refused(write(tmp_path / "a.pt2", model), "E-FORMAT-013", "linalg_eig", "relu")


def test_wrong_shape(tmp_path: Path) -> None:
    model = small()
    model["graph_module"]["graph"]["tensor_values"]["relu"] = meta("s0", 5)
    refused(write(tmp_path / "a.pt2", model), "E-FORMAT-016", "relu")


def test_missing_bytes(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.pt2", small(), data=b"12"), "E-FORMAT-007")
    weight = {**entry(), "path_name": "../../x"}
    refused(write(tmp_path / "b.pt2", small(), weight), "E-FORMAT-006")


def test_zero_strides_are_bounded(tmp_path: Path) -> None:
    weight = entry()
    weight["tensor_meta"] = {**meta(1 << 20, 1 << 20), "strides": [{"as_int": 0}] * 2}
    refused(write(tmp_path / "a.pt2", small(), weight), "E-FORMAT-023")


@pytest.mark.parametrize("name", ["../evil", "/evil", "m/..\\evil"])
def test_paths_that_lead_out(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.pt2", small(), extra={name: b"x"})
    refused(path, "E-FORMAT-020", "attack")


def test_bomb(tmp_path: Path) -> None:
    """A member whose size is a lie."""
    path = write(tmp_path / "a.pt2", small(), compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"m/data/weights/weight_0") - 46  # its entry in the central directory
    data[at + 24 : at + 28] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, "E-FORMAT-020")


def test_not_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.pt2"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    refused(path, "E-FORMAT-020")


VALUES: list[Any] = [
    None, True, 0, -1, 2**31, 2**63, 1e308, float("nan"), "", "x", "linear", [], [1], {},
    {"as_int": -1}, {"as_none": True}, {"as_ints": [2**40] * 4}, tensor("relu"), tensor("p_w"),
    {"as_sym_int": {"as_name": "x"}}, {"as_float": "NaN"}, {"as_graph": {"graph": {}}},
]  # fmt: skip
TARGETS = (
    "conv2d convolution max_pool2d avg_pool2d view permute cat slice select softmax layer_norm "
    "lstm gather scatter upsample_bilinear2d pad arange sum topk index matmul expand split add_ "
    "copy_ squeeze_"
).split()


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            found += spots(item, (*path, key))
        else:
            found.append((*path, key))
    return found


def test_mutations(tmp_path: Path) -> None:
    """A changed file loads, or is refused with one coded error that says more than E-FORMAT-005's
    last resort.
    """
    rng = random.Random(7)
    for number in range(300):
        model = small() if number % 3 else writing()
        if rng.random() < 0.4:
            victim = rng.choice(model["graph_module"]["graph"]["nodes"])
            victim["target"] = f"torch.ops.aten.{rng.choice(TARGETS)}.default"
        for _ in range(rng.randint(1, 3)):
            *lead, last = rng.choice(spots(model))
            parent = model
            for key in lead:
                parent = parent[key]
            if rng.random() < 0.3:
                del parent[last]
            else:
                parent[last] = copy.deepcopy(rng.choice(VALUES))
        path = write(tmp_path / f"{number}.pt2", model)
        try:
            load_graph(path)
        except FanlightError as error:
            assert "does not expect" not in error.message, (number, str(error))


def test_mutated_bytes(tmp_path: Path) -> None:
    rng = random.Random(3)
    whole = write(tmp_path / "a.pt2", small()).read_bytes()
    for number in range(60):
        data = bytearray(whole[: rng.randint(4, len(whole))])
        for _ in range(rng.randint(0, 4)):
            data[rng.randrange(4, len(data))] = rng.randrange(256)
        path = tmp_path / f"{number}.pt2"
        path.write_bytes(data)
        try:
            load_graph(path)
        except FanlightError as error:
            assert "does not expect" not in error.message, (number, str(error))


def test_not_of_torch() -> None:
    with pytest.raises(FanlightError, match="neither a module nor a program") as caught:
        fl.from_torch(object())
    assert caught.value.code == "E-FORMAT-002"


def test_pickles_are_told_what_to_do(tmp_path: Path) -> None:
    for name in ("a.pt", "a.pth"):
        (tmp_path / name).write_bytes(b"\x80\x02.")
        refused(tmp_path / name, "E-FORMAT-002", "torch.export.save", "fl.from_torch")


def test_what_a_program_would_change_is_told(tmp_path: Path) -> None:
    model = small()
    specs = model["graph_module"]["signature"]["output_specs"]
    specs.insert(0, {"buffer_mutation": {"arg": tensor("relu"), "buffer_name": "bn.running_mean"}})
    specs.insert(0, {"user_input_mutation": {"arg": tensor("relu"), "user_input_name": "x"}})
    path = write(tmp_path / "a.pt2", model)
    source = load_graph(path)
    (told,) = source.warnings
    assert "x, bn.running_mean" in told and "model.eval()" in told and str(path) in told
    assert [o.name for o in source.outputs] == ["relu"]
    assert told in fl.convert(path, tmp_path / "web").notes
    specs[0] = {"gradient_to_parameter": {"arg": tensor("relu"), "parameter_name": "w"}}
    with pytest.raises(FanlightError, match="one of training") as caught:
        load_graph(write(path, model))
    assert caught.value.code == "E-FORMAT-012"


def test_tensors_that_repeat_their_bytes_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = entry()
    weight["tensor_meta"]["strides"] = [{"as_int": 0}, {"as_int": 1}]
    path = write(tmp_path / "a.pt2", small(), weight)
    x = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(fl.load(path)(x), np.full((1, 3), 6))
    weight["tensor_meta"]["sizes"][0] = {"as_int": 1 << 20}
    monkeypatch.setattr("fanlight.formats.torch.archive._SPARE", 1 << 16)
    with pytest.raises(FanlightError, match="far larger than their bytes") as caught:
        load_graph(write(path, small(), weight))
    assert caught.value.code == "E-FORMAT-023"


def _leaf() -> dict[str, Any]:
    return {"type": None, "context": None, "children_spec": []}


def _form(kind: str, context: Any, *children: Any) -> dict[str, Any]:
    return {"type": kind, "context": json.dumps(context), "children_spec": list(children)}


def _results(spec: Any, *names: str) -> dict[str, Any]:
    """A program that gives some values in a form."""
    model = small()
    model["graph_module"]["signature"]["output_specs"] = [
        {"user_output": {"arg": tensor(name)}} for name in names
    ]
    text = spec if isinstance(spec, str) else json.dumps([1, spec])
    model["graph_module"]["module_call_graph"] = [{"fqn": "", "signature": {"out_spec": text}}]
    return model


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (_form("builtins.dict", ["zed", "a b"], _leaf(), _leaf()), ["zed", "a_b"]),
        (_form("builtins.tuple", None, _leaf(), _leaf()), ["relu", "linear"]),
        (
            _form(
                "builtins.list",
                None,
                _form("builtins.dict", ["q"], _leaf()),
                _form("builtins.tuple", None, _leaf()),
            ),
            ["0_q", "linear"],
        ),
        (_form("builtins.dict", ["x"], _form("builtins.tuple", None, _leaf(), _leaf())),
         ["x_0", "x_1"]),
        # Forms that do not fit change nothing.
        (_form("builtins.dict", ["only"], _leaf()), ["relu", "linear"]),
        (_form("builtins.dict", [3, None], _leaf(), _leaf()), ["relu", "linear"]),
        ("no JSON", ["relu", "linear"]),
        ("[1]", ["relu", "linear"]),
        ("[" * 5000, ["relu", "linear"]),
        (_form("x", None, {"type": None}, 3), ["relu", "linear"]),
    ],
)  # fmt: skip
def test_results_have_the_names_that_the_module_gives(
    tmp_path: Path, spec: Any, names: list[str]
) -> None:
    model = fl.load(write(tmp_path / "a.pt2", _results(spec, "relu", "linear")))
    assert [name for name, _ in model.outputs] == names
    made = model({"x": np.ones((1, 4), np.float32)})
    np.testing.assert_allclose(made[names[0]], np.maximum(WEIGHT.sum(1)[None], 0))


def writing() -> dict[str, Any]:
    """y = relu(linear(x)); y[:, 1].mul_(y[:, 0]); y."""
    model = small()
    module = model["graph_module"]
    module["graph"]["nodes"] += [
        node("select.int", "b", self=tensor("relu"), dim={"as_int": 1}, index={"as_int": 1}),
        node("select.int", "a", self=tensor("relu"), dim={"as_int": 1}, index={"as_int": 0}),
        node("mul_.Tensor", "c", self=tensor("b"), other=tensor("a")),
    ]
    module["graph"]["tensor_values"].update(
        {n: {**meta("s0"), "strides": [{"as_int": 3}]} for n in "abc"}
    )
    return model


def test_writes_through_a_view(tmp_path: Path) -> None:
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    want = np.maximum(x @ WEIGHT.T, 0)
    want[:, 1] *= want[:, 0]
    np.testing.assert_allclose(fl.load(write(tmp_path / "a.pt2", writing()))(x), want, 1e-6)


def test_writes_of_another_shape(tmp_path: Path) -> None:
    model = writing()
    model["graph_module"]["graph"]["nodes"][-1] = node(
        "add_.Tensor", "c", self=tensor("b"), other=tensor("relu")
    )
    model["graph_module"]["graph"]["tensor_values"]["c"] = meta("s0", 3)
    refused(write(tmp_path / "a.pt2", model), "E-FORMAT-016")


def test_operators_that_change_dims_in_place(tmp_path: Path) -> None:
    model = writing()
    model["graph_module"]["graph"]["nodes"][-1] = node("t_.default", "c", self=tensor("relu"))
    refused(write(tmp_path / "a.pt2", model), "E-FORMAT-013", "t_", "run_decompositions")


def test_documentation_lists_the_operators() -> None:
    """docs/formats.md; written by tools/gen_torch_docs.py."""
    from tools import gen_torch_docs

    text = gen_torch_docs.PAGE.read_text(encoding="utf-8")
    assert gen_torch_docs.page(text) == text
    assert "`conv2d`" in gen_torch_docs.section()


def test_an_unhandled_operator_names_the_list(tmp_path: Path) -> None:
    model = small()
    model["graph_module"]["graph"]["nodes"][1]["target"] = "torch.ops.aten.linalg_inv.default"
    refused(write(tmp_path / "a.pt2", model), "E-FORMAT-013", "docs/formats.md", "linalg_inv")


# --- complex numbers ------------------------------------------------------------------------------


def test_complex_weights_of_a_file(tmp_path: Path) -> None:
    """linear and abs of a complex weight, without PyTorch."""
    model = small()
    graph = model["graph_module"]["graph"]
    graph["nodes"][1]["target"] = "torch.ops.aten.abs.default"
    for name in ("p_w", "linear"):
        graph["tensor_values"][name]["dtype"] = 10
    weight = entry()
    weight["tensor_meta"]["dtype"] = 10
    kept = (WEIGHT + 1j * WEIGHT[::-1]).astype(np.complex64)
    path = write(tmp_path / "a.pt2", model, weight, kept.tobytes())
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_allclose(fl.load(path)(x), abs(x @ kept.T), 1e-5)
    refused(write(tmp_path / "b.pt2", model, weight, kept.tobytes()[:-8]), "E-FORMAT-007", "'w'")


def test_complex_numbers_where_none_are_read(tmp_path: Path) -> None:
    model = small()
    values = model["graph_module"]["graph"]["tensor_values"]
    values["x"]["dtype"] = 10
    refused(write(tmp_path / "a.pt2", model), "E-FORMAT-016", "linear", "complex64")
    values["linear"]["dtype"] = 10
    refused(write(tmp_path / "b.pt2", model), "E-FORMAT-012", "relu", "torch.view_as_real")


@pytest.mark.parametrize("part", [{"real": 1.0}, {"real": "x", "imag": 0.0}, [1, 2], None])
def test_complex_numbers_that_are_none(tmp_path: Path, part: Any) -> None:
    model = small()
    node = model["graph_module"]["graph"]["nodes"][1]
    node["target"] = "torch.ops.aten.mul.Tensor"
    node["inputs"].append({"name": "other", "arg": {"as_complex": part}})
    refused(write(tmp_path / "a.pt2", model), "E-FORMAT-005", "a.pt2")


@pytest.mark.parametrize("code", [9, 10, 11])
@pytest.mark.parametrize("target", ["relu", "fft_rfft", "_fft_c2r", "view_as_real", "stft", "mul"])
def test_dtypes_that_do_not_fit_are_told(tmp_path: Path, code: int, target: str) -> None:
    """Whatever a file says of dtypes and operators, it is read or refused."""
    for bits in range(16):
        model = small()
        graph = model["graph_module"]["graph"]
        graph["nodes"][1]["target"] = f"torch.ops.aten.{target}.default"
        for at, name in enumerate(("p_w", "x", "linear", "relu")):
            if bits >> at & 1:
                graph["tensor_values"][name]["dtype"] = code
        with contextlib.suppress(FanlightError):
            load_graph(write(tmp_path / f"{bits}.pt2", model))
