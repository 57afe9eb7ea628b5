"""Folders of tiers, of a cascade and of early exits, of models of colours."""

from __future__ import annotations

from pathlib import Path

import fanlight as fl
from tests.adaptive.nets import TASK, colours, exits, pictures


def write_groups(folder: Path) -> None:
    """tiers/ (f32-32, f16-32, int8-32, int8-16), lazy/, cascade/ and exits/ in `folder`."""
    photos, _ = pictures(40)
    names = ["f32", "f16", "int8", "int8@16"]
    fl.build_tiers(colours(), folder / "tiers", task=TASK, tiers=names, calibration=photos)
    fl.build_tiers(colours(), folder / "lazy", task=TASK, tiers=["f32"], lazy=True)
    fl.cascade(
        colours(16, gain=10, mix=0.25, name="small"),
        colours(),
        folder / "cascade",
        calibration=photos,
        task=TASK,
        max_loss=2.5,
    )
    fl.early_exits(
        exits(),
        folder / "exits",
        exits=("early", "middle", "late"),
        calibration=photos,
        task=TASK,
        max_loss=5,
    )
