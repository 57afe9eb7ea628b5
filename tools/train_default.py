"""Train, measure and export Fanlight's default image classifier.

A MobileNet (v1 blocks, 64 x 64 x 3 in, 100 classes out, under a million parameters) is trained
from scratch on `tiny_imagenet_100.npz` and written as a TF.js layers-model with float16 weights,
plus `labels.txt` and `card.md`.  A development tool: it needs torch and Pillow, and for the
optional teacher ai-edge-litert; nothing in the package imports it.

    python tools/train_default.py --minutes 120 --work /tmp/train --export /tmp/train/export \\
        --teacher ../shared/data/models/tflite/tf2_mobilenet_v2_1.0_224_ptq.tflite
    python tools/train_default.py --resume ...      # go on from the last checkpoint
    python tools/train_default.py --export-only ... # write the files again from the checkpoint

The learning rate follows the clock (`--minutes` or `--until`), so a slow or busy machine sees
fewer epochs but always a whole schedule.  `--epochs` follows the steps instead: then a seed gives
the same run again.
"""

import argparse
import copy
import datetime
import math
import os
import signal
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from train_default.export import export
from train_default.network import SIZE, MobileNet, scores, to_input, top
from train_default.photos import augment, cutmix, load, replacing
from train_default.teacher import teach

# Small photos first: an epoch at 48 pixels costs half of one at 64, and a random crop enlarges
# what it shows by about as much as 48 pixels shrink it.
RESOLUTIONS = ((0.55, 48), (0.90, 56), (1.00, SIZE))  # (until this share of the run, train at)
WARM_UP = 0.03  # share of the run
WEIGHT_DECAY = 0.05
SMOOTHING = 0.1
TEMPERATURE = 2  # at which the teacher also says which classes look alike
CUTMIX = 0.4  # share of the batches


def rate(progress, peak):
    """Warm up, then half a cosine down to almost nothing."""
    if progress < WARM_UP:
        return peak * (0.02 + 0.98 * progress / WARM_UP)
    along = (progress - WARM_UP) / (1 - WARM_UP)
    return peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * along)))


def average(slow, model, step):
    """Exponential moving average of weights and batch statistics; short memory at first."""
    decay = min(0.9985, (1 + step) / (10 + step))
    with torch.no_grad():
        for a, b in zip(slow.state_dict().values(), model.state_dict().values()):
            if a.dtype.is_floating_point:
                a.lerp_(b, 1 - decay)


