import { ARRAYS, checkNames, checkSize, count, fail, pixels, said } from './fanlight.js';
/**
 * @import { Engine } from './fanlight.js'
 * @import { DType, Examples, FitOptions, Kept, Picture, Program, Size, Spec, Tensor, TrainingFile, TypedArray } from './types.js'
 * @typedef {{ x: TypedArray[], y: TypedArray[], w: (Float32Array | undefined)[], count: number, raw: TypedArray[], at: number,
 *   made?: TypedArray[], done: number }} Data
 * @typedef {{ data: Data, order: Uint32Array, at: number, size: number, batch: number, kind: 'train' | 'evaluate',
 *   good: Uint8Array | null }} Run
 * @typedef {{ file: TrainingFile, first: Uint8Array, start: number, end: number, classes: number | undefined,
 *   labels: string[] | null, runs: Map<number, Run>, last: number, random: () => number, sets: Map<number, Data>,
 *   threads: number, hired: number, idle: number, turn: number, best: number[] }} Training
 */

/** @type {WeakMap<Engine, Promise<Training>>} */
const known = new WeakMap();

/** A shape with the number of classes that there are now. @param {Engine} engine @param {Size[]} shape */
const sized = ({ manifest: { dims } }, shape) => (
  shape.map((d) => /** @type {number} */ (typeof d === 'string' ? dims[d].size : d)));

/** Tell the module what a size is, if it is a free one. @param {Engine} engine @param {string} name @param {any} size */
const setSize = ({ core, manifest: { dims } }, name, size) => {
  if (dims[name]) new Int32Array(core.memory.buffer)[dims[name].offset / 4] = size;
};

