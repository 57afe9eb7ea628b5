"""A training run: what is learned from what, how it goes on after a break, and what it reports."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
from train_default.export import card_section, export, measured
from train_default.network import (
    AVERAGE,
    SIZE,
    Shape,
    assign,
    folded,
    mobilenet,
    unfolded,
    weights_of,
)
from train_default.photos import CUTMIX, Batches, Photos, replacing

WARM_UP = 0.05  # share of the run
WEIGHT_DECAY = 0.05
SMOOTHING = 0.1
TEMPERATURE = 2.0  # at which the teacher also says which classes look alike
SPARED = ("conv_dw_", "_bn", "bias")  # what weight decay leaves alone
PICTURES = 256  # on which batch norms are measured, where a run begins with a written network


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        epochs: how often each photo is seen.
        rate: the highest learning rate.
        distillation: how much of the loss is the teacher's, where there is one.
        stages: (until this share of the run, side of the pictures). An epoch at 48 pixels costs
            half of one at 64, and a random crop enlarges what it shows by about as much.
        round: steps between checkpoints; every: rounds between two looks at the validation split.
    """

    epochs: float = 60
    batch: int = 128
    rate: float = 3e-3
    distillation: float = 0.5
    seed: int = 0
    stages: Sequence[tuple[float, int]] = ((0.5, 48), (0.85, 56), (1.0, SIZE))
    round: int = 20
    every: int = 6
    shape: Shape = field(default_factory=Shape)


class Distillation(fl.losses.Loss):
    """Cross-entropy to the labels, and to what a teacher says at a temperature.

    y_true is [n, classes], or [n, 2 classes] with the teacher's probabilities behind the labels;
    y_pred are logits.
    """

    fields = ("share", "temperature", "smoothing")

    def __init__(self, share: float, temperature: float, smoothing: float, **options: Any) -> None:
        super().__init__(**options)
        self.share, self.temperature, self.smoothing = share, temperature, smoothing
        self._hard = fl.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=smoothing, reduction="none"
        )
        self._soft = fl.losses.CategoricalCrossentropy(from_logits=True, reduction="none")

    def call(self, y_true: fl.Tensor, y_pred: fl.Tensor) -> fl.Tensor:
        classes = y_pred.shape[-1]
        hard = self._hard(y_true[:, :classes], y_pred)
        if y_true.shape[-1] == classes:
            return hard
        soft = self._soft(y_true[:, classes:], y_pred / self.temperature)
        # A temperature shrinks the gradient by its square; give that back.
        return (1.0 - self.share) * hard + (self.share * self.temperature**2) * soft


def targets_of(photos: Photos, logits: np.ndarray | None) -> np.ndarray:
    """What the loss takes for each training photo: its class, and what the teacher says."""
    hard = np.eye(len(photos.words), dtype=np.float32)[photos.labels[photos.train]]
    if logits is None:
        return hard
    scaled = logits[photos.train] / TEMPERATURE
    soft = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.concatenate([hard, soft / soft.sum(1, keepdims=True)], 1).astype(np.float32)


