"""Change models until a reader fails otherwise than by an error of the catalogue.

    python tools/fuzz_readers.py [--seconds 3600] [--kinds onnx,tflite] [--also FOLDER] [--keep 2]

Each kind of tests/formats/reader_seeds.py gets an equal share of the time. Changed models are read
in a process of their own, of little memory. A finding is any exception but a FanlightError that
names the place, running for 10 seconds, using up memory, or a crash; it is brought down to the
changes that it takes, and written to tests/corpus/readers/KIND/NAME, a folder. `--keep` adds as
many changed models of each kind that were read or refused as they should be. `--also` starts from
the models of a folder as well; what is found in those is printed and not written.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.keras import guard, probe_hdf5
from fanlight.graph import verify

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "corpus" / "readers"
MEMORY = 1536 << 20  # bytes of address space
CPU, WALL = 10.0, 120.0  # seconds; the second for what does not return to Python
LAST_RESORT = "in a way that the reader does not expect"  # of a fault that no check foresaw
KEPT_BYTES = 64 << 10  # the largest model that is kept
MAIN = {"keras": "model.keras", "h5": "model.h5", "savedmodel": "", "frozen": "model.pb",
        "tflite": "model.tflite", "tflite-zip": "model.tflite", "onnx": "model.onnx",
        "onnx-external": "model.onnx", "torch": "model.pt2", "bundle": "",
        "safetensors": "model.safetensors"}  # fmt: skip


class Overrun(BaseException):
    """A model has taken too long; no reader catches it."""


def read(kind: str, folder: Path) -> None:
    """Read the model of a folder as users do."""
    path = folder / MAIN.get(kind, "model.json")
    if kind == "safetensors":
        fl.load_model(path)
    elif kind == "bundle":
        verify(fl.open_bundle(path).graph)
    else:
        if kind in ("keras", "h5", "tfjs-layers"):
            layers_of(path)
        verify(load_graph(path).graph)


def layers_of(path: Path) -> None:
    """The model with its layers; those that are no layers here are told by `load_graph`, too."""
    try:
        fl.load_model(path)
    except FanlightError as error:
        if LAST_RESORT in error.message:
            raise


def outcome(kind: str, folder: Path) -> tuple[str, str]:
    """("loaded", ""), ("refused", code), or what is wrong and where it is."""
    try:
        read(kind, folder)
        return "loaded", ""
    except FanlightError as error:
        if LAST_RESORT not in error.message:
            return "refused", error.code
        found: BaseException = error.__cause__ or error
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        found = error
    own = [f for f in traceback.extract_tb(found.__traceback__) if "/fanlight/" in f.filename]
    place = f"{Path(own[-1].filename).stem}-{own[-1].name.strip('_<>')}" if own else "nowhere"
    return f"{type(found).__name__}-{place}", "".join(traceback.format_exception(found)[-4:])


class Forked:
    """What guard.py asks of a process, as a copy of this one; its new Python is slower."""

    def __init__(self, command: list[str], **_: Any) -> None:
        self.command = command
        self.returncode: int | None = None
        self._child = os.fork()
        if not self._child:
            status = 1
            try:
                probe_hdf5.main(command[4], command[5] if len(command) > 5 else None)
                status = 0
            except Exception:
                pass
            os._exit(status)

    def poll(self) -> int | None:
        """The exit status, once there is one."""
        if self.returncode is None:
            ended, status = os.waitpid(self._child, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def communicate(self, timeout: float = WALL) -> tuple[bytes, bytes]:
        """Wait for it."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.command, timeout)
            time.sleep(0.002)
        return b"", b"the library failed"

    def kill(self) -> None:
        os.kill(self._child, signal.SIGKILL)