/** A small generator of numbers in [0, 1): the same for the same seed. @param {number} seed */
const generator = (seed) => () => {
  seed = (seed + 0x6D2B79F5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

/** @param {Engine} engine @returns {Promise<Training>} */
const opened = (engine) => {
  let found = known.get(engine);
  if (!found) {
    found = read(engine);
    found.catch(() => known.delete(engine)); // the network may be back the next time
    known.set(engine, found);
  }
  return found;
};

/** training.json, checked: no place may lie outside the memory. @param {Engine} engine @returns {Promise<Training>} */
async function read({ about: { labels }, core, manifest }) {
  const path = 'training.json';
  const entry = Object.hasOwn(manifest.files ?? {}, path) ? manifest.files[path] : undefined;
  if (!entry) fail('E-WEB-030', 'This bundle cannot be trained.', { next: 'build it with train=fl.training(...)' });
  const bytes = new Uint8Array(/** @type {any} */ (entry).bytes);
  await core.files.bring({ path, .../** @type {any} */ (entry) }, bytes);
  /** @type {TrainingFile} */
  let file;
  try {
    file = JSON.parse(new TextDecoder().decode(bytes));
    const size = manifest.memory.pages * 65536;
    const programs = Object.values(file.programs);
    const places = [...file.state, ...programs.flatMap((p) => [...p.inputs, ...p.outputs])];
    const right = places.every(({ offset, bytes: n, dtype }) => (
      Number.isInteger(offset) && Number.isInteger(n) && offset >= 0 && offset + n <= size
      && offset % ARRAYS[dtype].BYTES_PER_ELEMENT === 0))
      && file.state.every(({ shape }) => shape.every((d) => typeof d !== 'string' || manifest.dims[d]?.size))
      && programs.every(({ first, last }) => Number.isInteger(first) && Number.isInteger(last) && first < last);
    if (!right) throw new Error('a place, a size or steps that there are not');
  } catch (error) {
    return fail('E-WEB-007', 'training.json is wrong.', { received: said(error), next: 'build the bundle again' });
  }
  const start = Math.min(...file.state.map(({ offset }) => offset));
  const end = Math.max(...file.state.map(({ offset, bytes: n }) => offset + n));
  const first = new Uint8Array(core.memory.buffer, start, end - start).slice();
  const classes = manifest.dims.classes?.size;
  return { file, first, start, end, classes, labels, runs: new Map(), sets: new Map(), last: 0, random: generator(0),
    threads: 0, hired: 0, idle: 0, turn: 0, best: [] };
}

/** @param {Engine} engine @param {{ offset: number, dtype: DType, bytes: number }} place */
const view = ({ core }, { offset, dtype, bytes }) => {
  /** @type {any} */
  const Type = ARRAYS[dtype];
  return new Type(core.memory.buffer, offset, bytes / Type.BYTES_PER_ELEMENT);
};

/** The numbers of a value that is kept, as many as there are now. @param {Engine} engine @param {Kept} kept */
const numbers = (engine, kept) => view(engine, kept).subarray(0, count(sized(engine, kept.shape)));

/** A value that is kept as it was built. @param {Training} training @param {Kept} kept */
const built = ({ first, start }, { offset, bytes, dtype }) => (
  new ARRAYS[dtype](first.slice(offset - start, offset - start + bytes).buffer));

/** Whether it is an array, and none by names. @param {unknown} given */
const single = (given) => ArrayBuffer.isView(given) || Array.isArray(given);

/**
 * The arrays of some inputs, one after the other. @param {Spec[]} specs @param {Examples} given @param {string} what
 * @returns {TypedArray[]}
 */
const arrays = (specs, given, what) => {
  const one = single(given);
  /** What to do where there is no array. @param {any} value */
  const next = (value) => (single(value?.data) ? 'pass its data, an array' : undefined);
  if (!one || specs.length > 1) {
    const received = one ? ['one array'] : Object(given) === given ? Object.keys(given) : [String(given)];
    checkNames(what, specs.map(({ name }) => name), received, next(given) ?? `pass an array${specs.length > 1 ? ' for each' : ''}`);
  }
  return specs.map(({ name, dtype }) => {
    const array = one ? given : /** @type {any} */ (given)[name];
    /** @type {any} */
    const Type = ARRAYS[dtype];
    // Numbers that fit are taken as they come: labels are often plain lists, or of another kind.
    const fits = array instanceof Type || Array.isArray(array) || (ArrayBuffer.isView(array) && what !== 'x');
    if (!fits) {
      fail('E-WEB-012', 'An array has the wrong dtype.', {
        where: `${what} "${name}"`, expected: Type.name, received: Object(array).constructor?.name, next: next(array) });
    }
    if (array instanceof Type) return array;
    // Type.from would make 0 of what is no number, and of 0.7, and 44 of 300.
    const cell = new Type(1);
    const wrong = Array.prototype.findIndex.call(array, (value) => {
      if (typeof value !== 'number') return true;
      cell[0] = value;
      return dtype === 'float32' ? !Number.isFinite(cell[0]) : cell[0] !== value;
    });
    if (wrong >= 0) {
      const number = what === 'y' && dtype === 'int32';
      fail(number ? 'E-WEB-032' : 'E-WEB-012', number ? 'A label is no class number.' : 'A number does not fit the dtype.', {
        where: `${what} "${name}", element ${wrong}`,
        expected: number ? 'a whole number' : `numbers of ${Type.name}`,
        received: String(array[wrong]), // a BigInt is no JSON
        next: Array.isArray(array[wrong]) ? `pass ${what}.flat()`
          : number && typeof array[wrong] === 'string' ? 'pass y.map((name) => labels.indexOf(name))' : undefined });
    }
    return Type.from(array);
  });
};

/** Elements of one example. @param {Engine} engine @param {Spec} spec */
const each = (engine, spec) => count(sized(engine, spec.shape.slice(1)));

/**
 * What is given for each output: one thing for all, or something for those that are named.
 * @param {any} given @param {TrainingFile['labels']} labels @param {string} what @param {boolean} one @returns {any[]}
 */
const named = (given, labels, what, one) => {
  const expected = labels.map(({ name }) => name);
  const received = one ? [] : Object.keys(given ?? {});
  if (!received.every((name) => expected.includes(name))) {
    fail('E-WEB-010', `These are not the names of ${what}.`, { expected, received });
  }
  return expected.map((name) => (one ? given : given?.[name]));
};

/** What steps take of each example. @param {TrainingFile} file */
const taken = ({ labels, programs: { train } }) => train.inputs.slice(0, -2 * labels.length);

/** One thing, or of several an object by their names. @param {{ name: string }[]} specs @param {any[]} values */
const byName = (specs, values) => (
  specs.length === 1 ? values[0] : Object.fromEntries(specs.map(({ name }, i) => [name, values[i]])));

/**
 * Check examples and keep them here, so that steps need no message each.
 * @param {Engine} engine
 * @param {{ x: Examples, y?: Examples, w?: FitOptions['sampleWeight'], classWeight?: FitOptions['classWeight'],
 *   features?: boolean }} given features: x is what `features` gives
 * @param {boolean} [labelled] whether there have to be labels
 * @returns {Promise<{ id: number, count: number, most: number }>}
 */
export async function hold(engine, { x, y, w, classWeight, features }, labelled = true) {
  const training = await opened(engine);
  const { train, features: early } = training.file.programs;
  const labels = labelled ? training.file.labels : [];
  const outputs = labels.length;
  const takes = taken(training.file);
  // What nothing learns is computed once per example, before the first step.
  const begins = (!features && early?.inputs) || takes;
  const split = begins.length;
  const inputs = [...begins, ...train.inputs.slice(takes.length)];
  const xs = arrays(begins, x, 'x');
  const ys = labelled ? arrays(inputs.slice(split, split + outputs), /** @type {Examples} */ (y), 'y') : [];
  const sizes = [...xs, ...ys].map((a, i) => a.length / each(engine, inputs[i]));
  const total = sizes[0];
  if (!total) fail('E-WEB-031', 'There are no examples.', { expected: 'at least one', received: `${xs[0].length} numbers` });
  sizes.forEach((n, i) => {
    if (n === total && Number.isInteger(n)) return;
    const wide = each(engine, inputs[i]);
    const { length } = [...xs, ...ys][i];
    const known = labels[i - split]?.classes;
    fail('E-WEB-011', 'The arrays have different numbers of examples.', {
      where: inputs[i].name,
      expected: Number.isInteger(total) ? `${total} examples of ${wide}: ${total * wide}` : `a multiple of ${wide}`,
      received: length,
      next: known && length === total * wide * sized(engine, [known])[0]
        ? 'pass class numbers, not rows, or build with loss="categorical_crossentropy"'
        : known === null && length === total
          ? 'pass rows, not class numbers, or build with loss="sparse_categorical_crossentropy"' : undefined });
  });
  const shares = named(w, labels, 'sampleWeight', single(w));
  const plain = outputs < 2 && !Object.hasOwn(Object(classWeight), labels[0]?.name);
  const byClass = named(classWeight, labels, 'classWeight', plain);
  const weights = labels.map(({ name, classes: known, ignored, share }, k) => {
    const given = ys[k];
    const width = each(engine, inputs[split + k]);
    const numbered = known !== null;
    const most = numbered ? sized(engine, [known])[0] - 1 : 1;
    const spec = { ...inputs[0], name, dtype: /** @type {const} */ ('float32') };
    const [own] = /** @type {Float32Array[]} */ (shares[k] ? arrays([spec], shares[k], 'sampleWeight') : []);
    if (own && own.length !== total) {
      fail('E-WEB-011', 'There is one weight for each example.', { expected: total, received: own.length });
    }
    // What weighs nothing may be anything.
    const wrong = given.findIndex((v, i) => (
      (numbered || share) && !(v >= 0 && v <= most) && v !== ignored && own?.[Math.floor(i / width)] !== 0));
    if (wrong >= 0) {
      fail('E-WEB-032', 'A label is out of range.', {
        where: `${name}, example ${Math.floor(wrong / width)}`,
        expected: `${numbered ? 'classes ' : ''}0 to ${most}`,
        received: given[wrong] });
    }
    const of = byClass[k];
    /** @type {[any, any][]} */
    const weighs = Object.entries(of ?? {});
    const bad = weighs.find((pair) => !pair.every((n) => n >= 0)) ?? [...(own ?? []).entries()].find(([, n]) => !Number.isFinite(n));
    if (bad) fail('E-WEB-012', 'A weight is no number, or one of a class is below 0.', { where: name, received: bad.join(': ') });
    if (!of) return own;
    const { shape } = inputs[split + k];
    const wide = numbered ? 1 : shape.length > 1 ? sized(engine, shape.slice(-1))[0] : 1;
    if (wide < width) {
      fail('E-WEB-032', 'classWeight needs one class for each example.', {
        where: name, received: `${width / wide} for each`, next: 'sampleWeight, which is of examples' });
    }
    const last = numbered || (share && wide < 2) ? most : wide > 1 ? wide - 1 : Infinity;
    const no = weighs.find(([c]) => !(Number.isInteger(+c) && c <= last));
    if (no) {
      fail('E-WEB-032', 'classWeight names a class that there is not.', { where: name, expected: `0 to ${last}`, received: no[0] });
    }
    return Float32Array.from({ length: total }, (_, i) => {
      const row = given.subarray(i * width, (i + 1) * width);
      // The nearest class as Python rounds: halves to even ones, which is what float64 does up there.
      const c = wide > 1 ? row.indexOf(Math.max(...row)) : row[0] + 2 ** 52 - 2 ** 52;
      return (of[c] ?? 1) * (own ? own[i] : 1);
    });
  });
  const id = ++training.last;
  /** @type {Data} */
  const data = { x: xs, y: ys, w: weights, count: total, raw: xs, at: total, done: 0 };
  if (early && !features) {
    data.x = early.outputs.map((spec) => new ARRAYS[spec.dtype](total * each(engine, spec)));
    data.at = 0;
  }
  training.sets.set(id, data);
  return { id, count: total, most: engine.manifest.dims.batch?.max ?? 1 }; // a bound of 1 is no free size
}

/**
 * Compute what nothing learns, for about so many milliseconds: how many examples are done.
 * @param {Engine} engine @param {number} id @param {number} ms @returns {Promise<number>}
 */
export async function prepare(engine, id, ms) {
  const training = await opened(engine);
  const data = /** @type {Data} */ (training.sets.get(id));
  const features = /** @type {Program} */ (training.file.programs.features); // or all is done
  const { core } = engine;
  const begun = performance.now();
  for (; data.at < data.count && performance.now() - begun < ms; data.at++) {
    features.inputs.forEach((spec, i) => {
      const n = each(engine, spec);
      view(engine, spec).set(data.raw[i].subarray(data.at * n, (data.at + 1) * n));
    });
    core.walk(features.first, features.last);
    core.calls++;
    features.outputs.forEach((spec, i) => data.x[i].set(view(engine, spec), data.at * each(engine, spec)));
  }
  return data.at;
}

/** What is held of examples, as far as it is done: what steps take. @param {Engine} engine @param {number} id */
export async function rows(engine, id) {
  const { file, sets } = await opened(engine);
  return byName(taken(file), /** @type {Data} */ (sets.get(id)).x);
}

/** The shape of what steps take of an example. @param {Engine} engine @returns {Promise<number[] | Record<string, number[]>>} */
export async function shapes(engine) {
  const takes = taken((await opened(engine)).file);
  return byName(takes, takes.map(({ shape }) => shape.slice(1)));
}

/**
 * A picture as the model takes it: what stands before it where it classifies, and nothing else.
 * @param {Engine} engine @param {Picture} given @param {boolean} [whole] go on, up to where learning begins
 * @returns {Promise<any>} numbers; of several places where learning begins an object by name
 */
export async function picture(engine, given, whole) {
  const { file: { programs: { picture: program, features } } } = await opened(engine);
  const { core, manifest } = engine;
  if (!program || !manifest.task) {
    return fail('E-WEB-015', 'This bundle does not classify pictures.', { next: 'build it with task=fl.tasks.classify(...)' });
  }
  const { data, shape } = await pixels(given, manifest);
  const [image] = program.inputs;
  image.shape.forEach((d, i) => setSize(engine, String(d), shape[i]));
  new Uint8Array(core.memory.buffer, image.offset, data.length).set(data);
  core.walk(program.first, program.last);
  core.calls++;
  const made = view(engine, program.outputs[0]);
  if (!whole || !features) return made.slice();
  view(engine, features.inputs[0]).set(made);
  core.walk(features.first, features.last);
  return byName(features.outputs, features.outputs.map((spec) => view(engine, spec).slice()));
}

/**
 * The outputs of the model for examples that are held, for about so many milliseconds.
 * @param {Engine} engine @param {number} id @param {number} size of a batch @param {number} ms
 * @returns {Promise<TypedArray | Record<string, TypedArray> | undefined>} all of them, once they are done
 */
export async function answer(engine, id, size, ms) {
  const training = await opened(engine);
  const { answer: program } = training.file.programs;
  if (!program) {
    return fail('E-WEB-030', 'This bundle cannot predict in batches.', {
      expected: 'outputs with a row for each example', next: 'build it again, or use run()' });
  }
  const data = /** @type {Data} */ (training.sets.get(id));
  const { core, manifest: { dims } } = engine;
  data.made ??= program.outputs.map((spec) => new ARRAYS[spec.dtype](data.count * each(engine, spec)));
  setSize(engine, 'classes', dims.classes?.size);
  const begun = performance.now();
  while (data.done < data.count && performance.now() - begun < ms) {
    const to = Math.min(data.done + size, data.count);
    program.inputs.forEach((spec, i) => {
      const n = each(engine, spec);
      view(engine, spec).set(data.x[i].subarray(data.done * n, to * n));
    });
    setSize(engine, 'batch', to - data.done);
    core.walk(program.first, program.last);
    core.calls++;
    program.outputs.forEach((spec, i) => {
      const n = each(engine, spec);
      data.made?.[i].set(view(engine, spec).subarray(0, (to - data.done) * n), data.done * n);
    });
    data.done = to;
  }
  return data.done < data.count ? undefined : byName(program.outputs, data.made);
}

/** Let examples go. @param {Engine} engine @param {number} id */
export async function drop(engine, id) {
  const training = await opened(engine);
  training.sets.delete(id);
  training.runs.delete(id);
  if (!training.runs.size) await rest(engine, training);
}

/** What random layers and shuffles draw from. @param {Engine} engine @param {number} seed */
export async function sow(engine, seed) {
  const training = await opened(engine);
  training.random = generator(seed | 0);
  const key = training.file.state.find(({ kind }) => kind === 'key');
  if (key) view(engine, key).set([Math.floor(seed / 2 ** 32), seed | 0]);
}

/** Set the learning rate: what it is then, as float32 has it. @param {Engine} engine @param {number} rate */
export async function pace(engine, rate) {
  const { file: { state: all, rate: at } } = await opened(engine);
  const kept = all[at ?? -1];
  if (!kept) {
    return fail('E-WEB-001', 'The learning rate of this model cannot be set.', {
      expected: 'one optimizer, without a schedule', next: 'leave learningRate out' });
  }
  const place = view(engine, kept);
  place[0] = rate;
  return place[0];
}

/**
 * Begin an epoch over a part of the examples: metrics start anew.
 * @param {Engine} engine @param {number} id @param {{ kind: 'train' | 'evaluate', batchSize: number, shuffle?: boolean,
 *   from: number, to: number }} how
 */
export async function begin(engine, id, { kind, batchSize, shuffle = false, from, to }) {
  const training = await opened(engine);
  const data = /** @type {Data} */ (training.sets.get(id));
  const order = Uint32Array.from({ length: to - from }, (_, i) => from + i);
  if (shuffle) {
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(training.random() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
  }
  for (const kept of training.file.state) {
    if (kept.kind !== 'metric') continue;
    view(engine, kept).set(built(training, kept));
  }
  const good = kind === 'train' ? state(engine, training).slice() : null;
  training.runs.set(id, { data, order, at: 0, size: batchSize, batch: 0, kind, good });
}

/** @param {Engine} engine @param {Training} training */
const state = ({ core }, { start, end }) => new Uint8Array(core.memory.buffer, start, end - start);

/** The most threads, and turns that find out whether they help: whether all compute, and whether it counts. */
const MOST = 4;
const TRIAL = [[0, 0], [0, 1], [1, 0], [1, 1], [0, 1], [1, 1]];
/** A step in ms that is worth the trial, and what more threads have to gain. */
const WORTH_MS = 1, GAIN = 0.9;

/**
 * As many threads as help: steps are longer than predictions, so they find it out for themselves. Any number
 * gives the same numbers. @param {Engine} engine @param {Training} training
 */
const share = async ({ core }, training) => {
  if (!core.free.threads) return;
  const most = Math.min(MOST, navigator.hardwareConcurrency || 1);
  const { turn, best } = training;
  if (turn < TRIAL.length) {
    training.threads = TRIAL[turn][0] ? most : 1;
    if (training.threads > 1 && best[0] < WORTH_MS) training.turn = TRIAL.length;
  }
  if (training.turn === TRIAL.length) {
    training.threads = best[1] < GAIN * best[0] ? most : 1;
    core.say('training', `training: ${training.threads} of ${most} threads, ${best.map((ms) => ms.toFixed(1)).join(' and ')} ms`);
    core.changed();
  }
  if (core.info.threads !== training.hired) training.idle = training.hired = core.info.threads;
  if (training.threads === core.info.threads) return;
  try {
    await (await import('./threads.js')).hire(core, training.threads, true);
  } catch {
    training.turn = TRIAL.length + 1;
  }
  training.threads = training.hired = core.info.threads; // those that came
  core.changed();
};

/** What predicts has as many threads as before. @param {Engine} engine @param {Training} training */
const rest = async ({ core }, training) => {
  const { idle, hired } = training;
  training.idle = training.hired = 0;
  if (!idle || core.info.threads !== hired || idle === hired) return;
  await (await import('./threads.js')).hire(core, idle, true).catch(() => {});
  core.changed();
};

/**
 * Steps for about so many milliseconds: the numbers after each, and whether the epoch is over.
 * @param {Engine} engine @param {number} id @param {number} ms
 * @returns {Promise<{ logs: Record<string, number | number[]>[], done: boolean }>}
 */
export async function advance(engine, id, ms) {
  const training = await opened(engine);
  const run = /** @type {Run} */ (training.runs.get(id));
  const { file } = training;
  const { first, last, inputs, outputs } = file.programs[run.kind];
  const { core, manifest: { dims } } = engine;
  await share(engine, training);
  const views = inputs.map((spec) => view(engine, spec));
  const sources = [...run.data.x, ...run.data.y, ...run.data.w];
  const widths = inputs.map((spec) => each(engine, spec));
  setSize(engine, 'classes', dims.classes?.size);
  const results = view(engine, outputs[0]);
  const begun = performance.now();
  let spent = Infinity;
  const logs = [];
  while (run.at < run.order.length && (!logs.length || performance.now() - begun < ms)) {
    const rows = run.order.subarray(run.at, run.at + run.size);
    views.forEach((target, i) => {
      const source = sources[i];
      const width = widths[i];
      if (!source) {
        target.fill(1, 0, rows.length * width); // examples without weights count 1
        return;
      }
      for (let k = 0; k < rows.length; k++) {
        target.set(source.subarray(rows[k] * width, (rows[k] + 1) * width), k * width);
      }
    });
    setSize(engine, 'batch', rows.length);
    const start = performance.now();
    try {
      core.walk(first, last);
    } catch (error) {
      training.turn = TRIAL.length + 1; // no more of what went wrong
      training.threads = 1;
      if (run.good) state(engine, training).set(run.good);
      throw error;
    }
    if (rows.length === run.size) spent = Math.min(spent, performance.now() - start);
    core.calls++;
    run.at += rows.length;
    run.batch++;
    const { good } = run;
    // A loss is that of the weights before its step: what the last one made, nobody has seen.
    const lost = !Number.isFinite(results[0]);
    const wrong = good && (lost || run.at >= run.order.length) && file.state.find((kept) => {
      if (kept.kind === 'metric' || kept.dtype !== 'float32') return false;
      const now = numbers(engine, kept);
      const before = new Float32Array(good.buffer, kept.offset - training.start, now.length);
      return now.some((/** @type {number} */ v, /** @type {number} */ i) => !Number.isFinite(v) && Number.isFinite(before[i]));
    });
    if (good && (lost || wrong)) {
      state(engine, training).set(good);
      fail('E-WEB-033', 'The loss or a weight is not finite any more. The weights are those before this epoch.', {
        where: `step ${run.batch} of the epoch`,
        received: wrong ? `${results[0]}; ${wrong.path} is not finite` : results[0],
        next: 'a lower learning rate, or look at the data' });
    }
    logs.push(told(file, results));
  }
  if (run.kind === 'train' && spent < Infinity) {
    const [many, counts] = TRIAL[training.turn] ?? [];
    if (counts) training.best[many] = Math.min(training.best[many] ?? Infinity, spent);
    training.turn++;
  }
  return { logs, done: run.at >= run.order.length };
}

/** @param {TrainingFile} file @param {Float32Array} results */
const told = (file, results) => {
  let at = 0;
  return Object.fromEntries(file.metrics.map(({ name, size }) => {
    const part = Array.from(results.subarray(at, at += size));
    return [name, size === 1 ? part[0] : part];
  }));
};

/**
 * So many classes are there now, and the first of them have these names; null: none has a name.
 * @param {Engine} engine @param {number} size @param {string[] | null} labels
 */
const setClasses = ({ about, manifest: { dims } }, size, labels) => {
  if (!dims.classes) return;
  dims.classes.size = size;
  if (labels) {
    labels = labels.slice(0, size);
    for (let k = labels.length; labels.length < size; k++) if (!labels.includes(`class ${k}`)) labels.push(`class ${k}`);
  }
  about.labels = labels;
};

/** How many classes there are, null where that is for good, and their names. @param {Engine} engine */
export async function classes({ about: { labels }, manifest: { dims } }) {
  return { size: dims.classes?.size ?? null, labels };
}

/**
 * Change the classes. Those that stay keep what they have learnt, new ones begin as they were built.
 * @param {Engine} engine @param {number | string[]} given how many there are, or their names
 * @param {number[]} [keep] which of the old classes the first of the new ones are; default: those of the same names,
 *   without names as many as there are
 */
export async function resize(engine, given, keep) {
  const training = await opened(engine);
  const { classes } = engine.manifest.dims;
  const { labels } = engine.about;
  if (!classes) {
    return fail('E-WEB-037', 'The number of classes of this model is fixed.', { next: 'build it with dims={"classes": 20}' });
  }
  const before = /** @type {number} */ (classes.size);
  const names = Array.isArray(given) ? [...given] : undefined;
  const size = /** @type {number} */ (names ? names.length : given);
  checkSize('The number of classes', classes, size, 'classes');
  if (names && (new Set(names).size < size || !names.every((name) => name && typeof name === 'string'))) {
    fail('E-WEB-037', 'These are no names of classes.', { expected: 'different texts', received: names });
  }
  if (keep && !(Array.isArray(keep) && keep.length <= size && new Set(keep).size === keep.length
      && keep.every((c) => Number.isInteger(c) && c >= 0 && c < before))) {
    fail('E-WEB-037', 'These classes cannot be kept.', {
      expected: `at most ${size} different ones of 0 to ${before - 1}`, received: keep });
  }
  const from = keep ?? (names && labels ? names.map((name) => labels.indexOf(name)) : [...Array(Math.min(before, size)).keys()]);
  const begun = /** @type {number} */ (training.classes);
  for (const kept of training.file.state) {
    const axis = kept.shape.findIndex((d) => typeof d === 'string');
    if (axis < 0) continue;
    const inner = count(sized(engine, kept.shape.slice(axis + 1)));
    const outer = count(sized(engine, kept.shape.slice(0, axis)));
    const target = view(engine, kept);
    const old = target.slice();
    const first = built(training, kept);
    for (let o = 0; o < outer; o++) {
      for (let c = 0; c < size; c++) {
        // As built: the columns of the classes that there were, then those of all others.
        const [source, place] = from[c] >= 0 ? [old, o * before + from[c]]
          : c < begun ? [first, o * begun + c]
          : [first, (outer - o) * begun + o * classes.max + c - begun];
        target.set(source.subarray(place * inner, (place + 1) * inner), (o * size + c) * inner);
      }
    }
  }
  setClasses(engine, size, names ?? (labels && from.map((c) => labels[c])));
}

/** The weights of the model, by their paths. @param {Engine} engine @returns {Promise<Record<string, Tensor>>} */
export async function weights(engine) {
  const { file } = await opened(engine);
  return Object.fromEntries(file.state.filter(({ kind }) => kind === 'weight').map((kept) => (
    [kept.path, { data: numbers(engine, kept).slice(), shape: sized(engine, kept.shape), dtype: kept.dtype }])));
}

/**
 * Give weights new numbers. All are checked before one is changed.
 * @param {Engine} engine @param {Record<string, TypedArray | { data: TypedArray }>} given
 */
export async function assign(engine, given) {
  const { file } = await opened(engine);
  const places = new Map(file.state.filter(({ kind }) => kind === 'weight').map((kept) => [kept.path, kept]));
  /** @type {string[]} */
  const wrong = [];
  const pairs = Object.entries(Object(given)).map(([path, value]) => {
    const { data = value } = Object(value);
    const kept = places.get(path);
    if (!kept) wrong.push(`${path}: the model has none`);
    else {
      const expected = count(sized(engine, kept.shape));
      if (data?.length !== expected) wrong.push(`${path}: ${data?.length} numbers for ${expected}`);
    }
    return /** @type {[Kept, TypedArray]} */ ([kept, data]);
  });
  if (wrong.length) fail('E-WEB-034', 'These weights do not fit the model.', { expected: [...places.keys()], received: wrong });
  for (const [kept, data] of pairs) view(engine, kept).set(data);
}

/**
 * The weights that no step changes, as a file of the bundle has them: the modules have them in other forms.
 * @param {Engine} engine @returns {Promise<{ header: Record<string, any>, body: Uint8Array }>}
 */
const unchanged = async ({ core, manifest }) => {
  const path = 'still.safetensors';
  if (!Object.hasOwn(manifest.files, path)) return { header: {}, body: new Uint8Array() };
  const entry = manifest.files[path];
  const bytes = new Uint8Array(entry.bytes);
  await core.files.bring({ path, ...entry }, bytes);
  const begin = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  return { header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, begin))), body: bytes.subarray(begin) };
};

