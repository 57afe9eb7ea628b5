"""Layers of signals, of features that are crossed, and around others, against Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.conformance import compared
from tests.layers.keras_oracle import check_config, check_layer, close, jax, keras, numbers

STEADY = ("psd", "real", "imag")  # whose slopes are bounded: 20 steps stay side by side
MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize(
    "options",
    [{}, {"window": "hamming", "periodic": True, "scaling": "spectrum"},
     {"window": None, "scaling": None}, {"window": [0.1] * 20 + [1.0] * 12}],
)  # fmt: skip
def test_kernels(side: str, options: dict[str, Any]) -> None:
    ours, theirs = fl.initializers.STFT(side, **options), keras.initializers.STFT(side, **options)
    close(ours((32, 1, 17)), theirs((32, 1, 17)), side)
    assert ours.get_config() == {**theirs.get_config(), "window": options.get("window", "hann")}
    assert isinstance(fl.initializers.get(keras.initializers.serialize(theirs)), type(ours))
    compared("initializers", "STFT", "outputs", "configs")


@pytest.mark.parametrize("mode", MODES)
def test_stft(mode: str) -> None:
    options: dict[str, Any] = {"mode": mode, "frame_length": 32, "frame_step": 8}
    ours, theirs = fl.layers.STFTSpectrogram(**options), keras.layers.STFTSpectrogram(**options)
    tolerance = 1e-4 if mode in ("angle", "log") else 1e-5  # steep where numbers are near 0
    check_layer(ours, theirs, (2, 100, 2), tolerance=tolerance, steps=mode in STEADY)


@pytest.mark.parametrize(
    "options",
    [
        {"window": "hamming", "periodic": True, "scaling": "spectrum", "padding": "same"},
        {"window": None, "scaling": None, "fft_length": 64, "expand_dims": True},
        {"data_format": "channels_first", "mode": "magnitude"},
        {"data_format": "channels_first", "expand_dims": True, "mode": "stft"},
        {"window": [0.1] * 20 + [1.0] * 12, "frame_step": 5, "mode": "real"},
    ],
)
def test_stft_options(options: dict[str, Any]) -> None:
    options = {"mode": "psd", "frame_length": 32, **options}
    if options.get("data_format") == "channels_first":
        # JAX convolves channels last only, on CPUs: Keras's result is turned.
        last = {**options, "data_format": "channels_last"}
        x = numbers(2, 3, 90)
        found = fl.layers.STFTSpectrogram(**options)(x).numpy()
        want = np.asarray(keras.layers.STFTSpectrogram(**last)(x.transpose(0, 2, 1)))
        turn = (0, 3, 1, 2) if options.get("expand_dims") else (0, 2, 1)
        close(found, want.transpose(turn), "channels_first")
        check_config(fl.layers.STFTSpectrogram(**options), keras.layers.STFTSpectrogram(**options))
        return
    ours, theirs = fl.layers.STFTSpectrogram(**options), keras.layers.STFTSpectrogram(**options)
    check_layer(ours, theirs, (2, 90, 3), config=not isinstance(options.get("window"), list))


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "boxcar"])
@pytest.mark.parametrize("length", [7, 32])
def test_windows_are_scipy_s(window: str, length: int) -> None:
    signal = pytest.importorskip("scipy.signal")
    from fanlight.layers.initializers import window_of

    for periodic in (False, True):
        want = signal.get_window(window, length, periodic)
        np.testing.assert_allclose(window_of(window, length, periodic), want, atol=1e-12)


MEL: list[dict[str, Any]] = [
    {"fft_length": 64, "sequence_stride": 16, "num_mel_bins": 10, "sampling_rate": 8000},
    {
        "fft_length": 64,
        "sequence_length": 40,
        "sequence_stride": 20,
        "num_mel_bins": 6,
        "window": "hamming",
        "sampling_rate": 4000,
        "min_freq": 100.0,
        "max_freq": 1500.0,
        "power_to_db": False,
        "mag_exp": 1.0,
    },
    {"fft_length": 32, "sequence_stride": 8, "num_mel_bins": 5, "window": None, "top_db": 3.0},
    {"fft_length": 50, "sequence_stride": 8, "num_mel_bins": 5, "ref_power": 4.0},
]


@pytest.mark.parametrize("options", MEL)
def test_mel(options: dict[str, Any]) -> None:
    ours, theirs = fl.layers.MelSpectrogram(**options), keras.layers.MelSpectrogram(**options)
    x = numbers(2, 200)
    tolerance = 3e-5 if options.get("power_to_db", True) else 1e-5
    close(ours(x).numpy(), theirs(x), "batch", tolerance)
    close(ours(x[0]).numpy(), theirs(x[0]), "one", tolerance)
    assert ours.compute_output_shape((None, 200)) == tuple(theirs.compute_output_shape((None, 200)))
    check_config(ours, theirs)
    probe = numbers(*ours(x).shape, seed=3)
    slope = fl.grad(lambda v: fl.sum(ours(v) * probe))(fl.tensor(x)).numpy()
    wanted = jax.jit(jax.grad(lambda v: (theirs(v) * probe).sum()))(x)
    close(slope, wanted, "gradient", 1e-4 if options.get("power_to_db", True) else 1e-5)
    compared("layers", "MelSpectrogram", "outputs", "gradients")


def test_mel_is_built(tmp_path: Path) -> None:
    layer = fl.layers.MelSpectrogram(64, 16, num_mel_bins=8, sampling_rate=8000)
    model = fl.Sequential([fl.Input((160,)), layer])
    x = numbers(1, 160)
    bundle = fl.build(model, tmp_path / "out")
    (found,) = bundle.run({next(iter(model.batched)): x}).values()
    np.testing.assert_allclose(found, model.predict(x), atol=1e-3)


def test_wrong_arguments_of_signals() -> None:
    layers = fl.layers
    for make in (
        lambda: layers.STFTSpectrogram("loud"),
        lambda: layers.STFTSpectrogram(frame_length=8, frame_step=9),
        lambda: layers.STFTSpectrogram(frame_length=8, fft_length=4),
        lambda: layers.STFTSpectrogram(window="round"),
        lambda: layers.STFTSpectrogram(scaling="much"),
        lambda: layers.STFTSpectrogram(padding="full"),
        lambda: layers.MelSpectrogram(fft_length=16, sequence_length=17),
        lambda: layers.MelSpectrogram(window="round"),
        lambda: layers.MelSpectrogram(min_freq=9000.0),
        lambda: layers.MelSpectrogram(window=[1.0]),
        lambda: fl.initializers.STFT("left"),
        lambda: fl.initializers.STFT()((3, 3)),
        lambda: fl.initializers.STFT(window=[1.0, 2.0])((3, 1, 4)),
    ):
        with pytest.raises(FanlightError) as caught:
            make()
        assert caught.value.code == "E-LAYER-004"
    for call in (
        lambda: layers.MelSpectrogram()(np.zeros((2, 100))),
        lambda: layers.STFTSpectrogram()(np.zeros((2, 100, 1))),
        lambda: layers.STFTSpectrogram()(np.zeros((2, 300))),
    ):
        with pytest.raises(FanlightError, match="E-LAYER-001"):
            call()


# --- features that are crossed --------------------------------------------------------------------


def test_crossed_features_are_in_tensorflow_s_buckets() -> None:
    """The numbers of Keras's own example, which TensorFlow computed."""
    texts, whole = np.array(list("ABABA")), np.array([101, 101, 101, 102, 102])
    layer = fl.layers.HashedCrossing(5)
    assert layer([texts, whole]).numpy().tolist() == [1, 4, 1, 1, 3]
    column = layer([texts[:, None], whole[:, None]]).numpy()
    assert column.tolist() == [[1], [4], [1], [1], [3]]
    hot = fl.layers.HashedCrossing(5, output_mode="one_hot")([texts, whole]).numpy()
    np.testing.assert_array_equal(hot, np.eye(5, dtype=np.float32)[[1, 4, 1, 1, 3]])
    compared("layers", "HashedCrossing", "defined")
    again = fl.layers.HashedCrossing.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config()
    for wrong in ([texts], [texts, whole[:3]], [texts, whole.astype(float) + 0.5], texts):
        with pytest.raises(FanlightError, match="E-LAYER-001"):
            layer(wrong)
    with pytest.raises(FanlightError, match="E-LAYER-004"):
        fl.layers.HashedCrossing(5, output_mode="count")


