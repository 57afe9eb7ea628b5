/**
 * @import { Tensor } from '../runtime/types.js'
 * @import { Answer, Example, Project, Run, Settings } from './types.js'
 * @typedef {object} Sides which photos a classifier learns from
 * @property {number} seed
 * @property {Record<string, number>} limits of each class: photos that stand below are not learnt from
 * @property {Record<string, boolean>} fixed whether these examples are kept aside, wherever they stand: corrections
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

/**
 * One of many seeds: photo by photo, so that nothing of a photo hangs on which others there are.
 * @param {number} seed @param {string} id
 */
export const seedOf = (seed, id) => {
  let value = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  for (let i = 0; i < id.length; i++) value = Math.imul(value ^ id.charCodeAt(i), 0x01000193) >>> 0;
  return value;
};

/** Where a photo stands in [0, 1): always at the same place, wherever it is kept. @param {number} seed @param {Example} example */
const placeOf = (seed, { hash, id }) => generator(seedOf(seed, hash || id))();

/**
 * Which photos are held out: those that were put aside by hand, and copies of them.
 * @param {Example[]} examples @returns {(example: Example) => boolean}
 */
export const heldOut = (examples) => {
  const hashes = new Set(examples.flatMap(({ held, hash }) => (held && hash ? [hash] : [])));
  return ({ held, hash }) => held || hashes.has(hash);
};

/**
 * Where the line runs between what is learnt from and what says how well it goes: of each class the same share is
 * below it, and of each at least one above, to learn from. Copies of one photo are on one side.
 * @param {Example[]} examples @param {string[]} classes ids @param {Pick<Settings, 'validationSplit' | 'seed'>} settings
 * @returns {Sides}
 */
export const sidesOf = (examples, classes, { validationSplit, seed }) => {
  const held = heldOut(examples);
  const limits = classes.map((id) => {
    const places = examples.filter((e) => e.class === id && !held(e)).map((e) => placeOf(seed, e)).sort((a, b) => a - b);
    let aside = Math.min(places.length - 1, Math.round(places.length * validationSplit));
    while (aside > 0 && places[aside - 1] === places[aside]) aside--;
    return [id, aside > 0 ? places[aside] : 0];
  });
  return { seed, limits: Object.fromEntries(limits), fixed: {} };
};

/**
 * Whether nothing may be learnt from an example: it is held out, or is one of those that validate.
 * @param {Example} example @param {Sides} sides
 */
export const isAside = (example, { seed, limits, fixed }) => (
  example.held || (fixed[example.id] ?? placeOf(seed, example) < (limits[example.class] ?? 0)));

/**
 * Which examples are learnt from, and which say how well it goes. What is held out is in neither. A line that was
 * drawn once leaves every photo on its side, whatever comes and goes.
 * @param {Example[]} examples @param {string[]} classes ids @param {Sides} sides
 * @returns {{ train: Example[], validation: Example[] }}
 */
export const parted = (examples, classes, sides) => {
  const held = heldOut(examples);
  const all = examples.filter((e) => !held(e) && classes.includes(e.class));
  return { train: all.filter((e) => !isAside(e, sides)), validation: all.filter((e) => isAside(e, sides)) };
};

/** Both, by a line that is drawn now. @param {Example[]} examples @param {string[]} classes @param {Pick<Settings, 'validationSplit' | 'seed'>} settings */
export const split = (examples, classes, settings) => parted(examples, classes, sidesOf(examples, classes, settings));

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
  run.settings.epochs = Math.max(run.settings.epochs, epochs + 1); // of the whole of it
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