/**
 * Everything that is kept and what never changes, with what Python needs to make the model again: a safetensors file.
 * @param {Engine} engine @returns {Promise<Uint8Array>}
 */
export async function file(engine) {
  const { file: { state: all, config, head } } = await opened(engine);
  const kept = all.filter(({ kind }) => kind !== 'metric');
  const { size } = engine.manifest.dims.classes ?? {};
  if (size) config.model.config.layers.find((/** @type {any} */ one) => one.config.name === head).config.units = size;
  config.labels = engine.about.labels;
  const still = await unchanged(engine);
  /** @type {Record<string, unknown>} */
  const header = { ...still.header, __metadata__: { format: 'fanlight', config: JSON.stringify(config) } };
  let at = still.body.length;
  for (const each of kept) {
    const { path, kind, dtype, shape } = each;
    header[kind === 'weight' ? path : `${kind}/${path}`] = {
      dtype: dtype === 'int32' ? 'I32' : 'F32',
      shape: sized(engine, shape),
      data_offsets: [at, at += numbers(engine, each).byteLength] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  let to = 8 + Math.ceil(json.length / 8) * 8;
  const out = new Uint8Array(to + at).fill(32, 8, to);
  new DataView(out.buffer).setBigUint64(0, BigInt(to - 8), true);
  out.set(json, 8);
  out.set(still.body, to);
  to += still.body.length;
  for (const each of kept) {
    const { byteOffset, byteLength } = numbers(engine, each);
    out.set(new Uint8Array(engine.core.memory.buffer, byteOffset, byteLength), to);
    to += byteLength;
  }
  return out;
}

/** What was learnt as what is built, see export.js. @param {Engine} engine @returns {Promise<any>} */
export async function bundle(engine) {
  const training = await opened(engine);
  return (await import('./export.js')).bundle(engine, training);
}

// --- what outlives the page ----------------------------------------------------------------------

/** So many versions of a model keep their states under one name: those that did so last. */
const VERSIONS = 4;

/** All keys that begin with a name. @param {string} name */
const all = (name) => IDBKeyRange.bound([name], [name, []]);

/** @param {IDBTransactionMode} mode @param {(states: IDBObjectStore) => IDBRequest} ask @returns {Promise<any>} */
const table = (mode, ask) => new Promise((resolve, reject) => {
  const opening = indexedDB.open('fanlight-learnt', 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore('states', { keyPath: ['name', 'form'] }).createIndex('at', ['name', 'at']);
  };
  opening.onerror = () => reject(opening.error);
  opening.onblocked = () => reject('another page holds it');
  opening.onsuccess = () => {
    const base = opening.result;
    try {
      const change = base.transaction('states', mode);
      const request = ask(change.objectStore('states'));
      // Only then is it on disk: a page that is closed before has the old state, whole.
      change.oncomplete = () => resolve(request.result);
      change.onabort = () => reject(change.error);
    } catch (error) { // nobody else would hear of it
      reject(error);
    }
    base.close();
  };
});

/** @param {string} name @returns {(error: unknown) => never} */
const unkept = (name) => (error) => fail('E-WEB-035', 'The browser does not keep the model.', {
  where: name, received: String(error), next: 'free disk space, or leave private browsing; save() gives a file' });

/**
 * Keep the state under a name, in this browser. What another version of the model keeps there is left alone.
 * @param {Engine} engine @param {string} name
 */
export async function store(engine, name) {
  const training = await opened(engine);
  const { size } = engine.manifest.dims.classes ?? {};
  const { form } = training.file;
  const { labels } = engine.about;
  const kept = { name, form, at: Date.now(), bytes: state(engine, training).slice(), size, labels };
  await table('readwrite', (states) => {
    const put = states.put(kept);
    const keys = states.index('at').getAllKeys(all(name)); // the oldest first
    keys.onsuccess = () => keys.result.slice(0, -VERSIONS).forEach((key) => states.delete(key));
    return put;
  }).catch(unkept(name));
}

/** Take the state of a name back: whether there was one of this model. @param {Engine} engine @param {string} name */
export async function restore(engine, name) {
  const training = await opened(engine);
  const kept = await table('readonly', (states) => states.get([name, training.file.form])).catch(() => undefined);
  const fits = kept?.bytes.length === training.end - training.start;
  if (fits) {
    state(engine, training).set(kept.bytes);
    setClasses(engine, kept.size, kept.labels ?? training.labels); // before builds with a task there were no names
  }
  return fits;
}

/** Forget the states of a name, those of all versions. @param {Engine} engine @param {string} name */
export async function forget(engine, name) {
  await opened(engine);
  await table('readwrite', (states) => states.delete(all(name))).catch(unkept(name));
}

/** Begin again: everything is as it was built. @param {Engine} engine */
export async function reset(engine) {
  const training = await opened(engine);
  state(engine, training).set(training.first);
  setClasses(engine, Number(training.classes), training.labels);
}
