"""The public names, what importing them costs, and the catalogue of errors."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import fanlight as fl
from fanlight.errors import CATALOGUE, FanlightError
from tests.support import ROOT, run_python

PACKAGE = ROOT / "fanlight"
# The names are a contract: taking one away breaks people's programs.
PUBLIC = {
    "Bundle", "Dim", "FanlightError", "LoadedModel", "QuantizedModel", "build", "check",
    "Conversion", "convert",
    "default_model", "from_jax", "from_torch", "load", "open_bundle", "quantize", "studio",
    "tasks",
}  # fmt: skip
PUBLIC |= {
    "Tensor", "cast", "checkpoint", "custom_gradient", "dispose", "grad", "grads", "hvp", "jit",
    "jvp", "keep", "memory", "spec", "stop_gradient", "tensor", "tidy", "value_and_grad",
    "vjp", "vmap",
}  # fmt: skip
PUBLIC |= {
    "Input", "Model", "Sequential", "activations", "callbacks", "clear_session", "clone_model",
    "constraints", "utils",
    "initializers", "layers", "losses", "metrics", "optimizers", "register", "regularizers",
    "DTypePolicy", "dtype_policy", "set_dtype_policy", "set_random_seed", "training",
    "load_model", "model_from_json", "plot_confusion", "plot_model",
    "Layer", "models", "save_model", "saving",
}  # fmt: skip
PUBLIC |= {"cond", "data", "scan", "while_loop"}
PUBLIC |= {"build_tiers", "cascade", "early_exits"}
PUBLIC |= {"debug", "env", "get_backend", "profile", "set_backend", "time"}
PUBLIC |= set(
    """
abs acos acosh add all any arg_max arg_min asin asinh atan atan2 atanh broadcast_to ceil clip
concat cos cosh div div_no_nan dot elu equal erf exp expand_dims expm1 eye floor floor_div
floor_mod full gelu greater greater_equal hard_swish is_finite is_inf is_nan leaky_relu
less less_equal linspace log log1p log_sigmoid log_softmax logical_and logical_not logical_or
matmul max maximum mean min minimum mish mul neg not_equal one_hot ones ones_like pad pow prelu
prod range reciprocal relu relu6 reshape reverse round rsqrt scalar selu sigmoid sign sin sinh
softmax softplus softsign sqrt square squared_difference squeeze stack step sub sum swish tan tanh
tile top_k transpose where zeros zeros_like
""".split()
)
PUBLIC |= set(
    """
argsort bincount boolean_mask confusion_matrix cummax cummin cumprod cumsum dense_bincount gather
gather_nd in_top_k logcumsumexp lower_bound max_pool_with_argmax nonzero ragged_gather
ragged_range ragged_tensor_to_tensor roll scatter_add scatter_nd search_sorted segment_max
segment_mean segment_min segment_prod segment_sum setdiff1d sort sparse_fill_empty_rows
sparse_reshape sparse_segment_mean sparse_segment_sum sparse_to_dense take_along_axis
tensor_scatter_add tensor_scatter_max tensor_scatter_min tensor_scatter_sub tensor_scatter_update
unique unsorted_segment_max unsorted_segment_mean unsorted_segment_min unsorted_segment_prod
unsorted_segment_sum upper_bound where_indices
bitwise_and bitwise_not bitwise_or bitwise_xor dropout invert left_shift multinomial rand random
random_gamma random_normal random_standard_normal random_uniform random_uniform_int right_shift
truncated_normal
avg_pool avg_pool1d avg_pool3d conv1d conv1d_transpose conv2d conv2d_transpose conv3d
conv3d_transpose depthwise_conv2d dilation2d max_pool max_pool1d max_pool3d max_pool_with_argmax
pool separable_conv2d
""".split()
)
PUBLIC |= set(
    """
TensorBuffer Variable string arange broadcast_args buffer clone ensure_shape fill full_like identity
meshgrid print split unstack variable variable_grads
""".split()
)
PUBLIC |= set(
    """
