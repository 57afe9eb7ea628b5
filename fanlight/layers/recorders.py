"""Callbacks that write down what happens, and put back what was: logs, events, backups."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers.callback import Callback, Logs
from fanlight.layers.events import EventWriter
from fanlight.layers.monitors import rate_of, wrong


class LambdaCallback(Callback):
    """Functions as a callback; each is called as the method of its name is."""

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **others: Callable[..., Any],
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        known = [name for name in dir(Callback) if name.startswith("on_")]
        for name, function in (given | others).items():
            if name not in known:
                raise wrong(self, "argument", ", ".join(known), name)
            if function is not None:
                setattr(self, name, function)


class CSVLogger(Callback):
    """A line of a CSV file per epoch: epoch, then losses and metrics by name.

    Args:
        append: go on with a file that is there, instead of beginning it again.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        if len(separator) != 1:
            raise wrong(self, "separator", "one character", separator)
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self.keys: list[str] | None = None
        self._file: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        path = Path(self.filename)
        self._headed = self.append and path.exists() and path.stat().st_size > 0
        self._file = path.open("a" if self.append else "w", newline="", encoding="utf-8")
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.sep)
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(name.startswith("val_") for name in self.keys):
                # Validation may come in a later epoch, and columns cannot.
                self.keys += [f"val_{name}" for name in self.keys]
            if not self._headed:
                writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *(_cell(logs.get(name, "NA")) for name in self.keys)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    on_train_break = on_train_end


def _cell(value: Any) -> Any:
    return np.asarray(value).tolist() if np.ndim(value) else value


