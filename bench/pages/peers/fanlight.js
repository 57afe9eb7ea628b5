// Fanlight: the bundle's own runtime. On one thread the model runs on the page's thread, as the other
// engines do; with more it runs in its workers, where waiting is allowed.
import { file, offer, pattern, query, start, threads } from './protocol.js';

const SETTLE_MS = 6000;

start(async () => {
  const base = file(query.model);
  const { load } = await import(`${base}fanlight.js`);
  let model = await load(base, { worker: threads > 1, threads, cache: false });
  const { info } = model;
  if (info.threads !== threads) throw new Error(`it runs on ${info.threads} thread, not ${threads}: ${info.why}`);
  const [{ name, shape, dtype }] = model.inputs;
  const data = pattern(shape.reduce((a, b) => a * b, 1), dtype === 'uint8');
  const [output] = model.outputs;

  await offer(async () => (await model.run({ [name]: data }))[output.name].data,
    { version: query.version, threads: info.threads, simd: info.simd },
    async () => {
      // Where a module has variants, the runtime finds out in its worker which are fastest once nobody
      // calls it. The page's own thread, which may not wait, then gets what a visitor's worker has.
      const { modules } = await fetch(`${base}manifest.json`).then((response) => response.json());
      if (!modules.some(({ simd, choices }) => simd === info.simd && choices?.length)) return;
      const scout = threads > 1 ? model : await load(base, { threads, cache: false });
      if (scout !== model) await scout.run({ [name]: data });
      const until = performance.now() + SETTLE_MS;
      while (!scout.info.tried && performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      if (scout === model) return;
      const { variants } = scout.info;
      scout.dispose();
      if (variants.length) {
        model = await load(base, { worker: false, threads, cache: false, variants });
        info.variants = variants;
      }
    });
});