angle complex conj diag diagonal einsum euclidean_norm fft fft2 hypot ifft ifft2 imag irfft kron
linalg norm outer outer_product real rfft signal tensordot
""".split()
)
PUBLIC |= set(
    """
basic_lstm_cell batch_norm group_norm gru_cell instance_norm layer_norm
local_response_normalization log_sum_exp lstm_cell moments moving_average multi_rnn_cell rms_norm
scaled_dot_product_attention
""".split()
)
PUBLIC |= set(
    """
add_n clip_by_value erfc logical_xor mod
""".split()
)
PUBLIC |= set(
    """
batch_to_space_nd depth_to_space hard_sigmoid mirror_pad slice space_to_batch_nd space_to_depth
strided_slice
""".split()
)
PUBLIC |= {"fused", "image", "losses"}
PUBLIC |= {
    "array_api", "hessian", "jacobian", "log2", "log10", "moveaxis", "repeat", "std", "swapaxes",
    "var",
}  # fmt: skip
# Of these, the ones that Python has under their names: not given away by `import *`.
HIDING = {"abs", "all", "any", "complex", "max", "min", "pow", "print", "range", "round", "slice"}
HIDING |= {"sum"}
CODE = re.compile(r"\bE-[A-Z]+-\d{3}\b")


# --- names ----------------------------------------------------------------------------------------


def test_all_is_what_is_public() -> None:
    assert set(fl.__all__) == PUBLIC - HIDING
    assert len(fl.__all__) == len(PUBLIC - HIDING)
    rooms = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    others = {n for n in vars(fl) if not n.startswith("_")} - PUBLIC - {"annotations", "builtins"}
    assert others <= rooms, f"public by accident: {others - rooms}"


# What TensorFlow.js calls its ops (API 4.22), by room.
TFJS = {
    "": """
buffer clone complex diag eye fill imag linspace oneHot ones onesLike print range real scalar
tensor truncatedNormal variable zeros zerosLike multinomial rand randomGamma randomNormal
randomStandardNormal randomUniform randomUniformInt batchToSpaceND broadcastArgs broadcastTo cast
depthToSpace ensureShape expandDims mirrorPad pad reshape setdiff1dAsync spaceToBatchND squeeze
booleanMaskAsync concat gather reverse slice split stack tile unstack gatherND meshgrid scatterND
stridedSlice tensorScatterUpdate add addN div divNoNan floorDiv maximum minimum mod mul pow
squaredDifference sub abs acos acosh asin asinh atan atan2 atanh ceil clipByValue cos cosh elu erf
exp expm1 floor isFinite isInf isNaN leakyRelu log log1p logSigmoid neg prelu reciprocal relu relu6
round rsqrt selu sigmoid sign sin sinh softplus sqrt square step tan tanh bitwiseAnd equal greater
greaterEqual less lessEqual logicalAnd logicalNot logicalOr logicalXor notEqual where whereAsync
all any argMax argMin bincount denseBincount logSumExp max mean min prod sum cumsum cumprod avgPool
avgPool3d conv1d conv2d conv2dTranspose conv3d conv3dTranspose depthwiseConv2d dilation2d maxPool
maxPool3d maxPoolWithArgmax pool separableConv2d dot einsum euclideanNorm matMul norm outerProduct
transpose batchNorm localResponseNormalization logSoftmax moments softmax sparseToDense
confusionMatrix inTopKAsync lowerBound searchSorted topk unique upperBound unsortedSegmentSum
dropout movingAverage basicLSTMCell multiRNNCell fft ifft rfft irfft sparseFillEmptyRows
sparseReshape sparseSegmentMean sparseSegmentSum raggedGather raggedRange raggedTensorToTensor grad
grads valueAndGrad variableGrads customGrad tidy keep dispose memory time profile setBackend
getBackend
""",
    "image": """
