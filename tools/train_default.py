"""Train, measure and export Fanlight's default image classifier, by Fanlight.

A MobileNet (v1 blocks, 64 x 64 x 3 in, 100 classes out, under a million parameters) is trained on
`tiny_imagenet_100.npz` and written as a TF.js layers-model with float16 weights, plus `labels.txt`
and `card.md`. The optional teacher needs ai-edge-litert once; what it says is kept in a file.

    python tools/train_default.py --work /tmp/train --to /tmp/train/best --epochs 60 \\
        --teacher ../shared/data/models/tflite/tf2_mobilenet_v2_1.0_224_ptq.tflite
    python tools/train_default.py ... --start fanlight/models/default_files --epochs 8 --rate 5e-4

The same command goes on with a run that was broken off, from its last checkpoint in the folder
`--work`, and sees what it would have seen without the break.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# This file and the package beside it have one name; the folder is there for tests, too.
sys.path.insert(0, str(HERE))

from train_default.learning import Plan, Run  # noqa: E402
from train_default.photos import load  # noqa: E402
from train_default.teacher import teach  # noqa: E402


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    add = parser.add_argument
    data = HERE.parent.parent / "shared/data/images/tiny_imagenet_100.npz"
    plan = Plan()
    add("--data", type=Path, default=data, help="the .npz archive of photos")
    add("--work", type=Path, required=True, help="folder of this run: caches, checkpoint, log")
    add("--to", type=Path, required=True, help="folder for the best model so far")
    add("--start", type=Path, help="folder of a model to begin with")
    add("--teacher", type=Path, help="a MobileNet v2 .tflite to distil from")
    add("--epochs", type=float, default=plan.epochs)
    add("--batch", type=int, default=plan.batch)
    add("--rate", type=float, default=plan.rate, help="highest learning rate")
    add("--distillation", type=float, default=plan.distillation, help="the teacher's share")
    add("--size", type=int, help="side of the pictures of all steps, instead of 48, 56, then 64")
    add("--seed", type=int, default=plan.seed)
    return parser.parse_args()


def stop(*_: Any) -> None:
    """Leave in good order when the session ends."""
    raise SystemExit("stopped; the same command goes on")


def main() -> None:
    """Run the command line."""
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    (args.work / "pid").write_text(f"{os.getpid()}\n")
    signal.signal(signal.SIGTERM, stop)

    def log(text: str) -> None:
        line = f"{time.strftime('%H:%M:%S', time.gmtime())} {text}"
        print(line, flush=True)
        with (args.work / "log.txt").open("a") as file:
            file.write(line + "\n")

    photos = load(args.data, args.work)
    logits = None
    if args.teacher:
        logits = teach(args.teacher, args.work, photos, args.seed, log)
    stages = ((1.0, args.size),) if args.size else Plan().stages
    plan = Plan(args.epochs, args.batch, args.rate, args.distillation, args.seed, stages)
    name = args.teacher.name if args.teacher else ""
    Run(plan, photos, args.work, args.to, log, args.start, logits, name).train()


if __name__ == "__main__":
    main()
