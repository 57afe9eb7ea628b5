// What bench/studio.py puts into Studio's page before its own scripts: `studio`, which uses the page's own
// session and elements, as a visitor's hands would, and measures.
globalThis.studio = (() => {
  const tasks = [];
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) tasks.push([startTime, duration]);
  }).observe({ type: 'longtask', buffered: true });

  const frame = () => new Promise(requestAnimationFrame);
  const app = () => document.querySelector('fanlight-studio');
  const session = () => app()?.session;
  const inside = (...names) => names.reduce((at, name) => at?.renderRoot?.querySelector(name), app());
  const until = async (ready) => {
    for (;;) {
      const found = ready();
      if (found) return found;
      await frame();
    }
  };

  /** Photos of the server as files; the clock of nobody runs while they are fetched. */
  const files = (names) => Promise.all(names.map(async (name) => (
    new File([await (await fetch(`photos/${name}`)).blob()], name.replace('/', ' '), { type: 'image/jpeg' }))));

  /** All of a class in the page's own classes, which are called as the photos' folders are. */
  const named = async (names) => {
    await until(session);
    for (const [i, name] of names.entries()) {
      const own = session().classes[i];
      if (!own) await session().addClass(name);
      else if (own.name !== name) await session().renameClass(own.id, name);
    }
  };

  /** From the files to the report, by the page's own button. `photos`: names by class. */
  const teach = async (photos) => {
    await named(Object.keys(photos));
    const given = await Promise.all(Object.values(photos).map(files));
    const begun = performance.now();
    for (const [i, some] of given.entries()) await session().add(session().classes[i].id, some);
    const added = performance.now();
    const button = await until(() => inside('fl-train', 'button.primary:not(:disabled)'));
    const done = new Promise((resolve) => session().addEventListener('trained', resolve, { once: true }));
    button.click();
    const { detail } = await done;
    const ended = performance.now();
    await frame();
    // The photos that it did not learn from, by the names that the server has for them.
    const aside = new Set(detail.report.cells.flat(2));
    const checked = session().examples.filter(({ id }) => aside.has(id)).map(({ name }) => name.replace(' ', '/'));
    return {
      checked, all: ended - begun, add: added - begun, fit: detail.seconds * 1000, report: detail.report.accuracy,
      count: detail.report.count, settings: detail.settings, longest: longest(begun, performance.now()),
    };
  };

  /** Milliseconds of the longest task of the page's thread between two moments; 0: none was over 50 ms. */
  const longest = (from, to) => Math.max(0, ...tasks.filter(([at]) => at >= from && at <= to).map(([, ms]) => ms));

  /** The share of photos that are named right, and milliseconds of a prediction. */
  const test = async (photos) => {
    let right = 0, count = 0;
    const times = [];
    for (const [name, names] of Object.entries(photos)) {
      for (const file of await files(names)) {
        const begun = performance.now();
        const { results } = await session().predict(file);
        times.push(performance.now() - begun);
        right += Number(results[0].label === name);
        count++;
      }
    }
    return { accuracy: right / count, count, ms: times.sort((a, b) => a - b)[times.length >> 1] };
  };

  /** Corrections, one after the other: milliseconds of learning alone, and until the page has its answer. */
  const correct = async (photos) => {
    const found = [];
    for (const [name, names] of Object.entries(photos)) {
      const { id } = session().classes.find((one) => one.name === name);
      for (const file of await files(names)) {
        const begun = performance.now();
        const { ms } = await session().correct(file, id);
        await session().predict(file);
        found.push([ms, performance.now() - begun, longest(begun, performance.now())]);
      }
    }
    return found;
  };

  /** A project of many photos, all of whose features are known. */
  const fill = async (photos) => {
    await named(Object.keys(photos));
    for (const [i, names] of Object.values(photos).entries()) {
      for (let from = 0; from < names.length; from += 200) {
        await session().add(session().classes[i].id, await files(names.slice(from, from + 200)));
      }
    }
    await until(() => !session().waiting);
    await session().save();
    return session().examples.length;
  };

  /** Milliseconds from the navigation until all photos are known and the first ones are seen. */
  const usable = async (count) => {
    await until(() => session()?.examples.length >= count && inside('fl-collect')?.renderRoot);
    const grid = await until(() => [...inside('fl-collect').renderRoot.querySelectorAll('*')]
      .map((one) => one.renderRoot?.querySelector?.('fl-grid') ?? (one.localName === 'fl-grid' ? one : null)).find(Boolean));
    await until(() => [...grid.renderRoot?.querySelectorAll('.cell img') ?? []].some((img) => img.complete && img.naturalWidth));
    return performance.now();
  };

  /** The window of all photos, as it is before it is scrolled. */
  const gallery = async () => {
    await inside('fl-collect', 'fl-gallery').show();
    const grid = await until(() => inside('fl-collect', 'fl-gallery', 'fl-grid'));
    await until(() => grid.renderRoot.querySelector('.cell img')?.naturalWidth);
    return grid.items.length;
  };

  /** Scroll so many pixels each frame, down and up again. Milliseconds between frames. */
  const scroll = async (pixels, frames) => {
    const grid = inside('fl-collect', 'fl-gallery', 'fl-grid');
    const times = [];
    let step = pixels;
    let before = await frame();
    const from = performance.now();
    let blank = 0;
    for (let i = 0; i < frames; i++) {
      grid.scrollTop += step;
      if (grid.scrollTop <= 0 || grid.scrollTop + grid.clientHeight >= grid.scrollHeight - 1) step = -step;
      const now = await frame();
      times.push(now - before);
      before = now;
    }
    await until(() => ![...grid.renderRoot.querySelectorAll('.cell')].some((one) => !one.querySelector('img')?.naturalWidth) || blank++ > 120);
    return { times, longest: longest(from, performance.now()) };
  };

  /** Bytes of the page and its workers, after a collection of garbage. */
  const memory = async () => (await performance.measureUserAgentSpecificMemory()).bytes;

  /** When the first class could be used, in milliseconds of the page. */
  const usableAt = until(() => inside('fl-collect', 'fl-class', '.ways button')?.checkVisibility()).then(() => performance.now());

  /** What came before anything was pressed: paths, and whether they were asked for before the first class was there. */
  const loaded = async () => {
    const at = await usableAt;
    return performance.getEntriesByType('resource').map(({ name, startTime }) => [new URL(name).pathname, startTime <= at]);
  };

  /** Whether all is kept that a visit without network needs. */
  const kept = async () => {
    const registration = await navigator.serviceWorker.ready;
    const told = new Promise((resolve) => {
      addEventListener('fanlight-offline', () => resolve('all'), { once: true });
      addEventListener('fanlight-partly', () => resolve('partly'), { once: true });
    });
    registration.active.postMessage('fill');
    return told;
  };

  /** Train what is there once more. */
  const again = async () => {
    await until(session);
    const { report } = await session().train();
    return report.accuracy;
  };

  return { teach, test, correct, fill, usable, gallery, scroll, memory, loaded, kept, again };
})();