cropAndResize flipLeftRight grayscaleToRGB rgbToGrayscale nonMaxSuppression
nonMaxSuppressionPadded nonMaxSuppressionWithScore resizeBilinear resizeNearestNeighbor
rotateWithOffset threshold transform
""",
    "linalg": "bandPart gramSchmidt qr",
    "losses": """
absoluteDifference computeWeightedLoss cosineDistance hingeLoss huberLoss logLoss
sigmoidCrossEntropy softmaxCrossEntropy
""",
    "signal": "frame hammingWindow hannWindow stft",
    "string": "nGrams split toHashBucketFast staticRegexReplace",
    "fused": "conv2d depthwiseConv2d matMul",
}
# Those whose name here is not theirs in snake_case; docs/core.md tells.
RENAMED = {
    "booleanMaskAsync": "boolean_mask",
    "customGrad": "custom_gradient",
    "inTopKAsync": "in_top_k",
    "isNaN": "is_nan",
    "matMul": "matmul",
    "setdiff1dAsync": "setdiff1d",
    "topk": "top_k",
    "whereAsync": "where_indices",
}
# The one whose name Keras has for another function.
COMPOSED = ("`losses.meanSquaredError`", "`fl.losses.compute_weighted_loss(fl.squared_difference(")


def snake_case(name: str) -> str:
    name = re.sub(r"ND$", "_nd", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name))
    return name.lower()


def test_every_op_of_tensorflow_js_has_its_function() -> None:
    missing, page = [], (ROOT / "docs" / "core.md").read_text("utf-8")
    assert all(told in page for told in COMPOSED)
    for room, names in TFJS.items():
        place = getattr(fl, room) if room else fl
        for name in names.split():
            ours = RENAMED.get(name, snake_case(name)) if not room else snake_case(name)
            if ours not in dir(place):
                missing.append((room, name))
            if ours != snake_case(name) and name != "isNaN":
                assert f"`{name}`" in page and f"`fl.{ours}`" in page, name
    assert missing == []


def test_completion_offers_what_is_public_and_nothing_else() -> None:
    assert set(dir(fl)) == PUBLIC | {"__version__"}
    rooms = {n: thing for n in PUBLIC if isinstance(thing := getattr(fl, n), ModuleType)}
    assert {"random", "linalg", "image", "losses", "tasks"} <= set(rooms)
    for name, room in rooms.items():
        assert dir(room) == sorted(room.__all__), name
        # Dtypes and constants are of no module.
        things = {n: getattr(getattr(room, n), "__module__", "fanlight.") for n in dir(room)}
        assert [n for n, where in things.items() if not where.startswith("fanlight.")] == [], name


def test_everything_of_the_module_hides_nothing_of_python() -> None:
    names: dict[str, Any] = {}
    exec("from fanlight import *", names)
    assert names["sum"]([1, 2]) == 3 if "sum" in names else True
    assert HIDING.isdisjoint(names) and {"tensor", "grad", "matmul"} <= set(names)
    assert all(callable(getattr(fl, name)) for name in HIDING)
    from fanlight import max as largest

    assert largest([1, 2]).item() == 2


def facades() -> list[str]:
    """Every package of ours whose __init__ says what it offers."""
    found = []
    for path in sorted(PACKAGE.rglob("__init__.py")):
        if re.search(r"^__all__", path.read_text("utf-8"), re.MULTILINE):
            found.append(".".join(path.parent.relative_to(ROOT).parts))
    return found


@pytest.mark.parametrize("name", facades())
def test_every_facade_holds_what_it_says(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [n for n in module.__all__ if not hasattr(module, n)] == []


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_things_are_documented_and_typed(name: str) -> None:
    thing = getattr(fl, name)
    assert inspect.getdoc(thing), name
    callables = [thing]
    if isinstance(thing, ModuleType):
        offered = (getattr(thing, n) for n in thing.__all__)
        callables = [f for f in offered if inspect.isroutine(f) or inspect.isclass(f)]
    if inspect.isclass(thing):
        callables = [m for n, m in inspect.getmembers(thing, inspect.isfunction) if n[0] != "_"]
    for function in callables:
        assert inspect.getdoc(function), function
        if inspect.isclass(function) and "__init__" not in vars(function):
            continue
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, function
        for parameter in signature.parameters.values():
            untyped = parameter.annotation is inspect.Parameter.empty
            assert parameter.name == "self" or not untyped, (function, parameter)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (fl.load, ["path"]),
        (fl.build, ["model", "out", "task", "precision"]),
        (fl.check, ["bundle"]),
        (fl.Bundle.run, ["inputs", "host"]),
        (fl.tasks.classify, ["labels", "input_range"]),
    ],
)
def test_the_contract_of_the_signatures(function: Any, parameters: list[str]) -> None:
    assert set(parameters) <= set(inspect.signature(function).parameters)


def test_a_model_has_its_attributes() -> None:
    model, task = fl.default_model()
    assert model.inputs and model.outputs and task.labels
    assert {"graph", "inputs", "outputs"} <= set(dir(model))
    assert callable(model)


def test_version_is_that_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version and fl.__version__ == version[1]


def test_a_name_of_another_library_says_what_it_is_called_here() -> None:
    from fanlight.tensor.names import CALLED

    for name, here in CALLED.items():
        assert name not in vars(fl), name
        with pytest.raises(AttributeError) as caught:
            getattr(fl, name)
        text = str(caught.value)
        assert f"{name} is {here} here" in text
        assert ("fl.array_api" in text) == (name in fl.array_api.__all__)
        x = fl.tensor([[1.0]])
        for path in re.findall(r"\b(fl|x)\.([\w.]+)", here):
            thing: Any = fl if path[0] == "fl" else x
            for part in path[1].rstrip(".").split("."):
                thing = getattr(thing, part)
    # NumPy's names that are not here are in the array API, or have an answer.
    for name in ("argmax", "concatenate", "multiply", "power", "isnan", "take", "flip"):
        assert name in CALLED
    for name in set(fl.array_api.__all__) - set(vars(fl)):
        if name[0] != "_" and inspect.isroutine(getattr(fl.array_api, name)):
            with pytest.raises(AttributeError, match=f"fl.array_api.{name}|{name} is"):
                getattr(fl, name)


def test_a_name_of_a_room_says_which() -> None:
    for room in ("linalg", "signal", "image", "losses", "random", "string"):
        for name in set(getattr(fl, room).__all__) - set(vars(fl)):
            with pytest.raises(AttributeError, match=rf"fl\.{room}\.{name}\b"):
                getattr(fl, name)
    with pytest.raises(AttributeError, match=r"'solve': it is fl\.linalg\.solve$"):
        fl.solve  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"inv is fl\.linalg\.inverse here"):
        fl.inv  # type: ignore[attr-defined]  # noqa: B018


def leads_somewhere(told: str) -> None:
    """Every `fl.path` of a text is there, and so is every method of `dataset` and `model`."""
    rooms: dict[str, Any] = {
        "fl": fl, "dataset": fl.data.from_arrays([1.0]), "model": fl.Sequential(),
    }  # fmt: skip
    for first, path in re.findall(r"\b(fl|dataset|model)\.([\w.]*\w)", told):
        thing = rooms[first]
        if path not in ("keras", "json"):  # "model.keras" is a file
            for part in path.split("."):
                thing = getattr(thing, part)


def test_what_others_have_elsewhere_is_told() -> None:
    from fanlight.tensor import names

    rooms = {"utils": fl.utils, "data": fl.data}
    owners: list[tuple[Any, dict[str, str]]] = [
        (fl, names.TOLD),
        (fl.data.from_arrays([1.0]), names.METHODS_OF_DATASETS),
        (fl.Sequential([fl.Input((2,)), fl.layers.Dense(1)]), names.METHODS_OF_MODELS),
        *((room, {n: t for n, t in names.DATASETS.items() if n not in room.__all__})
          for room in rooms.values()),
    ]  # fmt: skip
    for owner, table in owners:
        for name, told in table.items():
            assert not hasattr(owner, name), (owner, name)
            with pytest.raises(AttributeError, match=rf"no attribute '{name}': ") as caught:
                getattr(owner, name)
            assert str(caught.value).endswith(told)
            leads_somewhere(told)
        with pytest.raises(AttributeError, match="no attribute 'zyzzyva'"):
            _ = owner.zyzzyva
    for name in ("from_tensor_slices", "from_generator"):
        with pytest.raises(AttributeError, match=r"'Dataset' has no attribute .*: fl\.data\.from_"):
            getattr(fl.data.Dataset, name)
    for name in ("FeatureSpace", "Progbar", "get_file", "model_to_dot"):
        with pytest.raises(AttributeError, match=rf"no attribute '{name}': ") as caught:
            getattr(fl.utils, name)
        leads_somewhere(str(caught.value).partition(": ")[2])


def test_a_class_says_in_which_room_it_is() -> None:
    for name, place in {
        "Metric": "metrics.Metric", "Dense": "layers.Dense", "Adam": "optimizers.Adam",
        "Callback": "callbacks.Callback", "Loss": "losses.Loss", "L2": "regularizers.L2",
        "Dataset": "data.Dataset", "image_folder": "data.image_folder",
        "to_categorical": "utils.to_categorical", "MaxNorm": "constraints.MaxNorm",
    }.items():  # fmt: skip
        with pytest.raises(AttributeError, match=rf"'{name}': it is fl\.{place}$"):
            getattr(fl, name)


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'softmxa': is fl\.softmax what"):
        fl.softmxa  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'zyzzyva'$"):
        fl.zyzzyva  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(fl, "__wrapped__")


# --- the cost of importing ------------------------------------------------------------------------


def test_import_loads_numpy_and_the_standard_library_only() -> None:
    code = """
