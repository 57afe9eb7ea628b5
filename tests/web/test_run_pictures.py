"""`run` takes pictures where the input is one, in Chromium: the scores that `classify` sorts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fanlight as fl

pytestmark = pytest.mark.chromium

JOURNEY = """async ({ folder, trains, worker }) => {
  const { load: open } = await import(`./${folder}/${trains ? 'train' : 'fanlight'}.js`);
  const model = await open(folder, { worker });
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [40, 30];
  const context = canvas.getContext('2d');
  context.fillStyle = 'rgb(10, 200, 60)';
  context.fillRect(0, 0, 40, 30);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve));
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  const video = document.createElement('video');
  video.srcObject = canvas.captureStream(30);
  video.muted = true;
  context.fillRect(0, 0, 40, 30); // a frame to begin with
  await video.play();
  const frame = new VideoFrame(canvas, { timestamp: 0 });
  const bitmap = await createImageBitmap(canvas);
  const off = new OffscreenCanvas(40, 30);
  off.getContext('2d').drawImage(canvas, 0, 0);
  const data = context.getImageData(0, 0, 40, 30);
  const sources = { canvas, blob, image, bitmap, off, data, video, frame };
  const scores = {};
  for (const [name, photo] of Object.entries(sources)) {
    const found = await model.run({ image: photo });
    scores[name] = [...found.scores.data];
  }
  const pixels = { data: Uint8Array.from(data.data), shape: [30, 40, 4] };
  scores.pixels = [...(await model.run({ image: pixels })).scores.data];
  const all = await Promise.all([1, 2, 3].map(() => model.run({ image: bitmap })));
  scores.together = [...all[2].scores.data];
  const told = [];
  for (const { index, score } of await model.classify(canvas)) told[index] = score;
  const open_ = [bitmap.width, data.data.length];
  const errors = [];
  for (const inputs of [{ picture: blob }, { image: blob, other: blob }, { image: 'photo.png' },
    { image: new Blob(['no picture']) }, { image: {} }, { image: [1, 2] }, {}, undefined,
    { image: new Float32Array(4) }, { image: null }]) {
    errors.push((await caught(model.run(inputs))).code);
  }
  const waits = caught(model.run({ image: blob }));
  model.dispose();
  frame.close();
  return { scores, told, open: open_, errors, gone: (await waits).code };
}"""


@pytest.mark.parametrize("worker", [True, False])
@pytest.mark.parametrize("trains", [False, True])
def test_what_classify_takes_run_takes(bare: Any, toys: Path, trains: bool, worker: bool) -> None:
    folder = "colours"
    if trains:
        folder = "learner"
        fl.clear_session()
        layers = fl.layers
        photo = fl.Input((8, 8, 3))
        y = layers.GlobalAveragePooling2D()(photo)
        net = fl.Model(photo, layers.Dense(3, activation="softmax")(y))
        how = fl.training("sgd", "sparse_categorical_crossentropy")
        fl.build(net, toys / folder, task=fl.tasks.classify(), train=how).close()
    given = {"folder": folder, "trains": trains, "worker": worker}
    found = bare.evaluate(JOURNEY, given)
    told = found["told"]
    assert len(told) == 3
    for name, scores in found["scores"].items():
        # A video's colours are those of its codec.
        assert scores == pytest.approx(told, abs=0.02 if name in ("video", "frame") else 1e-6), name
    assert found["open"] == [40, 4800]  # the page's own are neither closed nor taken away
    codes = "E-WEB-010 E-WEB-010 E-WEB-012 E-WEB-016 E-WEB-017 E-WEB-012 E-WEB-010 E-WEB-010"
    assert found["errors"] == [*codes.split(), "E-WEB-012", "E-WEB-012"]
    assert found["gone"] == "E-WEB-014"


def test_where_there_is_no_picture_it_is_told(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const model = await load('double');
      return [(await caught(model.run({ x: new Blob() }))).code,
        (await caught(model.run({ x: new ImageData(2, 2) }))).code];
    }""")
    assert found == ["E-WEB-015", "E-WEB-015"]