def serve(pipe: Any) -> None:
    """Answer for folders that come through a pipe, in little memory and time."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    guard._SECONDS = 3.0  # libhdf5 need not be waited for as long as on a user's machine
    guard.subprocess = SimpleNamespace(  # type: ignore[attr-defined]
        Popen=Forked,
        DEVNULL=subprocess.DEVNULL,
        PIPE=subprocess.PIPE,
        TimeoutExpired=subprocess.TimeoutExpired,
    )

    def stop(*_: Any) -> None:
        raise Overrun

    signal.signal(signal.SIGPROF, stop)
    while True:
        kind, folder = pipe.recv()
        signal.setitimer(signal.ITIMER_PROF, CPU)
        try:
            answer = outcome(kind, Path(folder))
        except Overrun as error:  # at the very end
            answer = "Overrun-late", str(error)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(answer)


class Worker:
    """A process that reads models, and the next one when it has died."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self._process: Any = None

    def _start(self) -> None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads take memory, which is counted
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def try_case(self, kind: str, case: dict[str, bytes]) -> tuple[str, str]:
        """The outcome for a model in memory."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name, data in case.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.folder.mkdir(exist_ok=True)
        return self.try_folder(kind, self.folder)

    def try_folder(self, kind: str, folder: Path) -> tuple[str, str]:
        if self._process is None:
            self._start()
        try:
            self._pipe.send((kind, str(folder)))
            if self._pipe.poll(WALL):
                answer: tuple[str, str] = self._pipe.recv()
                return answer
            wrong = "Hang-in-C"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            wrong = "Crash"
        self.stop()
        return wrong, f"exit status {self._status}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._status = self._process.exitcode
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def fewest(worker: Worker, kind: str, seed: Any, steps: list[int], wrong: str) -> list[int]:
    """The changes that are enough for the same outcome."""
    from tests.formats.mutations import mutated

    for step in list(steps):
        fewer = [s for s in steps if s != step]
        if fewer and worker.try_case(kind, mutated(seed, fewer))[0] == wrong:
            steps = fewer
    return steps


def keep(kind: str, name: str, case: dict[str, bytes]) -> None:
    """Write a model to the corpus, unless it is large."""
    if sum(map(len, case.values())) > KEPT_BYTES:
        return
    folder = CORPUS / kind / name
    shutil.rmtree(folder, ignore_errors=True)
    for file, data in case.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)


def models_in(folder: Path, kind: str) -> Iterator[dict[str, bytes]]:
    """Small models of a kind that lie under a folder."""
    from tests.formats.reader_seeds import files

    name = MAIN.get(kind, "model.json") or "saved_model.pb"
    for path in sorted(folder.rglob(f"*{Path(name).suffix}")):
        single = "." in name and name not in ("model.json", "saved_model.pb")
        if single and path.stat().st_size <= KEPT_BYTES:
            yield {name: path.read_bytes()}
        elif path.name == name and not single:
            whole = sum(p.stat().st_size for p in path.parent.rglob("*") if p.is_file())
            if whole <= 4 * KEPT_BYTES:
                yield files(path.parent)


def fuzz(kind: str, seconds: float, also: Path | None, spare: int, worker: Worker) -> Counter[str]:
    """Change models of a kind for that long; returns how often came what."""
    from tests.formats.mutations import mutated
    from tests.formats.reader_seeds import seeds

    own = seeds(kind)
    others = [] if also is None else list(models_in(also, kind))
    counts: Counter[str] = Counter()
    for number, seed in enumerate([*own, *others]):
        answer = worker.try_case(kind, seed)
        if answer[0] != "loaded":
            print(f"{kind}: seed {number} {answer}", flush=True)
    if spare:
        keep(kind, "sound", own[0])
    rng, end = random.Random(time.time_ns()), time.monotonic() + seconds
    codes: dict[str, int] = {}
    while time.monotonic() < end:
        foreign = bool(others) and rng.random() < 0.3
        seed = rng.choice(others if foreign else own)
        steps = [rng.randrange(1 << 60) for _ in range(rng.choice([1, 1, 1, 2, 3, 5]))]
        case = mutated(seed, steps)
        what, told = worker.try_case(kind, case)
        counts[what] += 1
        if what in ("loaded", "refused"):
            new = f"{what}-{told}".strip("-").lower()
            if not foreign and len(codes) < spare and new not in codes and case != seed:
                codes[new] = 1
                steps = fewest(worker, kind, seed, steps, what)
                keep(kind, new, mutated(seed, steps))
            continue
        if counts[what] > 1:
            continue
        steps = fewest(worker, kind, seed, steps, what)
        print(f"{kind}: {what} (steps {steps}, foreign {foreign})\n{told}", flush=True)
        if not foreign:
            keep(kind, what, mutated(seed, steps))
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600, help="over all kinds")
    parser.add_argument("--kinds", default="", help="default: all")
    parser.add_argument("--also", type=Path, help="a folder of more models to start from")
    parser.add_argument("--keep", type=int, default=0, help="sound outcomes to keep per kind")
    arguments = parser.parse_args()
    from tests.formats.reader_seeds import KINDS

    warnings.filterwarnings("ignore", "Duplicate name")  # that of a zip's member is meant
    kinds = [k for k in arguments.kinds.split(",") if k] or list(KINDS)
    worker, failed = Worker(), 0
    try:
        for kind in kinds:
            start = time.monotonic()
            share = arguments.seconds / len(kinds)
            counts = fuzz(kind, share, arguments.also, arguments.keep, worker)
            wrong = {k: n for k, n in counts.items() if k not in ("loaded", "refused")}
            failed += len(wrong)
            print(
                f"== {kind}: {time.monotonic() - start:.0f} s, {counts.total()} models: "
                f"{counts['loaded']} read, {counts['refused']} refused, findings {wrong or 'none'}",
                flush=True,
            )
    finally:
        worker.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
