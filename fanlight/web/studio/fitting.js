import { generator, seedOf } from './learning.js';
/**
 * @import { TrainableModel } from '../runtime/train.js'
 * @import { Tensor } from '../runtime/types.js'
 * @import { Example, Report, Run, Settings } from './types.js'
 */

/** A correction is learnt by about so many steps: well below half a second, and what was known stays. */
const CORRECTION_STEPS = 60;
/** So many times at most, louder each time. */
const CORRECTION_TURNS = 3;

/** @template T @param {T[]} items @param {() => number} random @returns {T[]} a shuffled copy */
const shuffled = (items, random) => {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
};

/**
 * The learning rate of each epoch: constant; a half cosine down to 0 (Loshchilov and Hutter, 2017); or a tenth
 * after two thirds. @param {Settings} settings @returns {(epoch: number) => number}
 */
export const rates = ({ learningRate, schedule, epochs }) => (epoch) => (
  schedule === 'cosine' ? learningRate * 0.5 * (1 + Math.cos(Math.PI * epoch / epochs))
    : schedule === 'step' && epoch >= epochs * 2 / 3 ? learningRate / 10 : learningRate);

/**
 * Features of altered copies of photos, and of which of them each is; photos that were removed meanwhile have none.
 * @param {TrainableModel} model @param {Example[]} examples @param {Settings} settings
 * @param {{ read: (id: string) => Promise<Blob>, size: [number, number], signal?: AbortSignal,
 *   onPrepare?: (done: number, count: number) => void }} how size: of what the model sees, 0 where nobody knows
 * @returns {Promise<{ x: Float32Array, y: number[] }>}
 */
export const altered = async (model, examples, { augment, seed }, { read, size, signal, onPrepare }) => {
  const { Images } = await import('./images.js');
  const width = /** @type {number} */ (model.featureSize);
  const side = 2 * (Math.max(...size) || 224);
  const rows = new Float32Array(examples.length * augment.copies * width);
  /** @type {number[]} */
  const y = [];
  for (let i = 0; i < examples.length; i++) {
    signal?.throwIfAborted();
    const photo = await read(examples[i].id).catch((error) => {
      if (error.code !== 'E-STUDIO-022') throw error;
    });
    if (photo) {
      for (const copy of await Images.shared.copies(photo, augment, { seed: seedOf(seed, examples[i].id), size: side })) {
        rows.set(await model.features([copy]), y.length * width);
        copy.close();
        y.push(i);
      }
    }
    onPrepare?.(i + 1, examples.length);
  }
  return { x: rows.subarray(0, y.length * width), y };
};

/**
 * Fit the head to rows of features, as the settings of the run say; the run is told what came of it.
 * @param {TrainableModel} model @param {Run} run @param {Float32Array} x @param {number[]} y
 * @param {[Float32Array, number[]] | undefined} validationData
 * @param {{ signal?: AbortSignal, onEpoch?: (epoch: number, logs: Record<string, number>) => void,
 *   onBatch?: (batch: number, logs: Record<string, number>) => void }} watch
 */
export const fitted = async (model, run, x, y, validationData, { signal, onEpoch, onBatch }) => {
  const { settings } = run;
  const stopper = new AbortController();
  const stop = () => stopper.abort(signal?.reason);
  signal?.addEventListener('abort', stop);
  signal?.throwIfAborted();
  const before = run.epochs;
  const rate = rates(settings);
  const watched = validationData ? 'val_loss' : 'loss';
  /** @type {{ loss: number, epoch: number, weights: Promise<Record<string, Tensor>> | undefined }} */
  let best = { loss: Infinity, epoch: -1, weights: undefined };
  try {
    await model.fit(x, y, {
      features: true,
      epochs: Math.max(1, settings.epochs - before),
      batchSize: Math.min(settings.batchSize, y.length),
      learningRate: (epoch) => rate(before + epoch),
      seed: settings.seed + before, // another order than the first time
      validationData,
      signal: stopper.signal,
      onBatchEnd: (batch, logs) => onBatch?.(batch, /** @type {Record<string, number>} */ (logs)),
      onEpochEnd: (more, given) => {
        const epoch = before + more;
        const logs = /** @type {Record<string, number>} */ (given);
        run.epochs = epoch + 1;
        for (const [name, value] of Object.entries(logs)) (run.history[name] ??= []).push(value);
        onEpoch?.(epoch, logs);
        if (!settings.patience) return;
        if (logs[watched] < best.loss) best = { loss: logs[watched], epoch, weights: model.getWeights() };
        else if (epoch - Math.max(best.epoch, before) >= settings.patience) {
          run.stopped = 'early';
          stopper.abort(new DOMException('no better any more', 'AbortError'));
        }
      },
    });
  } catch (error) {
    if (!stopper.signal.aborted) throw error;
    if (run.stopped !== 'early') run.stopped = 'cancelled';
    if (run.epochs === before) throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  if (run.stopped === 'early' && best.weights) await model.setWeights(await best.weights);
};

/**
 * Learn on, for the sake of one of all that is learnt from.
 * @param {TrainableModel} model @param {Float32Array} x rows of features @param {number[]} y classes by their numbers
 * @param {number} own which row it is @param {Settings} settings
 */
export const relearnt = async (model, x, y, own, { learningRate, seed }) => {
  const width = x.length / y.length;
  const batchSize = Math.min(32, y.length);
  const epochs = Math.max(1, Math.floor(CORRECTION_STEPS / Math.ceil(y.length / batchSize)));
  const asked = async () => {
    const scores = /** @type {Float32Array} */ (await model.predict(x.slice(own * width, (own + 1) * width), { features: true }));
    return { score: scores[y[own]], best: Math.max(...scores) };
  };
  const before = await asked();
  // It counts as much as a tenth of all: one among hundreds would hardly be heard. Where that is not heard, of a photo
  // unlike all others or by a head that has learnt little, it is said louder.
  let weight = Math.max(1, y.length / 10);
  for (let turn = 0; turn < CORRECTION_TURNS; turn++, weight *= 3) {
    await model.fit(x, y, { features: true, batchSize, epochs, learningRate, seed: seed + turn,
      sampleWeight: y.map((_, i) => (i === own ? weight : 1)) });
    const now = await asked();
    if (now.score >= before.score && now.score === now.best) return;
  }
};

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
