// Fanlight: the bundle's own runtime. On one thread the model runs on the page's thread, as the other
// engines do; with more it runs in its workers, where waiting is allowed.
import { file, offer, pattern, query, start, threads } from './protocol.js';

const SETTLE_MS = 6000;

start(async () => {
  const base = file(query.model);
  const { load } = await import(`${base}fanlight.js`);
  const model = await load(base, { worker: threads > 1, threads, cache: false });
  const { info } = model;
  if (info.threads !== threads) throw new Error(`it runs on ${info.threads} thread, not ${threads}: ${info.why}`);
  const [{ name, shape, dtype }] = model.inputs;
  const data = pattern(shape.reduce((a, b) => a * b, 1), dtype === 'uint8');
  const [output] = model.outputs;

  await offer(async () => (await model.run({ [name]: data }))[output.name].data,
    { version: query.version, threads: info.threads, simd: info.simd },
    async () => {
      // Where a module has variants, the runtime finds out which are fastest once nobody calls it.
      const { modules } = await fetch(`${base}manifest.json`).then((response) => response.json());
      const varied = modules.some(({ simd, choices }) => simd === info.simd && choices?.length);
      const until = performance.now() + SETTLE_MS;
      while (varied && !model.info.tried && performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
});
