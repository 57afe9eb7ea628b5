"""A session exports what it learnt, and takes a project in again, in Chromium."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.web import studio_lab
from tests.web.server import Site
from tests.web.test_export_chromium import python_says, same
from tests.web.test_studio_export import build
from tests.web.test_training_pictures import photos, png

pytestmark = pytest.mark.chromium

JOURNEY = """async ({ pngs, where }) => {
  const { TransferSession } = await import('/web/studio/session.js');
  const data = async (file) => {
    const reader = new FileReader();
    await new Promise((resolve) => { reader.onload = resolve; reader.readAsDataURL(file); });
    return [file.name, reader.result.replace(/^[^,]*,/, '')];
  };
  const session = await TransferSession.open(where, { project: 'Pets' });
  const early = (await caught(session.export('page'))).code;
  const [first, second] = session.classes;
  await session.renameClass(first.id, 'red');
  const blobs = pngs.map((bytes) => new Blob([Uint8Array.from(bytes)], { type: 'image/png' }));
  await session.add(first.id, blobs.filter((_, i) => i % 3 === 0));
  await session.add(second.id, blobs.filter((_, i) => i % 3 !== 0));
  await session.train({ epochs: 30, validationSplit: 0, batchSize: 4, learningRate: 0.05 });
  await session.renameClass(second.id, 'not <red>');
  const answers = async (one) => {
    const { results } = await one.predict(blobs[0]);
    return results.map(({ label, score }) => [label, score]);
  };
  const said = await answers(session);
  const page = await data(await session.export('page', { title: 'Reds' }));
  const file = await session.export('project');
  const problems = [];
  session.addEventListener('problem', ({ detail }) => problems.push(detail.message));
  const own = session.project;
  // A project in which a "photo" is a zip of two photos.
  const { packed } = await import('/web/studio/project_zip.js');
  const { zipOf } = await import('/web/studio/archive.js');
  const { sha256 } = await import('/web/runtime/fanlight.js');
  const inside = await Promise.all(blobs.map(async (blob, i) => (
    [`${i}.png`, new Uint8Array(await blob.arrayBuffer())])));
  const two = await zipOf('x.zip', inside.slice(0, 2).map(([name, bytes]) => [name, () => bytes]));
  const zipped = { ...session.examples[0], bytes: two.size,
    hash: await sha256(await two.arrayBuffer()) };
  const odd = await packed({ ...own, runs: [] }, [zipped], async () => two, null);
  const refused = await caught(session.importProject(odd));
  const stays = session.project.id === own.id;
  const made = await session.importProject(file);
  const again = await answers(session);
  const { trained } = session;
  const clean = [...problems];
  // One that was taught by a head that is not here: its numbers are not laid on another one.
  const cells = session.project.runs[0].report.cells.flat(2).every(
    (id) => session.examples.some((e) => e.id === id));
  session.project.runs.at(-1).settings.unfreeze = 4;
  await session.importProject(await session.export('project'));
  const elsewhere = [session.trained, session.report, session.examples.length, problems.at(-1)];
  return { early, said, refused, stays, page, project: await data(file), again, trained,
    elsewhere, cells, classes: session.classes.map(({ name }) => name),
    other: made.id !== own.id, examples: session.examples.length, problems: clean };
}"""


@pytest.fixture
def studio(page: Any, tmp_path: Path) -> Iterator[tuple[Any, Site]]:
    (tmp_path / "site").mkdir()
    with studio_lab.lab(tmp_path / "site") as site:
        build(site.folder / "own")
        yield studio_lab.enter(page, site), site


def test_a_session_gives_and_takes(studio: tuple[Any, Site], tmp_path: Path) -> None:
    page, _ = studio
    given = {"pngs": [png(p) for p in photos()], "where": "/own/"}
    found = page.evaluate(JOURNEY, given)
    assert found["early"] == "E-STUDIO-024"
    assert found["refused"]["code"] == "E-STUDIO-010" and found["stays"], found["refused"]
    assert found["problems"] == [] and found["trained"] and found["other"]
    assert found["classes"] == ["red", "not <red>"] and found["examples"] == 6
    assert found["cells"]
    assert found["elsewhere"][:3] == [False, None, 6]
    assert "in a way that is not here" in found["elsewhere"][3]
    assert found["said"][0][0] == "red"
    same(found["again"], found["said"])
    for key in ("page", "project"):
        name, data = found[key]
        (tmp_path / name).write_bytes(base64.b64decode(data))
    assert found["page"][0] == "reds-page.zip" and found["project"][0] == "pets.zip"
    with zipfile.ZipFile(tmp_path / "reds-page.zip") as archive:
        archive.extractall(tmp_path / "reds")
    same(found["said"], python_says(tmp_path / "reds", "wasm"))
    model = fl.load(tmp_path / "pets.zip")
    assert list(model.labels) == ["red", "not <red>"]
    task = fl.tasks.classify(input_range=(-1, 1))
    scores = model.predict(task.pictures(model, photos()[:1]))[0]
    want = dict(found["said"])
    np.testing.assert_allclose(scores, [want[name] for name in model.labels], atol=1e-5)
