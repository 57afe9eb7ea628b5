"""What may happen at once in a session of Studio, and must not harm: in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import Site, serve
from tests.web.studio_site import BARE, photo, write_studio
from tests.web.test_studio_session import ASK, SETUP, teach

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "site"
    write_studio(folder)
    return folder


@pytest.fixture
def bare(page: Any, folder: Path) -> Iterator[Any]:
    with serve(folder) as site:
        site.pages["bare.html"] = BARE
        yield entered(page, site)


def entered(page: Any, site: Site) -> Any:
    page.goto(site.url + "bare.html")
    page.evaluate(SETUP)
    return page


def test_changes_at_once_are_all_kept(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const session = await open();
      const [one, two] = session.classes;
      await Promise.all([session.addClass('cat'), session.addClass('dog'),
        session.renameClass(one.id, 'hen'), session.recolorClass(two.id, '#123456'),
        session.configure({ epochs: 7 }), session.configure({ threshold: 0.9 })]);
      const ids = new Set(session.classes.map((c) => c.id));
      const same = await caught(Promise.all([session.addClass('fox'), session.addClass('fox')]));
      return [session.classes.map((c) => c.name), session.classes[1].color, ids.size,
        session.settings.epochs, session.settings.threshold, same.code];
    }""")
    # One after the other: of two of one name, the first is there when the second fails.
    names = ["hen", "Class 2", "cat", "dog", "fox"]
    assert found == [names, "#123456", 4, 7, 0.9, "E-STUDIO-020"]


def test_a_training_that_comes_to_nothing_leaves_what_was_learnt(bare: Any) -> None:
    teach(bare)
    asked = list(photo("red", 40))
    before = bare.evaluate(ASK, asked)["results"]
    code = bare.evaluate("""async () => {
      const stopper = new AbortController();
      const { signal } = stopper;
      const onPrepare = () => stopper.abort();
      const augment = { ...session.settings.augment, copies: 2 };
      const { code, name } = await session.train({ augment }, { signal, onPrepare })
        .then(() => ({}), (error) => error);
      return code ?? name;
    }""")
    assert code is not None
    after = bare.evaluate(ASK, asked)["results"]
    assert [r["class"] for r in after] == [r["class"] for r in before]
    assert abs(after[0]["score"] - before[0]["score"]) < 1e-6


def test_photos_removed_while_it_learns_do_no_harm(bare: Any) -> None:
    teach(bare)
    found = bare.evaluate("""async () => {
      const gone = session.examples.slice(0, 3).map((e) => e.id);
      const onEpoch = (epoch) => epoch === 1 && session.remove(gone);
      const run = await session.train({ epochs: 10 }, { onEpoch });
      return [run.stopped, session.examples.length, session.trained, run.report.count <= 4];
    }""")
    assert found == ["done", 21, True, True]


def test_nothing_of_one_project_reaches_another(bare: Any) -> None:
    teach(bare)
    found = bare.evaluate(
        """async (green) => {
          const [file] = files([green], 'green');
          const first = session.project.id;
          const classes = session.classes.map((c) => c.id);
          const { undo } = await session.correct(file, classes[1]);
          await session.importProject(await session.export('project'));
          const others = session.classes.map((c) => c.id);
          const weights = (await session.predict(file)).results.map((r) => r.score);
          const refused = (await caught(undo())).code;
          const again = (await session.predict(file)).results.map((r) => r.score);
          const adding = session.add(others[0], files([green, green, green], 'late'));
          const [added] = await Promise.allSettled([adding, session.load(first)]);
          const home = session.examples.length;
          return { shared: classes.filter((id) => others.includes(id)).length, refused,
            same: String(weights) === String(again), home, late: added.status,
            kept: (await session.store.examples(first)).length };
        }""",
        list(photo("green", 3)),
    )
    assert found["shared"] == 0 and found["refused"] == "E-STUDIO-023" and found["same"]
    assert found["home"] == found["kept"] == 25


def test_who_asks_while_it_learns_is_told_to_wait(bare: Any) -> None:
    teach(bare)
    found = bare.evaluate(
        """async (red) => {
          const [file] = files([red], 'red');
          let during, correcting;
          const onEpoch = async (epoch) => {
            if (epoch) return;
            during = caught(session.predict(file));
            correcting = caught(session.correct(file, 'blue'));
          };
          await session.train({ epochs: 4, head: 'hidden' }, { onEpoch });
          return [(await during).code, (await correcting).code, session.examples.length,
            (await session.predict(file)).results.length];
        }""",
        list(photo("red", 41)),
    )
    assert found == ["E-STUDIO-023", "E-STUDIO-023", 24, 2]


def test_a_renamed_class_keeps_what_it_learnt_when_training_goes_on(bare: Any) -> None:
    teach(bare)
    found = bare.evaluate("""async () => {
      const stopper = new AbortController();
      const onEpoch = (epoch) => epoch === 30 && stopper.abort();
      await session.train({ epochs: 60 }, { onEpoch, signal: stopper.signal });
      const [one, two] = session.classes;
      await session.renameClass(one.id, 'swap');
      await session.renameClass(two.id, 'red');
      await session.renameClass(one.id, 'blue');
      const losses = [];
      const onNext = (e, { loss }) => losses.push(loss);
      const run = await session.train({}, { resume: true, onEpoch: onNext });
      return [run.history.loss[0], losses[0], run.report.accuracy];
    }""")
    assert found[1] < 0.5 * found[0] and found[2] == 1