class Run:
    """One training run in the folder `work`; made again with the same arguments, it goes on.

    Args:
        start: a written network whose weights it begins with; None: random ones.
        logits: what the teacher says of every photo; None: there is no teacher.
        teacher: the name of the teacher's file, for the card.
        to: the folder for the best network so far.
    """

    def __init__(
        self,
        plan: Plan,
        photos: Photos,
        work: Path,
        to: Path,
        log: Callable[[str], None],
        start: Path | None = None,
        logits: np.ndarray | None = None,
        teacher: str = "",
    ) -> None:
        self.plan, self.photos, self.work, self.to, self.log = plan, photos, work, to, log
        self.logits, self.teacher = logits, teacher
        steps = plan.epochs * len(photos.train) / plan.batch
        self.rounds = max(1, round(steps / plan.round))
        self.steps = self.rounds * plan.round
        fl.set_random_seed(plan.seed)
        self.model = mobilenet(len(photos.words), plan.shape, norms=True)
        self.written = mobilenet(len(photos.words), plan.shape, norms=False, side=SIZE)
        self.data = Batches(
            photos.pixels[photos.train],
            targets_of(photos, logits),
            plan.batch,
            plan.seed,
            self.size_of,
        )
        self.state: dict[str, Any] = {"seconds": 0.0, "best": 0.0, "start": None}
        if self._state_file.exists():
            self.state = json.loads(self._state_file.read_text())
        elif start is not None:
            self.state["start"] = self._begun_with(start)
        self._compile()

    @property
    def _state_file(self) -> Path:
        return self.work / "state.json"

    def _compile(self) -> None:
        plan = self.plan
        warm = round(WARM_UP * self.steps)
        rate = fl.optimizers.schedules.CosineDecay(
            0.02 * plan.rate, self.steps - warm, 0.01, warmup_target=plan.rate, warmup_steps=warm
        )
        optimizer = fl.optimizers.AdamW(
            rate, weight_decay=WEIGHT_DECAY, use_ema=True, ema_momentum=AVERAGE
        )
        optimizer.exclude_from_weight_decay(var_names=SPARED)
        self.model.compile(optimizer, Distillation(plan.distillation, TEMPERATURE, SMOOTHING))

    def _begun_with(self, start: Path) -> dict[str, Any]:
        """Take the weights of a written network; what the card says of it."""
        given = fl.load_model(start, compile=False)
        figures = measured(start, self.photos)
        self.log(f"start: top-1 {figures.top1:.4f} top-5 {figures.top5:.4f}")
        count = -(-PICTURES // self.plan.batch)
        alike = [i for i in range(count) if self.size_of(i) == self.size_of(0)]
        batches = itertools.islice(self.data, len(alike))
        pictures = np.concatenate([x for x, _ in batches])
        assign(self.model, unfolded(weights_of(given), self.plan.shape, pictures))
        told = card_section(start / "card.md", "Training")
        return {"top1": figures.top1, "top5": figures.top5, "training": told}

    # --- training ---------------------------------------------------------------------------------

    def size_of(self, step: int) -> int:
        """The side of the pictures of a step."""
        share = step / self.steps
        return next((size for until, size in self.plan.stages if share < until), SIZE)

    def train(self, callbacks: Sequence[fl.callbacks.Callback] = ()) -> None:
        """Train to the end, from the last checkpoint on."""
        backup = fl.callbacks.BackupAndRestore(self.work / "backup", delete_checkpoint=False)
        self.model.fit(
            self.data,
            epochs=self.rounds,
            steps_per_epoch=self.plan.round,
            verbose=0,
            callbacks=[backup, _Reports(self), *callbacks],
        )

    def save_state(self) -> None:
        """Write down what the backup of the weights does not hold."""
        with replacing(self._state_file) as file:
            file.write(json.dumps(self.state, indent=1).encode())

    # --- what it has come to ----------------------------------------------------------------------

    def look(self, rounds: int) -> str:
        """Write the averaged network, where it is better than all before; its accuracy in words."""
        averaged = weights_of(self.model, averaged=True)
        assign(self.written, folded(averaged, self.plan.shape))
        story, best = self.story(rounds * self.plan.round), self.state["best"]
        figures = export(self.written, self.plan.shape, self.to, self.photos, story, best)
        found = f"val top-1 {figures.top1:.4f} top-5 {figures.top5:.4f}"
        if figures.top1 <= self.state["best"]:
            return found
        self.state["best"] = figures.top1
        return f"{found}, written"

    def story(self, steps: int) -> str:
        """How this run went, for the model card."""
        plan, start = self.plan, self.state["start"]
        epochs = steps * plan.batch / len(self.photos.train)
        sizes = ", then ".join(str(size) for _, size in plan.stages)
        begun = "From random weights" if start is None else "From the weights described below"
        text = (
            f"{begun}, {epochs:.1f} epochs by Fanlight itself (`fl.layers`, `fl.data`, "
            f"`model.fit`) in {self.state['seconds'] / 60:.0f} minutes on one thread of a CPU: "
            f"AdamW (peak rate {plan.rate:g}, weight decay {WEIGHT_DECAY}, batch {plan.batch}), "
            f"warm-up and cosine decay over {self.steps:,} steps, of which these are the weights "
            f"after {steps:,}, averaged ({AVERAGE}); label smoothing {SMOOTHING}; pictures of "
            f"{sizes} pixels. Random resized crops, mirroring, saturation, contrast, brightness "
            f"and, for {CUTMIX:.0%} of the batches, CutMix."
        )
        if self.logits is not None:
            held = self.photos.held
            right = (self.logits[held].argmax(1) == self.photos.labels[held]).mean()
            text += (
                f"\n\n{plan.distillation:.0%} of the loss is distillation (temperature "
                f"{TEMPERATURE:g}) from a linear classifier over the pooled features of the "
                f"published MobileNet v2 1.0 224 (`{self.teacher}`, Apache-2.0, trained on "
                "ImageNet), fitted by Fanlight on the training split alone, each training photo "
                f"judged by a fit that left it out. That teacher reaches {right:.1%} top-1 on the "
                "validation split. No published weight is part of this model."
            )
        if start is not None:
            text += (
                f"\n\n### Before\n\nThe weights that this run began with reach {start['top1']:.1%} "
                f"top-1 and {start['top5']:.1%} top-5 on the same photos. "
                f"Their card says of their training:\n\n{start['training']}"
            )
        return text


class _Reports(fl.callbacks.Callback):
    """A line per round, with the time that is left, and a look at the validation split."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run, self.done = run, 0

    def on_train_begin(self, logs: Any = None) -> None:
        run = self.run
        self.begun = self.since = time.monotonic()
        if self.model.initial_epoch:
            run.log(f"goes on after round {self.model.initial_epoch} of {run.rounds}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        run, rounds = self.run, epoch + 1
        now = time.monotonic()
        spent, self.since = now - self.since, now
        self.done += 1
        run.state["seconds"] += spent
        left = (now - self.begun) / self.done * (run.rounds - rounds)
        seen = rounds * run.plan.round * run.plan.batch / len(run.photos.train)
        line = (
            f"round {rounds}/{run.rounds} epoch {seen:.2f} px {run.size_of(epoch * run.plan.round)}"
            f" loss {logs['loss']:.4f} {run.plan.round * run.plan.batch / spent:.0f} img/s"
            f" eta {left / 60:.0f} min"
        )
        if rounds % run.plan.every == 0 or rounds == run.rounds:
            line += f" {run.look(rounds)}"
            self.since = time.monotonic()
        run.log(line)
        run.save_state()