def test_a_model_crosses_features_before_it_computes() -> None:
    color, size = fl.Input((1,), dtype="string"), fl.Input((1,), dtype="int32")
    crossed = fl.layers.HashedCrossing(8, output_mode="one_hot")([color, size])
    model = fl.Model([color, size], fl.layers.Dense(2)(crossed))
    texts = np.array([["red"], ["red"], ["blue"]], object)
    found = model.predict([texts, np.array([[1], [2], [1]])])
    assert found.shape == (3, 2) and not np.allclose(found[0], found[1])


# --- around others --------------------------------------------------------------------------------


@pytest.mark.parametrize("tie_weights", [True, False])
def test_embedding_both_ways(tie_weights: bool) -> None:
    options = {"tie_weights": tie_weights, "mask_zero": True, "logit_soft_cap": 3.0}
    ours = fl.layers.ReversibleEmbedding(6, 4, **options)
    theirs = keras.layers.ReversibleEmbedding(6, 4, **options)
    ids = np.array([[1, 0, 5], [2, 2, 3]], np.int32)
    theirs.build((2, 3))
    ours(ids)
    assert [(w.name, w.shape) for w in ours.weights] == [
        (w.name, tuple(w.shape)) for w in theirs.weights
    ]
    ours.set_weights([np.asarray(w.value) for w in theirs.weights])
    close(ours(ids).numpy(), theirs(ids), "rows")
    hidden = numbers(2, 3, 4)
    close(ours(hidden, reverse=True).numpy(), theirs(hidden, reverse=True), "scores")
    check_config(ours, theirs)
    probe = numbers(2, 3, 6)
    slopes = fl.variable_grads(lambda: fl.sum(ours(ours(ids), reverse=True) * probe))[1]

    def of_keras(values: Any) -> Any:
        rows, _ = theirs.stateless_call(values, [], ids)
        scores, _ = theirs.stateless_call(values, [], rows, reverse=True)
        return (scores * probe).sum()

    wanted = jax.grad(of_keras)([v.value for v in theirs.trainable_variables])
    for w, g in zip(ours.weights, wanted, strict=True):
        close(slopes[w.name].numpy(), g, w.name)
    compared("layers", "ReversibleEmbedding", "outputs", "gradients")
    first = ours.get_weights()
    values = [v.value for v in theirs.trainable_variables]
    slope = jax.jit(jax.grad(of_keras))
    for _ in range(20):
        values = [v - 0.1 * g for v, g in zip(values, slope(values), strict=True)]
        slopes = fl.variable_grads(lambda: fl.sum(ours(ours(ids), reverse=True) * probe))[1]
        for w in ours.weights:
            w.assign(w.numpy() - np.float32(0.1) * slopes[w.name].numpy())
    for w, v in zip(ours.weights, values, strict=True):
        close(w.numpy(), v, f"{w.name} after 20 steps", 1e-4)
    compared("layers", "ReversibleEmbedding", "20 steps")
    ours.set_weights(first)
    x = fl.Input((3,), dtype="int32")
    model = fl.Model(x, ours(ours(x), reverse=True))
    want = np.asarray(theirs(theirs(ids), reverse=True))
    close(model.predict(ids), want, "a model of both")
    again = fl.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    close(again.predict(ids), want, "the model again")
    with pytest.raises(FanlightError, match="E-LAYER-004"):
        fl.layers.ReversibleEmbedding(6, 4, logit_soft_cap=0.0)


