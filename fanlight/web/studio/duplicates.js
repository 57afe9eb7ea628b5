/** @import { Example, Pair } from './types.js' */

/** The cosine of two photos' features from which on they are near duplicates. */
export const THRESHOLD = 0.97;
/** Pairs that are found at most at once: a folder of one photo many times over has millions. */
export const MAX_PAIRS = 20_000;
const BLOCK = 48; // rows that are compared with as many others, while both are in the cache
const SLICE_MS = 8; // of work between two breaths of the page

/** Photos that are the very same: each of one hash with the first of it. @param {Iterable<Example>} examples @returns {Pair[]} */
export const exact = (examples) => {
  /** @type {Map<string, string>} */
  const first = new Map();
  /** @type {Pair[]} */
  const pairs = [];
  for (const { id, hash } of examples) {
    const a = first.get(hash);
    if (a === undefined) first.set(hash, id);
    else pairs.push({ a, b: id, similarity: 1 });
  }
  return pairs;
};

/**
 * Pairs of photos that look nearly the same, the likest first. No slice of the work keeps the page
 * from drawing.
 * @param {Map<string, Float32Array>} features by example; all of one length
 * @param {{ threshold?: number, signal?: AbortSignal }} [options] threshold: of the cosine
 * @returns {Promise<Pair[]>} at most MAX_PAIRS
 */
export const near = (features, { threshold, signal } = {}) => new Near(threshold).add(features, { signal });

/** Features that have been compared with each other: new ones are compared with all of them. */
export class Near {
  #threshold;
  /** @type {string[]} */
  #ids = [];
  /** @type {Set<string>} */
  #known = new Set();
  #size = 0;
  /** Rows of length one, so that a product of two is their cosine. */
  #data = new Float32Array(0);

  constructor(threshold = THRESHOLD) {
    this.#threshold = threshold;
  }

  /**
   * Pairs of the new ones among each other and with those from before. What is here already, or has
   * another length or no direction at all, is passed over.
   * @param {Map<string, Float32Array>} features @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Pair[]>} the likest first
   */
  async add(features, { signal } = {}) {
    signal?.throwIfAborted();
    const begin = this.#ids.length;
    for (const [id, row] of features) if (!this.#known.has(id)) this.#append(id, row);
    const [data, ids, size, end] = [this.#data, [...this.#ids], this.#size, this.#ids.length];
    /** @type {Pair[]} */
    const pairs = [];
    /** @param {number} i @param {number} j @param {number} similarity */
    const found = (i, j, similarity) => {
      if (pairs.length < MAX_PAIRS) pairs.push({ a: ids[j], b: ids[i], similarity: Math.min(1, similarity) });
    };
    let since = performance.now();
    for (let i = begin; i < end && pairs.length < MAX_PAIRS; i += BLOCK) {
      for (let j = 0; j < Math.min(i + BLOCK, end); j += BLOCK) {
        compare(data, size, [i, Math.min(i + BLOCK, end)], [j, Math.min(j + BLOCK, end)], this.#threshold, found);
        if (performance.now() - since < SLICE_MS) continue;
        await breath();
        signal?.throwIfAborted();
        since = performance.now();
      }
    }
    return pairs.sort((a, b) => b.similarity - a.similarity);
  }

  /** Forget examples. @param {Iterable<string>} ids */
  remove(ids) {
    const gone = new Set(ids);
    const size = this.#size;
    const data = new Float32Array(this.#data.length); // a search that goes on keeps what it has
    const kept = [...this.#ids.keys()].filter((row) => !gone.has(this.#ids[row]));
    kept.forEach((row, i) => data.set(this.#data.subarray(row * size, (row + 1) * size), i * size));
    this.#data = data;
    this.#ids = kept.map((row) => this.#ids[row]);
    this.#known = new Set(this.#ids);
  }

  /** @param {string} id @param {Float32Array} row */
  #append(id, row) {
    this.#size ||= row.length;
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += row[i] * row[i];
    const length = Math.sqrt(sum);
    if (row.length !== this.#size || !(length > 0 && length < Infinity)) return;
    const at = this.#ids.length * this.#size;
    if (at + this.#size > this.#data.length) {
      const more = new Float32Array(Math.max(64 * this.#size, this.#data.length * 2));
      more.set(this.#data);
      this.#data = more;
    }
    for (let i = 0; i < row.length; i++) this.#data[at + i] = row[i] / length;
    this.#ids.push(id);
    this.#known.add(id);
  }
}

/**
 * Each row i with each row j before it. Two rows by four at once: each number that is read is used
 * more than once.
 * @param {Float32Array} data @param {number} size of a row
 * @param {[from: number, to: number]} rows i @param {[from: number, to: number]} others j
 * @param {number} threshold @param {(i: number, j: number, cosine: number) => void} found
 */
const compare = (data, size, [from, to], [begin, end], threshold, found) => {
  /** @param {number} i @param {number} j @param {number} cosine */
  const test = (i, j, cosine) => {
    if (cosine >= threshold && j < i) found(i, j, cosine);
  };
  let i = from;
  for (; i + 2 <= to; i += 2) {
    const p = i * size;
    const q = p + size;
    let j = begin;
    for (; j + 4 <= end && j <= i; j += 4) {
      const [a, b, c, d] = [j * size, (j + 1) * size, (j + 2) * size, (j + 3) * size];
      let [pa, pb, pc, pd, qa, qb, qc, qd] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let k = 0; k < size; k++) {
        const x = data[p + k];
        const y = data[q + k];
        const va = data[a + k];
        const vb = data[b + k];
        const vc = data[c + k];
        const vd = data[d + k];
        pa += x * va;
        pb += x * vb;
        pc += x * vc;
        pd += x * vd;
        qa += y * va;
        qb += y * vb;
        qc += y * vc;
        qd += y * vd;
      }
      test(i, j, pa);
      test(i, j + 1, pb);
      test(i, j + 2, pc);
      test(i, j + 3, pd);
      test(i + 1, j, qa);
      test(i + 1, j + 1, qb);
      test(i + 1, j + 2, qc);
      test(i + 1, j + 3, qd);
    }
    for (; j < end && j <= i; j++) {
      test(i, j, cosine(data, size, i, j));
      test(i + 1, j, cosine(data, size, i + 1, j));
    }
  }
  for (; i < to; i++) for (let j = begin; j < Math.min(end, i); j++) test(i, j, cosine(data, size, i, j));
};

/** @param {Float32Array} data @param {number} size @param {number} i @param {number} j */
const cosine = (data, size, i, j) => {
  let sum = 0;
  for (let k = 0; k < size; k++) sum += data[i * size + k] * data[j * size + k];
  return sum;
};

/** Lets the page draw and answer. @returns {Promise<void>} */
const breath = () => new Promise((resolve) => {
  const { port1, port2 } = new MessageChannel(); // comes at once, where a timer waits
  port1.onmessage = () => {
    port1.close();
    resolve();
  };
  port2.postMessage(0);
});
