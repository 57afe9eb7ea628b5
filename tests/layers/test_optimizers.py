"""Optimizers against Keras 3: 20 steps of a small model, what they keep, configurations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import optimizers
from fanlight.layers.weight import Weight
from tests.conformance import compared
from tests.layers.keras_oracle import AFTER_STEPS, STEPS, close, keras

pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(2)
X = RNG.normal(size=(STEPS, 8, 5)).astype(np.float32)
Y = RNG.integers(0, 3, (STEPS, 8)).astype(np.int32)
FIRST = [RNG.normal(size=shape).astype(np.float32) * 0.5 for shape in ((5, 4), (4,), (4, 3), (3,))]

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "learning_rate": 0.05}),
    ("Adam", {"learning_rate": 0.01}),
    ("Adam", {"learning_rate": 0.01, "amsgrad": True, "beta_1": 0.8, "epsilon": 1e-3}),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"learning_rate": 0.01}),
    ("RMSprop", {"learning_rate": 0.01, "momentum": 0.9, "centered": True, "rho": 0.8}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.9}),
    ("Adamax", {"learning_rate": 0.01}),
    ("Nadam", {"learning_rate": 0.01}),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.7,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.05,
            "beta": 0.1,
        },
    ),
    ("Lion", {"learning_rate": 0.003}),
    ("Lamb", {"learning_rate": 0.01}),
    ("Adafactor", {"learning_rate": 0.05}),
    ("Adafactor", {"learning_rate": 0.05, "relative_step": False, "clip_threshold": 0.5}),
    ("Muon", {"learning_rate": 0.02}),
    (
        "Muon",
        {
            "learning_rate": 0.02,
            "exclude_layers": ["second"],
            "nesterov": False,
            "ns_steps": 3,
            "adam_lr_ratio": 0.5,
            "rms_rate": None,
        },
    ),
    ("Adam", {"learning_rate": 0.01, "weight_decay": 0.05}),
    ("SGD", {"learning_rate": 0.5, "clipnorm": 0.1}),
    ("SGD", {"learning_rate": 0.5, "clipvalue": 0.05}),
    ("SGD", {"learning_rate": 0.5, "global_clipnorm": 0.1}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8}),
    (
        "Adam",
        {"learning_rate": 0.02, "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    ),
    ("Adam", {"learning_rate": 0.01, "gradient_accumulation_steps": 4, "clipnorm": 0.5}),
    (
        "Nadam",
        {
            "learning_rate": 0.02,
            "gradient_accumulation_steps": 3,
            "weight_decay": 0.1,
            "use_ema": True,
            "ema_momentum": 0.7,
            "ema_overwrite_frequency": 2,
        },
    ),
    ("RMSprop", {"learning_rate": 0.01, "loss_scale_factor": 128.0}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.02}),
    ("ScheduleFreeAdamW", {"beta_1": 0.8, "warmup_steps": 6, "weight_decay": 0.1, "clipnorm": 1.0}),
]
IDS = [f"{name}-{i}-{'-'.join(options)}"[:60] for i, (name, options) in enumerate(CASES)]


def gradients(module: Any, weights: list[Any], x: Any, y: Any) -> Any:
    """Softmax regression through one hidden layer, by hand: the loss's gradients in NumPy."""
    w, b, v, c = (np.asarray(a, np.float64) for a in weights)
    hidden = np.tanh(x @ w + b)
    scores = hidden @ v + c
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    p /= len(y)
    back = (p @ v.T) * (1 - hidden**2)
    return [g.astype(np.float32) for g in (x.T @ back, back.sum(0), hidden.T @ p, p.sum(0))]