def test_pipeline() -> None:
    layer = fl.layers.Pipeline([fl.layers.AutoContrast(), fl.layers.RandomInvert((1.0, 1.0))])
    x = np.random.default_rng(0).uniform(50, 100, (2, 4, 4, 3)).astype(np.float32)
    plain = fl.layers.AutoContrast()(x).numpy()
    np.testing.assert_array_equal(layer(x).numpy(), plain)
    np.testing.assert_allclose(layer(x, training=True).numpy(), 255 - plain, atol=1e-4)
    theirs = keras.layers.Pipeline.from_config(layer.get_config())
    assert [type(p).__name__ for p in theirs.layers] == ["AutoContrast", "RandomInvert"]
    back = fl.layers.Pipeline.from_config(theirs.get_config())
    assert [p.name for p in back.layers] == [p.name for p in layer.layers]
    for one, other in zip(layer.layers, theirs.layers, strict=True):
        check_config(one, other)
    compared("layers", "Pipeline", "configs")
    close(layer(x).numpy(), theirs(x, training=False), "outputs")
    probe = numbers(*x.shape)
    slope = fl.grad(lambda v: fl.sum(layer(v) * probe))(fl.tensor(x)).numpy()
    wanted = jax.jit(jax.grad(lambda v: (theirs(v, training=False) * probe).sum()))(x)
    close(slope, wanted, "gradient")
    compared("layers", "Pipeline", "outputs", "gradients")
    model = fl.Sequential([fl.Input((4, 4, 3)), layer, fl.layers.Flatten(), fl.layers.Dense(1)])
    again = fl.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-6)
    with pytest.raises(FanlightError, match="E-LAYER-004"):
        fl.layers.Pipeline([3])


@pytest.mark.filterwarnings("ignore:`build\\(\\)` was called:UserWarning")  # Keras's, of its own
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("ending", ["keras", "h5", "safetensors"])
def test_pipeline_of_weights_in_files(ending: str, tmp_path: Path) -> None:
    inner = [fl.layers.Dense(3), fl.layers.Dense(2)]
    x, path = numbers(4, 2, 3), tmp_path / f"model.{ending}"
    model = fl.Sequential([fl.Input((2, 3)), fl.layers.Pipeline(inner), fl.layers.Dense(2)])
    want = model.predict(x)
    model.save(path)
    close(fl.load_model(path).predict(x), want, ending)
    if ending == "keras":  # and Keras has them at the same places
        theirs = keras.models.load_model(path)
        close(theirs(x), want, "Keras")
        theirs.save(path)
        close(fl.load_model(path).predict(x), want, "Keras's own file")


def test_wrappers_of_one_s_own() -> None:
    class Twice(fl.layers.Wrapper):
        def call(self, inputs: Any) -> Any:
            return self.layer(inputs) * 2.0

    layer = Twice(fl.layers.Dense(3))
    x = numbers(2, 4)
    np.testing.assert_allclose(layer(x).numpy(), 2 * layer.layer(x).numpy(), rtol=1e-6)
    assert [w.name for w in layer.weights] == ["kernel", "bias"]
    with fl.utils.custom_object_scope({"Twice": Twice}):
        model = fl.Sequential([fl.Input((4,)), layer])
        again = fl.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-6)
    with pytest.raises(FanlightError, match="E-LAYER-004"):
        Twice("dense")