class TensorBoard(Callback):
    """Losses, metrics and weights as event files, for `tensorboard --logdir logs`.

    Written without TensorFlow: folders train and validation, in them scalars epoch_loss,
    epoch_accuracy, ... by epoch, and batch_loss, ... by step if update_freq asks for it. Of metrics
    of several numbers each has a scalar: epoch_f1_score/0.

    Args:
        log_dir: is made.
        histogram_freq: after every how many epochs the spread of every weight is written; 0: never.
        write_graph: is taken and writes nothing: `fl.plot_model` and `model.summary()` show layers.
        write_images, profile_batch, embeddings_freq, embeddings_metadata: nothing here writes
            those; anything but Keras's defaults is E-LAYER-004.
        write_steps_per_second: how fast training was in each epoch.
        update_freq: "epoch"; "batch" or a number of batches for those, too.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | str = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        for name, value, off, instead in (
            ("write_images", write_images, False, "histogram_freq=1 writes how weights are spread"),
            ("profile_batch", profile_batch, 0, "fl.profile tells what takes how long"),
            ("embeddings_freq", embeddings_freq, 0, "layer.get_weights() has the vectors"),
            (
                "embeddings_metadata",
                embeddings_metadata,
                None,
                "layer.get_weights() has the vectors",
            ),
        ):
            plain = value is None or isinstance(value, bool | int)
            if not plain or value != off:
                refused = wrong(self, name, repr(off), value)
                refused.next = f"{instead}."
                raise refused
        if histogram_freq < 0:
            raise wrong(self, "histogram_freq", "a number of epochs, or 0", histogram_freq)
        self.histogram_freq, self.write_graph = histogram_freq, write_graph
        often = 1 if update_freq == "batch" else update_freq
        if often != "epoch" and (not isinstance(often, int) or often < 1):
            raise wrong(self, "update_freq", '"epoch", "batch" or a number', update_freq)
        self.log_dir, self.update_freq = os.fspath(log_dir), often
        self.write_steps_per_second = write_steps_per_second
        self._writers: dict[str, EventWriter] = {}
        self._seen = 0

    def _writer(self, part: str) -> EventWriter:
        if part not in self._writers:
            self._writers[part] = EventWriter(Path(self.log_dir) / part)
        return self._writers[part]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._seen = int(self.model.optimizer.iterations.item())

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        import time

        self._start, self._before = time.perf_counter(), self._seen

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._seen += 1
        if isinstance(self.update_freq, int) and self._seen % self.update_freq == 0:
            self._write("train", "batch_", logs or {}, self._seen)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        import time

        logs = dict(logs or {})
        held = {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        own = {k: v for k, v in logs.items() if not k.startswith("val_")}
        own.setdefault("learning_rate", rate_of(self.model))
        if self.write_steps_per_second:
            spent = max(time.perf_counter() - self._start, 1e-9)
            own["steps_per_second"] = (self._seen - self._before) / spent
        self._write("train", "epoch_", own, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            arrays = {f"{w.path}/histogram": w.numpy() for w in self.model.weights}
            self._writer("train").histograms(epoch, arrays)
        if held:
            self._write("validation", "epoch_", held, epoch)

    def _write(self, part: str, prefix: str, logs: Logs, step: int) -> None:
        found: dict[str, float] = {}
        for name, value in logs.items():
            if not np.ndim(value):
                found[prefix + name] = float(value)
            else:
                flat = np.asarray(value).ravel()
                found |= {f"{prefix}{name}/{i}": float(v) for i, v in enumerate(flat)}
        self._writer(part).scalars(step, found)

    def on_train_end(self, logs: Logs | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    on_train_break = on_train_end


class BackupAndRestore(Callback):
    """Training that was broken off goes on where it was: call `fit` again with the same arguments.

    Weights, the state of the optimizer, that of random numbers and the place in the data are
    written to one file, which is replaced at once, so that it is whole at any time. At the end it
    is deleted. What follows has the numbers of a training that was not broken off, if the program
    makes the same data: of `fl.data`, what is random needs seeds of its own, or
    `fl.set_random_seed`. A generator goes on with what it gives next. Other callbacks, and other
    optimizers of steps of your own than the one of `compile`, begin anew.

    Args:
        backup_dir: a folder of this training alone.
        save_freq: "epoch", or after so many batches; an epoch that was begun begins again.
        double_checkpoint: keep the backup before, too, and take it if the last one is damaged.
        delete_checkpoint: whether the folder goes when training has ended.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | str = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise wrong(self, "save_freq", '"epoch" or a number of batches', save_freq)
        if not os.fspath(backup_dir):
            raise wrong(self, "backup_dir", "a folder", backup_dir)
        self.folder, self.save_freq = Path(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._file, self._last = self.folder / "latest.npz", self.folder / "before.npz"
        self._found: tuple[dict[str, Any], list[np.ndarray]] | None = None
        self._seen, self._epoch = 0, 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._found, self._seen = None, 0
        for path in (self._file, self._last):
            if not path.exists():
                continue
            self._found = _read(path)
            if self._found is None:
                continue
            self.model.initial_epoch, place = self._found[0]["epoch"], self._found[0]["data"]
            if self.model.built:
                # At once: other callbacks set rates and the like before the first batch.
                self.model.optimizer.build(self.model.trainable_weights)
                self._restore()
            self.model._feed.restore(place)
            return
        if self._file.exists():
            expected = "a backup of this training"
            raise wrong(self, "backup_dir", expected, f"{self._file}, which is damaged")

    def _state(self) -> list[Any]:
        model = self.model
        kept = [*model.weights, *model.state_variables, *model.optimizer.variables]
        return [*kept, model._random_key()]

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if self._found is not None:  # of a model that its first batch has built
            self._restore()

    def _restore(self) -> None:
        assert self._found is not None
        (meta, found), state = self._found, self._state()
        self._found = None
        if [v.shape for v in state] != [a.shape for a in found]:
            raise FanlightError(
                "E-LAYER-006",
                f"the backup in {self.folder} is not of this model and optimizer.",
                where=str(self._file),
                expected=f"{len(state)} arrays: {[list(v.shape) for v in state][:20]}",
                received=f"{len(found)} arrays: {[list(a.shape) for a in found][:20]}",
                next="delete the folder, or give another backup_dir.",
            )
        for variable, array in zip(state, found, strict=True):
            variable.assign(array)
        self.model._own_steps = meta["own_steps"]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._seen += 1
        if isinstance(self.save_freq, int) and self._seen % self.save_freq == 0:
            self._write(self._epoch, self.model._feed.begun)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._write(epoch + 1, self.model._feed.state())

    def _write(self, epoch: int, place: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"a{i:05d}": v.numpy() for i, v in enumerate(self._state())}
        meta = {"epoch": epoch, "data": place, "own_steps": self.model._own_steps}
        memory = io.BytesIO()
        np.savez(memory, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
        part = self.folder / "latest.part"
        part.write_bytes(memory.getvalue())
        if self.double_checkpoint and self._file.exists():
            os.replace(self._file, self._last)
        os.replace(part, self._file)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint and self.folder.exists() and self._found is None:
            shutil.rmtree(self.folder)


def _read(path: Path) -> tuple[dict[str, Any], list[np.ndarray]] | None:
    """What a backup says of its place, and its arrays; None if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            meta = json.loads(kept["meta"].tobytes())
            meta = {k: meta[k] for k in ("epoch", "data", "own_steps")}
            return meta, [kept[n] for n in sorted(kept.files) if n != "meta"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


class SwapEMAWeights(Callback):
    """Validate, and save, with the averages of the weights that `use_ema` of an optimizer keeps.

    Args:
        swap_on_epoch: put them in place at the end of each epoch, too, where other callbacks save.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._inside = False

    def _pairs(self) -> list[tuple[Any, Any]]:
        optimizer = self.model.optimizer
        if not optimizer.use_ema:
            raise wrong(self, "optimizer", "use_ema=True", f"{optimizer.name}, use_ema=False")
        return list(zip(optimizer.trained, optimizer.averages, strict=False))

    def _swap(self, inside: bool) -> None:
        if self._inside is inside:
            return
        for weight, average in self._pairs():
            array = weight.numpy().copy()
            weight.assign(average.numpy())
            average.assign(array)
        self._inside = inside

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._pairs()
        self._inside = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.swap_on_epoch:
            return
        self._swap(True)
        if epoch == self.params["epochs"] - 1:  # the averages stay
            for weight, average in self._pairs():
                average.assign(weight.numpy())

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap(False)


__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "LambdaCallback",
    "SwapEMAWeights",
    "TensorBoard",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