def paths() -> list[str]:
    return ["first/kernel", "first/bias", "second/kernel", "second/bias"]


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_steps_by_the_same_gradients(name: str, options: dict[str, Any]) -> None:
    """Each side goes by the gradients at its own weights, so that differences would grow."""
    import jax

    theirs = getattr(keras.optimizers, name)(**options)
    ours = getattr(optimizers, name)(**options)
    mine = [
        Weight(fl.tensor(a), True, p.split("/")[1], p) for a, p in zip(FIRST, paths(), strict=True)
    ]
    other = []
    for a, path in zip(FIRST, paths(), strict=True):
        variable = keras.Variable(a, name=path.split("/")[1])
        variable._path = path
        other.append(variable)
    theirs.build(other)
    apply = theirs.apply
    if options.keys() & {"gradient_accumulation_steps", "ema_overwrite_frequency"}:
        # Its branches are compiled at every step, unless the step is.
        step = jax.jit(theirs.stateless_apply)

        def apply(grads: Any, weights: Any) -> None:
            values = [v.value for v in weights], [v.value for v in theirs.variables]
            found = step(values[1], grads, values[0])
            for variables, new in zip((weights, theirs.variables), found, strict=True):
                for variable, value in zip(variables, new, strict=True):
                    variable.assign(value)

    scale = options.get("loss_scale_factor", 1.0)
    for x, y in zip(X, Y, strict=True):
        pulled = gradients(np, [w.numpy() for w in mine], x, y)
        ours.apply_gradients([(fl.tensor(g * scale), w) for g, w in zip(pulled, mine, strict=True)])
        pulled = gradients(np, [np.asarray(w.value) for w in other], x, y)
        apply([g * scale for g in pulled], other)
        for a, b in zip(mine, other, strict=True):
            close(a.numpy(), b.value, a.path, AFTER_STEPS)
    kept = [v.numpy() for v in ours.variables]
    wanted = [np.asarray(v.value) for v in theirs.variables]
    assert [v.shape for v in kept] == [v.shape for v in wanted]
    for v, a, b in zip(ours.variables, kept, wanted, strict=True):
        close(a, b, v.path, AFTER_STEPS)
    ours.finalize_variable_values(mine)
    theirs.finalize_variable_values(other)
    for a, b in zip(mine, other, strict=True):
        close(a.numpy(), b.value, a.path, AFTER_STEPS)
    compared("optimizers", name, "20 steps")


# Where the whole of Keras's fit is compared, it takes seconds: a few of them do.
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam", {"learning_rate": 0.01, "clipnorm": 0.3}),
        ("SGD", {"momentum": 0.9, "nesterov": True, "loss_scale_factor": 16.0}),
        ("AdamW", {"learning_rate": 0.01, "use_ema": True, "gradient_accumulation_steps": 2}),
    ],
)
def test_fit(name: str, options: dict[str, Any]) -> None:
    losses = []
    for library, kind in ((keras, keras.optimizers), (fl, optimizers)):
        layers = [
            library.Input((5,)),
            library.layers.Dense(4, "tanh", kernel_regularizer="l2"),
            library.layers.Dense(3, "softmax", kernel_constraint="non_neg"),
        ]
        model = library.Sequential(layers)
        model.set_weights([np.abs(a) for a in FIRST])
        model.compile(getattr(kind, name)(**options), "sparse_categorical_crossentropy")
        history = model.fit(
            X.reshape(-1, 5), Y.reshape(-1), batch_size=8, epochs=1, shuffle=False, verbose=0
        )
        losses.append((history.history["loss"], model.get_weights()))
    assert model._steps.compiled
    close(losses[1][0], losses[0][0], "losses")
    for a, b in zip(losses[1][1], losses[0][1], strict=True):
        close(a, b, "weights", AFTER_STEPS)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_every_optimizer_in_the_compiled_step(name: str, options: dict[str, Any]) -> None:
    """As much as NumPy computes op by op, which is compared with Keras above."""
    found = []
    for eager in (True, False):
        model = fl.Sequential(
            [fl.Input((5,)), fl.layers.Dense(4, "tanh"), fl.layers.Dense(3, "softmax")]
        )
        model.set_weights(FIRST)
        optimizer = getattr(optimizers, name)(**options)
        model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=eager)
        for x, y in zip(X[:7], Y[:7], strict=True):
            model.train_on_batch(x, y)
        assert model._steps.compiled is not eager, model._steps.why
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        close(a, b, "weights", AFTER_STEPS)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_configurations_go_both_ways(name: str, options: dict[str, Any]) -> None:
    ours = getattr(optimizers, name)(**options)
    theirs = getattr(keras.optimizers, name)(**options)
    wanted, found = theirs.get_config(), ours.get_config()
    assert wanted.keys() == found.keys()
    for key in wanted.keys() - {"name"}:
        same = found[key] == wanted[key]
        assert same or found[key] == pytest.approx(float(wanted[key]), 1e-6), key
    back = type(theirs).from_config(found).get_config()
    assert {k: v for k, v in back.items() if k != "learning_rate"} == {
        k: v for k, v in found.items() if k != "learning_rate"
    }
    again = optimizers.get(keras.optimizers.serialize(theirs))
    assert type(again) is type(ours) and again.name == theirs.name
    compared("optimizers", name, "configs")


