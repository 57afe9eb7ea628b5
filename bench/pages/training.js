// Training in one engine (?who=), as one would write it there, on one thread. A case is a function that
// trains once and gives the last loss. Kernels begin as the same numbers in every engine, so that the
// first losses can be compared.
const query = new URLSearchParams(location.search);

/** Numbers from 0 to 1 that every engine gets. @param {number} count @param {number} [seed] */
export function numbers(count, seed = 12345) {
  const data = new Float32Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[i] = (state >>> 0) / 2 ** 32;
  }
  return data;
}

/** The numbers of kernel i, in the order of the layers. @param {number} count @param {number} i */
export const kernel = (count, i) => numbers(count, i + 1).map((u) => (2 * u - 1) / 10);

export const size = (shape) => shape.reduce((a, b) => a * b, 1);

/** Classes, or numbers of the shape of the output. */
export const targets = ({ count, classes, target }) => (classes
  ? Int32Array.from({ length: count }, (_, i) => i % classes) : numbers(count * size(target), 54321));

/** Where a kernel of attention stands, as the other engines have them. */
const place = (path) => ['query', 'key', 'value', 'attention_output'].findIndex((part) => path.includes(`${part}/`));

const engines = {
  async fanlight(what) {
    const { bundle, count, shape, epochs, batchSize } = what;
    const { load } = await import(`${bundle}train.js`);
    const model = await load(bundle, { threads: 1 });
    const kernels = Object.entries(await model.getWeights()).filter(([path]) => path.endsWith('kernel'));
    kernels.sort(([a], [b]) => place(a) - place(b)); // files have those of attention by the alphabet
    await model.setWeights(Object.fromEntries(
      kernels.map(([path, { data }], i) => [path, kernel(data.length, i)])));
    const [x, y] = [numbers(count * size(shape)), targets(what)];
    return async (times = epochs) => {
      const { history } = await model.fit(x, y, { epochs: times, batchSize });
      return history.loss.at(-1);
    };
  },
  tfjs: async (what) => (await import('./training_tfjs.js')).prepared(what),
  jaxjs: async (what) => (await import('./training_jaxjs.js')).prepared(what),
};

let ready = null;
/** Make a case ready: the loss of its first epoch. */
globalThis.prepare = async (what) => {
  ready = null;
  ready = await engines[query.get('who')](what);
  return ready(1);
};
/** Milliseconds of training once, and the last loss. */
globalThis.train = async () => {
  const start = performance.now();
  const loss = await ready();
  return [performance.now() - start, loss];
};

/**
 * A program of a bundle ("train", "evaluate") without anything around it: `alone(times)` gives the
 * milliseconds of one step. On this page's own thread, in a memory of its own.
 */
globalThis.takeOut = async (what, name) => {
  const { Engine } = await import(`${what.bundle}fanlight.js`);
  const base = new URL(what.bundle, location.href).href;
  const { core } = await Engine.open(`${base}manifest.json`, { threads: 1 });
  const { programs } = await (await fetch(`${base}training.json`)).json();
  const { first, last, inputs } = programs[name];
  const one = { ...what, count: what.batchSize };
  const given = [numbers(what.batchSize * size(what.shape)), targets(one), new Float32Array(what.batchSize).fill(1)];
  inputs.forEach(({ offset }, i) => new given[i].constructor(core.memory.buffer, offset, given[i].length).set(given[i]));
  const { batch } = core.manifest.dims; // a bound of 1 is no free size
  if (batch) new Int32Array(core.memory.buffer, batch.offset, 1)[0] = what.batchSize;
  globalThis.alone = (times) => {
    const start = performance.now();
    for (let i = 0; i < times; i++) core.walk(first, last);
    return (performance.now() - start) / times;
  };
};
globalThis.ready = true;
