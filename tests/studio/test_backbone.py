"""Backbones of Studio: where a classifier is cut, what learns behind it, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers.frontier import frontier
from fanlight.studio import backbone_of, heads_for
from fanlight.studio.backbone import flat
from tests.studio.nets import SIDE, nested, plain
from tests.support import ROOT

RANGE = (-1.0, 1.0)


def test_a_classifier_is_cut_at_its_last_map() -> None:
    net = plain()
    x = np.random.default_rng(0).random((2, SIDE, SIDE, 3), np.float32)
    for model in (net, nested()):
        backbone = backbone_of(model, input_range=RANGE)
        assert backbone.model.output.shape == (None, 8, 8, 8)
        assert backbone.size == (SIDE, SIDE) and backbone.task.input_range == RANGE
        fresh = backbone.fresh()
        assert not fresh.trainable_weights
        np.testing.assert_allclose(fresh.predict(x), backbone.model.predict(x), atol=1e-6)


def test_the_one_that_ships() -> None:
    backbone = backbone_of()
    assert backbone.size == (64, 64) and backbone.task.input_range == (-1, 1)
    assert backbone.model.output.shape == (None, 4, 4, 512)
    assert len(backbone.labels) == 100 and "Top-1" in backbone.card
    assert [h.id for h in heads_for(backbone)] == [
        "linear", "hidden", "neighbours", "tune-2", "tune-4", "tune-6",
    ]  # fmt: skip


def test_what_is_unfrozen_are_the_last_layers_with_kernels_but_no_norm() -> None:
    backbone = backbone_of(plain(), input_range=RANGE)
    assert [h.unfreeze for h in heads_for(backbone)] == [0, 0, 0, 2]
    assert [h.id for h in heads_for(backbone, unfreeze=[1, 3])][3:] == ["tune-1", "tune-3"]
    two = backbone.fresh(2)
    paths = {w.path.rpartition("/")[0].rpartition("/")[2] for w in two.trainable_weights}
    assert paths == {"deep", "last"}


@pytest.mark.parametrize("head", ["linear", "hidden", "neighbours"])
def test_a_head_is_a_classifier_that_learns_without_its_backbone(head: str) -> None:
    backbone = backbone_of(plain(), input_range=RANGE)
    (own,) = [h for h in heads_for(backbone) if h.id == head]
    model = own.model(backbone)
    learns = {w.path.split("/")[0] for w in model.trainable_weights}
    assert learns == {
        "linear": {"answer"}, "hidden": {"hidden", "answer"},
        "neighbours": {"neighbours", "answer"},
    }[head]  # fmt: skip
    assert model.output.shape == (None, 2) and own.features == "pooled"


def test_a_frozen_backbone_inside_a_model_is_cut_and_learns_where_it_is_unfrozen() -> None:
    net = nested()
    net.get_layer("base").trainable = False  # as transfer learning leaves it
    x = np.random.default_rng(1).random((2, SIDE, SIDE, 3), np.float32)
    np.testing.assert_array_equal(flat(net).predict(x), net.predict(x))
    backbone = backbone_of(net, input_range=RANGE)
    (tuned,) = [h for h in heads_for(backbone) if h.unfreeze == 2]
    model = tuned.model(backbone)
    learns = {w.path.rpartition("/")[0].rpartition("/")[2] for w in model.trainable_weights}
    assert learns == {"deep", "last", "answer"}
    # What is frozen ends inside of it: not the pixels are kept for each photo.
    assert [s.shape for s in frontier(model)] == [(None, 8, 8, 6)]


TEACHABLE = ROOT.parent / "shared/data/models/teachable-machine-a"


@pytest.mark.skipif(not TEACHABLE.is_dir(), reason=f"no export of Teachable Machine at {TEACHABLE}")
def test_an_export_of_teachable_machine_is_a_backbone() -> None:
    """Its MobileNet lies two models deep, with the pooling in the same one."""
    backbone = backbone_of(TEACHABLE)
    assert backbone.size == (224, 224) and backbone.task.input_range == (-1, 1)
    assert backbone.model.output.shape == (None, 7, 7, 1280) and len(backbone.labels) == 4
    model = fl.load_model(TEACHABLE)
    x = np.random.default_rng(2).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    np.testing.assert_allclose(flat(model).predict(x), model.predict(x), atol=1e-6)


def test_the_form_is_of_numbers_and_of_how_a_photo_is_taken() -> None:
    net = plain()
    form = backbone_of(net, input_range=RANGE).form()
    assert form == backbone_of(net, input_range=RANGE).form()
    assert form != backbone_of(net, input_range=(0, 1)).form()
    assert form != backbone_of(net, input_range=RANGE, crop="none").form()
    kernel = net.get_layer("last").kernel
    kernel.assign(kernel.numpy() + 1)
    assert form != backbone_of(net, input_range=RANGE).form()


def test_what_is_no_backbone_is_told() -> None:
    flat = fl.Sequential([fl.Input((4,)), fl.layers.Dense(2)])
    no_map = fl.Sequential([fl.Input((8, 8, 3)), fl.layers.Flatten(), fl.layers.Dense(2)])
    grey = fl.Sequential([fl.Input((8, 8, 1)), fl.layers.Conv2D(2, 3)])
    free = fl.Sequential([fl.Input((None, None, 3)), fl.layers.Conv2D(2, 3)])
    for wrong, received in (
        (flat, "[None, 4]"),
        (no_map, "none"),
        (grey, "1]"),
        (free, "None, 3]"),
    ):
        with pytest.raises(FanlightError) as told:
            backbone_of(wrong)
        assert told.value.code == "E-STUDIO-002" and received in str(told.value)
        assert "MobileNet" in str(told.value.next)