def test_names_and_defaults() -> None:
    fl.clear_session()
    keras.utils.clear_session()
    for kind in optimizers.CLASSES:
        ours, theirs = kind(), getattr(keras.optimizers, kind.__name__)()
        assert ours.name == theirs.name
        mine, other = ours.get_config(), theirs.get_config()
        assert mine.pop("learning_rate") == pytest.approx(other.pop("learning_rate"))
        assert mine == other
        assert type(optimizers.get(kind.__name__.lower())) is kind


def test_weights_that_are_spared_the_decay() -> None:
    w, b = Weight(fl.ones(2), True, "kernel", "a/kernel"), Weight(fl.ones(2), True, "bias", "a/b")
    optimizer = optimizers.AdamW(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[b])
    optimizer.apply([fl.zeros(2), fl.zeros(2)], [w, b])
    np.testing.assert_allclose([w.numpy(), b.numpy()], [[0.5, 0.5], [1, 1]])
    muon = optimizers.Muon(1.0, weight_decay=0.5)
    muon.exclude_from_weight_decay(var_names=["kernel"])
    assert muon.decay_of(w) == 0.0 and muon.decay_of(b) == 0.004


def test_one_of_ones_own() -> None:
    @fl.register()
    class Signs(optimizers.Optimizer):
        """Steps of one size."""

        fields = ("times",)

        def __init__(self, learning_rate: Any = 0.1, times: float = 1.0, **options: Any) -> None:
            super().__init__(learning_rate, **options)
            self.times = times

        def step(self, weight: Any, grad: Any, rate: Any, slots: Any) -> Any:
            return weight - rate * self.times * fl.sign(grad), {}

    w = Weight(fl.zeros(2), True, "w", "w")
    optimizer = Signs(times=2.0)
    optimizer.apply([fl.tensor([1.0, -3.0])], [w])
    np.testing.assert_allclose(w.numpy(), [-0.2, 0.2], 1e-6)
    assert optimizers.get(fl.layers.config.described(optimizer)).times == 2.0


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: optimizers.SGD(learning_rat=0.1), "E-LAYER-004"),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "E-LAYER-004"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), "E-LAYER-004"),
        (lambda: optimizers.SGD(ema_momentum=2.0), "E-LAYER-004"),
        (lambda: optimizers.SGD(ema_overwrite_frequency=0), "E-LAYER-004"),
        (lambda: optimizers.Ftrl(learning_rate_power=1.0), "E-LAYER-004"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1.0), "E-LAYER-004"),
        (lambda: optimizers.Lion(beta_1=0.0), "E-LAYER-004"),
        (lambda: optimizers.get("adm"), "E-LAYER-003"),
        (lambda: optimizers.get(3), "E-LAYER-003"),
    ],
)
def test_wrong_arguments(make: Any, code: str) -> None:
    with pytest.raises(FanlightError) as error:
        make()
    assert error.value.code == code


@pytest.mark.parametrize("freeze", [True, False])
def test_an_optimizer_goes_on_with_fewer_weights_or_more(freeze: bool) -> None:
    """What is frozen or thawed between two fits: the other weights keep their slots."""
    fl.clear_session()
    fl.set_random_seed(1)
    dense = fl.layers.Dense
    net = fl.Sequential([fl.Input((4,)), dense(3, name="a"), dense(2, name="b")])
    first = net.layers[0]
    first.trainable = freeze
    optimizer = fl.optimizers.Adam(0.01)
    x, y = np.random.default_rng(0).random((8, 4), np.float32), np.ones((8, 2), np.float32)

    def slots() -> dict[str, np.ndarray]:
        return {v.path: v.numpy().copy() for v in optimizer.variables}

    net.compile(optimizer, "mse")
    net.fit(x, y, epochs=2, verbose=0)
    before = slots()
    first.trainable = not freeze
    net.compile(optimizer, "mse")
    optimizer.build(net.trainable_weights)
    after = slots()
    assert sum("a_kernel" in path for path in after) == (0 if freeze else 2)
    for path, array in after.items():
        if "b_" in path:
            assert np.array_equal(array, before[path]) and array.any()
        elif "a_" in path:
            assert not array.any()
    net.fit(x, y, verbose=0)
    assert optimizer.trained == net.trainable_weights
    assert not np.array_equal(slots()["adam/b_kernel_momentum"], before["adam/b_kernel_momentum"])
