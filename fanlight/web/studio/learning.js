/**
 * @import { Tensor } from '../runtime/types.js'
 * @import { Answer, Example, Project, Report, Run, Settings } from './types.js'
 */

/** What a new project is trained with. @type {Settings} */
export const DEFAULTS = {
  head: 'linear',
  unfreeze: 0,
  epochs: 40,
  batchSize: 16,
  learningRate: 0.003,
  schedule: 'cosine',
  validationSplit: 0.15,
  patience: 0,
  neighbours: 5,
  threshold: 0.5,
  seed: 1,
  augment: { copies: 0, rotate: 10, shift: 0.08, zoom: 0.1, flip: true, brightness: 0.15 },
};

/** Numbers in [0, 1), the same for the same seed. @param {number} seed */
export const generator = (seed) => () => {
  seed = (seed + 0x6D2B79F5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

/** @template T @param {T[]} items @param {() => number} random @returns {T[]} a shuffled copy */
export const shuffled = (items, random) => {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
};

/**
 * Which examples are learnt from and which say how well it goes: of each class the same share, and of each at
 * least one to learn from. What is held out is in neither.
 * @param {Example[]} examples @param {string[]} classes ids @param {Pick<Settings, 'validationSplit' | 'seed'>} settings
 * @returns {{ train: Example[], validation: Example[] }}
 */
export const split = (examples, classes, { validationSplit, seed }) => {
  const random = generator(seed);
  /** @type {Example[]} */
  const train = [];
  /** @type {Example[]} */
  const validation = [];
  for (const id of classes) {
    const own = shuffled(examples.filter((e) => e.class === id && !e.held), random);
    const aside = Math.min(own.length - 1, Math.round(own.length * validationSplit));
    validation.push(...own.slice(0, Math.max(0, aside)));
    train.push(...own.slice(Math.max(0, aside)));
  }
  return { train, validation };
};

/**
 * The learning rate of each epoch: constant; a half cosine down to 0 (Loshchilov and Hutter, 2017); or a tenth
 * after two thirds. @param {Settings} settings @returns {(epoch: number) => number}
 */
export const rates = ({ learningRate, schedule, epochs }) => (epoch) => (
  schedule === 'cosine' ? learningRate * 0.5 * (1 + Math.cos(Math.PI * epoch / epochs))
    : schedule === 'step' && epoch >= epochs * 2 / 3 ? learningRate / 10 : learningRate);

/**
 * What scores say of examples.
 * @param {Float32Array} scores a row for each example @param {Example[]} examples
 * @param {string[]} classes ids, in the order of the scores @returns {Report}
 */
export const reportOf = (scores, examples, classes) => {
  const size = classes.length;
  const confusion = classes.map(() => classes.map(() => 0));
  /** @type {string[][][]} */
  const cells = classes.map(() => classes.map(() => []));
  let loss = 0, right = 0;
  examples.forEach((example, i) => {
    const row = scores.subarray(i * size, (i + 1) * size);
    const truth = classes.indexOf(example.class);
    const said = row.indexOf(Math.max(...row));
    loss -= Math.log(Math.max(row[truth], 1e-7)); // as Keras clips it
    right += Number(said === truth);
    confusion[truth][said]++;
    cells[truth][said].push(example.id);
  });
  const count = examples.length;
  return {
    count,
    loss: count ? loss / count : 0,
    accuracy: count ? right / count : 0,
    perClass: classes.map((id, c) => {
      const all = confusion[c].reduce((sum, n) => sum + n, 0);
      return { class: id, count: all, accuracy: all ? confusion[c][c] / all : 0 };
    }),
    confusion,
    cells,
  };
};

/**
 * The weights of nearest neighbours: what is remembered, and of which class each is. Where there are more than
 * there is room for, each class keeps the same share, chosen by the seed.
 * @param {Float32Array} rows @param {Example[]} examples @param {string[]} classes
 * @param {{ capacity: number, width: number, neighbours: number, seed: number }} how
 * @returns {Record<string, Float32Array>}
 */
export const remembered = (rows, examples, classes, { capacity, width, neighbours, seed }) => {
  const random = generator(seed);
  const queues = classes.map((id) => shuffled(
    examples.map((e, i) => /** @type {const} */ ([e, i])).filter(([e]) => e.class === id), random));
  /** @type {number[]} */
  const chosen = [];
  for (let turn = 0; chosen.length < Math.min(capacity, examples.length); turn++) {
    for (const queue of queues) if (turn < queue.length && chosen.length < capacity) chosen.push(queue[turn][1]);
  }
  const known = new Float32Array(capacity * width);
  const used = new Float32Array(capacity);
  const labels = new Float32Array(capacity * classes.length);
  chosen.forEach((from, to) => {
    const row = rows.subarray(from * width, (from + 1) * width);
    const length = Math.hypot(...row) || 1;
    row.forEach((v, c) => {
      known[to * width + c] = v / length;
    });
    used[to] = 1;
    labels[to * classes.length + classes.indexOf(examples[from].class)] = 1;
  });
  const k = Math.max(1, Math.min(neighbours, chosen.length));
  return { 'neighbours/examples': known, 'neighbours/used': used, 'neighbours/k': Float32Array.of(k), 'answer/kernel': labels };
};

/** The names of what a model is told about classes. @param {Project} project */
export const labelsOf = (project) => project.classes.map(({ name }) => name);

/**
 * Make a run go on where the last one was cancelled.
 * @param {Run} run @param {Run | undefined} last @returns {number} the epochs that are done already
 */
export const goingOn = (run, last) => {
  if (last?.stopped !== 'cancelled') return 0;
  const { epochs, history, seconds } = last;
  Object.assign(run, { epochs, history: structuredClone(history), seconds });
  return epochs;
};

/**
 * How much each place speaks for a class, from 0 to 1 between the least and the most of them.
 * @param {Tensor | undefined} heat [h, w, classes] @param {number} index @returns {Answer['heat']}
 */
export const heatOf = (heat, index) => {
  if (!heat) return null;
  const [height, width, size] = heat.shape;
  const data = Float32Array.from({ length: height * width }, (_, i) => Number(heat.data[i * size + index]));
  const [least, most] = [Math.min(...data), Math.max(...data)];
  return { data: data.map((v) => (most > least ? (v - least) / (most - least) : 0)), width, height };
};

/** Rejects when it is aborted. @param {AbortSignal} [signal] @returns {Promise<never>} */
export const aborted = (signal) => new Promise((_, reject) => {
  if (signal?.aborted) reject(signal.reason);
  signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
});

/** @param {unknown} a @param {unknown} b */
export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