import json, sys
import numpy
before = set(sys.modules)
import fanlight
fanlight.tensor  # all public names come with the first
print(json.dumps(sorted({m.partition(".")[0] for m in set(sys.modules) - before}
                        - set(sys.stdlib_module_names))))
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["fanlight"]
    assert done.stderr == ""


def test_import_takes_less_than_a_second() -> None:
    """Of processor time, Python's own start and NumPy included: a busy machine is no failure."""
    code = "import time, fanlight; fanlight.tensor; print(time.process_time())"
    run_python("-c", f"import sys; sys.dont_write_bytecode = False; {code}")
    best = min(float(run_python("-c", code).stdout) for _ in range(3))
    assert best < 1.0


def test_import_alone_loads_no_room() -> None:
    """And a room that is imported by itself does not hide the function of its name."""
    code = """
import sys
import fanlight as fl
assert [m for m in sys.modules if m.startswith("fanlight.")] == ["fanlight.version"]
assert "numpy" not in sys.modules
import fanlight.check, fanlight.convert, fanlight.jit, fanlight.tensor
assert "fanlight.public" not in sys.modules
assert fl.tensor is sys.modules["fanlight.tensor"].tensor and callable(fl.convert)
assert fl.check is sys.modules["fanlight.check"].check
assert fl.jit is sys.modules["fanlight.jit"].jit and "fanlight.public" in sys.modules
assert fl.layers is sys.modules["fanlight.layers"]
import inspect, pkgutil
rooms = {room.name for room in pkgutil.iter_modules(fl.__path__)}
hidden = {n for n in dir(fl) if n in rooms and not inspect.ismodule(getattr(fl, n))}
assert hidden == fl._FUNCTIONS, hidden
assert all(callable(getattr(fl, name)) for name in hidden)
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    for name in ("tensor", "layers", "add"):  # whichever is asked for first
        told = f"import fanlight as fl; fl.{name}; print(fl.tensor([1, 2]).shape)"
        assert run_python("-c", told).stdout.strip() == "(2,)"


# --- errors ---------------------------------------------------------------------------------------


def codes_in(path: Path) -> set[str]:
    """The codes that a source file uses: string literals of Python but docstrings; all of JS."""
    text = path.read_text("utf-8")
    if path.suffix == ".js":
        return set(CODE.findall(re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)))
    tree = ast.parse(text)
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        code
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
        for code in CODE.findall(node.value)
    }


def used() -> dict[str, list[str]]:
    """code -> the files that use it; to list or to explain a code is not to use it."""
    found: dict[str, list[str]] = {}
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js")]):
        if path != PACKAGE / "errors.py" and path.parent.name != "explanations":
            for code in codes_in(path):
                found.setdefault(code, []).append(path.relative_to(ROOT).as_posix())
    return found


def test_every_code_that_is_used_is_in_the_catalogue() -> None:
    assert {c: p for c, p in used().items() if c not in CATALOGUE} == {}


def test_every_code_of_the_catalogue_is_used() -> None:
    assert sorted(set(CATALOGUE) - set(used())) == []


def test_the_catalogue_reads_well() -> None:
    for code, text in CATALOGUE.items():
        assert CODE.fullmatch(code), code
        names = ("load", "run", "classify", "manifest", "int8", "float_layers")
        assert text[0].isupper() or text.startswith(names), code
        assert text.rstrip()[-1] in ".'", code
        assert len(text) > 20, code
    assert len(set(CATALOGUE.values())) == len(CATALOGUE)


def test_raising_a_code_that_is_not_in_the_catalogue_is_refused() -> None:
    with pytest.raises(KeyError, match="catalogue"):
        FanlightError("E-NOPE-001", "no")


def test_an_error_says_what_to_do_in_words_and_in_json() -> None:
    bare = FanlightError("E-OP-006", "no such op")
    assert "fanlight explain E-OP-006" in str(bare)
    assert "fanlight explain E-OP-006" in bare.to_json()["next"]
    full = FanlightError("E-OP-006", "m", expected=1, received=2, where="w", next="n")
    assert str(full).splitlines()[1:] == [
        "  Where: w", "  Expected: 1", "  Received: 2", "  Next: n"
    ]  # fmt: skip
    assert full.to_json() == {
        "code": "E-OP-006", "message": "m", "where": "w", "expected": "1", "received": "2",
        "next": "n",
    }  # fmt: skip


def test_errors_about_what_people_hand_in_say_all_that_helps() -> None:
    """Expected, received, where: always. Next has a default, which names `fanlight explain`."""
    silent = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "FanlightError"):
                continue
            code = node.args[0].value if isinstance(node.args[0], ast.Constant) else "E-FORMAT-000"
            given = {keyword.arg for keyword in node.keywords}
            about_input = re.match(r"E-(FORMAT|INPUT|BUNDLE|BUILD-00[1-7])", str(code))
            if about_input and not {"expected", "received", "where"} <= given:
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {code}")
    assert silent == []


def test_no_source_file_is_too_long() -> None:
    """Longer than 800 lines needs an ADR (there is none)."""
    long = {
        p.relative_to(ROOT).as_posix(): n
        for p in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js")]
        if p.parent.name != "dist" and (n := len(p.read_text("utf-8").splitlines())) > 800
    }
    assert long == {}


def test_build_and_check_stay_a_page() -> None:
    for name in ("build.py", "check.py"):
        assert len((PACKAGE / name).read_text("utf-8").splitlines()) <= 200, name


def test_no_stubs_are_left() -> None:
    stub = re.compile(r"\b(?:TODO|FIXME|XXX|raise NotImplementedError)\b")
    sources = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.html")]
    found = [p.name for p in sources if stub.search(p.read_text("utf-8"))]
    assert found == []