class Run:
    """One training run: data, network, optimiser, and where on its schedule it stands."""

    def __init__(self, args):
        self.args = args
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.generator = torch.Generator().manual_seed(args.seed)
        self.pixels, self.labels, self.split, self.words = load(args.data, args.work)
        train, held = torch.from_numpy(self.split == 0), torch.from_numpy(self.split == 1)
        pixels, labels = torch.from_numpy(self.pixels), torch.from_numpy(self.labels)
        self.photos, self.answers = pixels[train].to(self.device), labels[train].to(self.device)
        self.held, self.truth = pixels[held].to(self.device), labels[held].to(self.device)
        self.soft = None
        if args.teacher:
            logits = teach(args.teacher, args.work, self.labels, self.split, args.seed, self.log)
            self.soft = (logits[train] / TEMPERATURE).softmax(1).to(self.device)
            self.teacher_top1 = top(logits[held], labels[held], 1)

        self.model = MobileNet(len(self.words))
        self.model.to(self.device, memory_format=torch.channels_last)
        self.slow = copy.deepcopy(self.model).eval()
        # Norms, biases and depthwise kernels ([c, 1, k, k]) are left out of the weight decay.
        plain = [p for p in self.model.parameters() if p.dim() == 1 or p.shape[1] == 1]
        dense = [p for p in self.model.parameters() if not (p.dim() == 1 or p.shape[1] == 1)]
        groups = [{"params": dense}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, args.rate, weight_decay=WEIGHT_DECAY)
        self.state = {"step": 0, "seen": 0, "progress": 0.0, "best": 0.0, "seconds": 0.0}

    def log(self, text):
        line = f"{time.strftime('%H:%M:%S', time.gmtime())} {text}"
        print(line, flush=True)
        with open(self.args.work / "log.txt", "a") as file:
            file.write(line + "\n")

    # -- checkpoint and export

    def parts(self):
        return {"model": self.model, "slow": self.slow, "optimizer": self.optimizer}

    def save(self):
        saved = {name: part.state_dict() for name, part in self.parts().items()}
        saved |= {"generator": self.generator.get_state(), "state": self.state}
        with replacing(self.args.work / "checkpoint.pt") as file:
            torch.save(saved, file)

    def restore(self):
        saved = torch.load(self.args.work / "checkpoint.pt", map_location=self.device)
        for name, part in self.parts().items():
            part.load_state_dict(saved[name])
        self.generator.set_state(saved["generator"].cpu())
        self.state = saved["state"]
        self.log(f"restored at {self.state['progress']:.1%}")

    def story(self):
        """How this run went, for the model card."""
        text = (
            f"From scratch, {self.state['seen'] / len(self.photos):.0f} epochs in "
            f"{self.state['seconds'] / 60:.0f} minutes on {self.device.type.upper()}: AdamW (peak "
            f"rate {self.args.rate:g}, weight decay {WEIGHT_DECAY}, batch {self.args.batch}), "
            f"warm-up and cosine decay, label smoothing {SMOOTHING}, moving average of the "
            f"weights, training at {', then '.join(str(size) for _, size in RESOLUTIONS)} pixels.  "
            "Random resized crops, mirroring, colour jitter and, for "
            f"{CUTMIX:.0%} of the batches, CutMix."
        )
        if self.soft is not None:
            text += (
                f"\n\nHalf of the loss is distillation (temperature {TEMPERATURE}) from a linear "
                "classifier over the pooled features of the "
                "published MobileNet v2 1.0 224 "
                f"(`{self.args.teacher.name}`, Apache-2.0, trained on ImageNet), fitted on the "
                "training split alone, each training photo judged by a fit that left it out.  "
                f"That teacher reaches {self.teacher_top1:.1%} top-1 on the validation split.  "
                "No published weight is part of this model."
            )
        return text

    def publish(self):
        model = copy.deepcopy(self.slow).to("cpu").eval()
        figures = export(
            model,
            self.args.export,
            self.words,
            self.pixels,
            self.labels,
            self.split,
            self.story(),
        )
        return (
            f"exported: top-1 {figures['top1']:.4f} top-5 {figures['top5']:.4f} "
            f"({figures['parameters']:,} parameters, {figures['bytes']:,} bytes)"
        )

    def measure(self):
        """Score the averaged weights; export them where they are the best so far."""
        logits = scores(self.slow, self.held)
        value = top(logits, self.truth, 1)
        text = f" val top-1 {value:.4f} top-5 {top(logits, self.truth, 5):.4f}"
        if value > self.state["best"]:
            self.state["best"] = value
            if self.args.export:
                text += " " + self.publish()
        return text

    # -- training

    def step(self, rows, size):
        """Learn from one batch; returns its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.state["progress"], self.args.rate)
        rows, classes = rows.to(self.device), len(self.words)
        x = augment(to_input(self.photos[rows]), size, self.generator)
        hard = F.one_hot(self.answers[rows], classes) * (1 - SMOOTHING) + SMOOTHING / classes
        targets = [hard] if self.soft is None else [hard, self.soft[rows]]
        if torch.rand((), generator=self.generator) < CUTMIX:
            x, targets = cutmix(x, targets, self.generator)
        self.model.train()
        mixed = self.args.bf16 or self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            logits = self.model(x.contiguous(memory_format=torch.channels_last))
        logits = logits.float()
        loss = F.cross_entropy(logits, targets[0])
        if self.soft is not None:
            # A temperature shrinks the gradient by its square; give that back.
            alike = F.cross_entropy(logits / TEMPERATURE, targets[1])
            loss = 0.5 * loss + 0.5 * TEMPERATURE**2 * alike
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        average(self.slow, self.model, self.state["step"])
        self.state["step"] += 1
        self.state["seen"] += len(rows)
        return loss.item()

    def train(self, end):
        """Run the schedule to its end, at the time `end` (or after --epochs)."""
        args, state = self.args, self.state
        begun, first = time.time(), state["progress"]
        saved = measured = begun
        epoch = len(self.photos) // args.batch * args.batch
        while state["progress"] < 1:
            since, losses, size = time.time(), [], SIZE
            order = torch.randperm(len(self.photos), generator=self.generator)[:epoch]
            for rows in order.split(args.batch):
                if args.epochs:
                    progress = state["step"] * args.batch / (args.epochs * epoch)
                else:  # what is left of the schedule is spread over what is left of the time
                    spent = (time.time() - begun) / max(end - begun, 1)
                    progress = first + (1 - first) * spent
                state["progress"] = min(progress, 1.0)
                if progress >= 1:
                    break
                size = next(size for share, size in RESOLUTIONS if progress <= share)
                tick = time.time()
                losses.append(self.step(rows, size))
                # A long step is a paused process: time that was not spent on training.
                state["seconds"] += min(time.time() - tick, 10)
                if time.time() - saved > 120:
                    self.save()
                    saved = time.time()
            line = (
                f"epoch {state['seen'] / len(self.photos):6.1f} {state['progress']:6.1%} px {size} "
                f"loss {sum(losses) / max(len(losses), 1):.4f} "
                f"{len(losses) * args.batch / (time.time() - since):.0f} img/s"
            )
            if not args.epochs:
                line += f" eta {(end - time.time()) / 60:.0f} min"
            if state["progress"] >= 1 or time.time() - measured > 150:
                line += self.measure()
                measured = time.time()
            self.log(line)


def arguments():
    here = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    data = here.parent / "shared/data/images/tiny_imagenet_100.npz"
    add("--data", type=Path, default=data, help="the .npz archive of photos")
    add("--work", type=Path, default=Path("/tmp/train"), help="folder of caches and checkpoint")
    add("--export", type=Path, help="folder to write the model to")
    add("--teacher", type=Path, help="a MobileNet v2 .tflite to distil from")
    add("--minutes", type=float, default=120, help="length of the run")
    add("--until", help="end of the run, HH:MM UTC today (instead of --minutes)")
    add("--epochs", type=int, help="count epochs instead of minutes")
    add("--batch", type=int, default=128)
    add("--rate", type=float, default=3e-3, help="peak learning rate")
    add("--threads", type=int, default=2)
    add("--seed", type=int, default=0)
    add("--bf16", action="store_true", help="mixed precision on a CPU as well")
    add("--resume", action="store_true", help="go on from the checkpoint")
    add("--export-only", action="store_true", help="export the checkpoint, train nothing")
    args = parser.parse_args()
    if args.export_only and not args.export:
        parser.error("--export-only needs --export FOLDER")
    return args


def stop(*_):
    raise SystemExit("stopped; go on with --resume")


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    run = Run(args)
    if args.resume or args.export_only:
        run.restore()
    if args.export_only:
        run.log(run.publish())
        return
    (args.work / "pid").write_text(f"{os.getpid()}\n")
    end = time.time() + 60 * args.minutes
    if args.until:
        hour, minute = map(int, args.until.split(":"))
        now = datetime.datetime.now(datetime.UTC)
        end = now.replace(hour=hour, minute=minute, second=0).timestamp()
    signal.signal(signal.SIGTERM, stop)
    try:
        run.train(end)
    finally:
        run.save()


if __name__ == "__main__":
    sys.exit(main())
