import { load, said } from '../fanlight.js';
/**
 * @import { Manifest, Spec, Value } from '../types.js'
 * @import { Model } from '../fanlight.js'
 * @typedef {{ simd?: 'relaxed' | 'plain', threads?: number, variants?: string[] }} Options
 * @typedef {{ name: string, options: Options, usual: boolean }} Setting
 * @typedef {{ name: string, why: string, runs: number, samples: number[], failure: string }} Timing
 * @typedef {{ done: (share: number, words: string) => void, signal: AbortSignal }} Watch
 */

/** Milliseconds: of a sample, for the clocks of browsers are coarse; of warming up; of all samples. */
const SAMPLE_MS = 12, WARM_MS = 400, SETTING_MS = 1500, SETTLE_MS = 5000;
const SAMPLES = 20, MOST_THREADS = 8;
/** The side lengths of the picture that a model of pictures of any size gets. */
const PHOTO = { height: 480, width: 640 };

/** @param {number} ms @returns {Promise<void>} */
export const pause = (ms) => new Promise((resolve) => {
  setTimeout(resolve, ms);
});

/** Whether an engine takes a module. @param {number[]} bytes */
const takes = (bytes) => WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...bytes]));
/** A function of one vector: i32x4.neg, or f32x4.relaxed_madd of it. @param {number[]} body */
const vector = (body) => takes([1, 6, 1, 96, 1, 123, 1, 123, 3, 2, 1, 0,
  10, body.length + 4, 1, body.length + 2, 0, ...body, 11]);

/** The browser by its own account, where it gives a short one. */
function browser() {
  /** @typedef {{ brands: { brand: string, version: string }[], platform: string }} Brands */
  const { userAgentData, userAgent } = /** @type {Navigator & { userAgentData?: Brands }} */ (navigator);
  // One of the brands is made up, with punctuation in it, so that nobody relies on the list.
  const brands = userAgentData?.brands.filter(({ brand }) => /^[\w ]+$/.test(brand));
  if (!brands?.length) return userAgent;
  return `${brands.map(({ brand, version }) => `${brand} ${version}`).join(', ')} on ${userAgentData?.platform}`;
}

/** What is known of this device. No guess from the browser's name: everything is asked for. */
export function device() {
  const { hardwareConcurrency, userAgent } = navigator;
  const { deviceMemory } = /** @type {{ deviceMemory?: number }} */ (navigator);
  let tick = Infinity;
  for (let i = 0, last = performance.now(); i < 1e5 && tick > 0.02; i++) {
    const now = performance.now();
    if (now > last) tick = Math.min(tick, now - last);
    last = now;
  }
  return {
    browser: browser(),
    user_agent: userAgent,
    cores: hardwareConcurrency || null,
    memory_gb: deviceMemory ?? null, // rounded, and at most 8, by browsers that tell it
    isolated: globalThis.crossOriginIsolated === true,
    secure: globalThis.isSecureContext,
    simd: vector([32, 0, 253, 161, 1]),
    relaxed_simd: vector([32, 0, 32, 0, 32, 0, 253, 133, 2]),
    shared_memory: typeof SharedArrayBuffer === 'function',
    clock_ms: Number.isFinite(tick) ? Number(tick.toPrecision(2)) : null,
    screen: `${screen.width} × ${screen.height} at ${devicePixelRatio}`,
  };
}

/**
 * Why there are no settings with more threads; '' where there are.
 * @param {Manifest} manifest @param {{ isolated: boolean, shared_memory: boolean, cores: number | null }} facts
 */
export function whyOneThread({ modules }, { isolated, shared_memory: shared, cores }) {
  if (!modules.some(({ threads }) => threads)) return 'This bundle has no module for more threads.';
  if (!isolated) {
    return 'The page is not cross-origin isolated, so the browser gives it no shared memory. A server '
      + 'turns that on with two headers: Cross-Origin-Opener-Policy: same-origin and '
      + 'Cross-Origin-Embedder-Policy: require-corp. `fanlight serve` sends them, and a bundle '
      + 'that was built with --isolate has them from its second visit on.';
  }
  if (!shared) return 'This browser gives no shared memory, although the page is isolated.';
  return (cores ?? 1) < 2 ? 'This device offers one core.' : '';
}

/** The names of what the host may choose in a module. @param {Manifest['modules'][number]} module */
const choicesOf = ({ choices = [] }) => choices.map(({ name }) => name);

/**
 * What to measure: as visitors get it first, then each SIMD, number of threads and choice by itself.
 * @param {Manifest} manifest @param {number} threads the most to try
 * @returns {Setting[]}
 */
export function settings({ modules }, threads) {
  /** @type {Setting[]} */
  const found = [{ name: 'as visitors get it', options: {}, usual: true }];
  const counts = Array.from({ length: Math.max(1, Math.min(threads, MOST_THREADS)) }, (_, i) => i + 1)
    .filter((n) => n <= 4 || n === threads || n === MOST_THREADS);
  for (const simd of new Set(modules.map((module) => module.simd))) {
    const of = modules.filter((module) => module.simd === simd);
    const names = of.flatMap(choicesOf);
    const choices = [...new Set(names)].map((name) => [name]);
    if (choices.length > 1) choices.push(choices.flat());
    for (const count of of.some((module) => module.threads) ? counts : [1]) {
      for (const variants of [[], ...choices]) {
        const words = [`${simd} SIMD`, count > 1 ? `${count} threads` : '1 thread', ...variants];
        found.push({
          name: words.join(', '),
          options: { simd, threads: count, ...(names.length ? { variants } : {}) },
          usual: false,
        });
      }
    }
  }
  return found;
}

/** Values of an input's shape, in a fixed order; a photo's size where that is free. @param {Spec} spec */
export function example({ dtype, shape }, /** @type {Manifest['dims']} */ dims) {
  const sizes = shape.map((d) => {
    if (typeof d === 'number') return d;
    const { min, max } = dims[d];
    return Math.max(min, Math.min(max, PHOTO[/** @type {'height'} */ (d)] ?? 64));
  });
  const length = sizes.reduce((a, b) => a * b, 1);
  const Type = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array }[dtype];
  const data = new Type(length);
  const pixels = dtype === 'uint8' && sizes.at(-1) === 4;
  for (let i = 0; i < length; i++) {
    const step = (i * 7919) % 1021;
    if (dtype === 'float32') data[i] = step / 1020;
    if (dtype === 'uint8') data[i] = pixels && i % 4 === 3 ? 255 : step >> 2; // opaque
  }
  return { data, shape: sizes };
}

/** @param {Manifest} manifest @returns {Record<string, Value>} */
export const examples = ({ inputs, dims }) => (
  Object.fromEntries(inputs.map((spec) => [spec.name, example(spec, dims ?? {})])));

/** @param {number[]} values */
export function median(values) {
  const ordered = [...values].sort((a, b) => a - b);
  const middle = ordered.length >> 1;
  return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
}

/**
 * Milliseconds from nothing to the first answer: past this bundle's cache (the browser may have one of
 * its own), and with it; null where there is no network, or no cache.
 * @param {Manifest} manifest @param {AbortSignal} signal
 */
export async function loading(manifest, signal) {
  const inputs = examples(manifest);
  /** @param {boolean} cache */
  const once = async (cache) => {
    const start = performance.now();
    const model = await load('../', { cache, signal });
    await model.run(inputs);
    const ms = performance.now() - start;
    const { bytes, cached } = model.info;
    if (cache && !cached) await pause(900); // files are kept a moment after the first answer
    model.dispose();
    return { ms, bytes, cached };
  };
  const cold = await once(false).catch((error) => {
    if (error?.code !== 'E-WEB-005') throw error;
    return null; // no network: what the cache holds is all there is
  });
  const kept = await once(true);
  const warm = kept.cached ? kept : await once(true);
  return { cold_ms: cold && cold.ms, cached_ms: warm.cached ? warm.ms : null, bytes: kept.bytes };
}

/**
 * Time every setting, twice half of the samples: there and back, so that a device that grows warm does
 * not favour the first.
 * @param {Manifest} manifest @param {Setting[]} list @param {Watch} watch
 * @returns {Promise<Timing[]>}
 */
export async function timings(manifest, list, { done, signal }) {
  const inputs = examples(manifest);
  /** @type {Timing[]} */
  const found = list.map(({ name }) => ({ name, why: '', runs: 0, samples: [], failure: '' }));
  const order = [...list.keys(), ...[...list.keys()].reverse()];
  for (const [turn, at] of order.entries()) {
    const timing = found[at];
    done(turn / order.length, list[at].name);
    if (timing.failure) continue;
    /** @type {Model | undefined} */
    let model;
    try {
      model = await load('../', { ...list[at].options, signal });
      if (list[at].usual) await settled(model, manifest, inputs, signal);
      timing.why = model.info.why;
      const { threads } = list[at].options;
      if (threads && model.info.threads !== threads) throw new Error(model.info.why);
      await sample(model, inputs, timing, signal);
    } catch (error) {
      signal.throwIfAborted();
      timing.failure = said(error);
    } finally {
      model?.dispose();
    }
  }
  return found;
}

/**
 * Wait until the runtime has found out by itself what is fastest here, which it does while nobody calls.
 * @param {Model} model @param {Manifest} manifest @param {Record<string, Value>} inputs @param {AbortSignal} signal
 */
async function settled(model, { modules }, inputs, signal) {
  await model.run(inputs);
  const shared = globalThis.crossOriginIsolated && navigator.hardwareConcurrency > 1;
  const open = modules.some((module) => module.simd === model.info.simd
    && (shared && module.threads || choicesOf(module).length > 0));
  const end = performance.now() + SETTLE_MS;
  while (open && !('tried' in model.info) && performance.now() < end) {
    await pause(100);
    signal.throwIfAborted();
  }
}

/** @param {Model} model @param {Record<string, Value>} inputs @param {Timing} timing @param {AbortSignal} signal */
async function sample(model, inputs, timing, signal) {
  const warm = performance.now() + WARM_MS;
  let runs = 0;
  const began = performance.now();
  do {
    await model.run(inputs);
    runs++;
  } while (performance.now() < warm || runs < 3);
  const each = Math.max(1, Math.ceil(SAMPLE_MS / ((performance.now() - began) / runs)));
  const end = performance.now() + SETTING_MS / 2;
  for (let i = 0; i < SAMPLES / 2 && (i < 3 || performance.now() < end); i++) {
    signal.throwIfAborted();
    const start = performance.now();
    for (let k = 0; k < each; k++) await model.run(inputs);
    timing.samples.push((performance.now() - start) / each);
    timing.runs += each;
  }
}

/**
 * The kernels that take longest, in the setting that is fastest.
 * @param {Manifest} manifest @param {Setting} setting @param {AbortSignal} signal
 */
export async function slowest(manifest, setting, signal) {
  const model = await load('../', { ...setting.options, signal });
  const inputs = examples(manifest);
  await model.run(inputs);
  const times = await model.profile(inputs);
  model.dispose();
  const total = times.reduce((sum, { ms }) => sum + ms, 0) || 1;
  return times.sort((a, b) => b.ms - a.ms).slice(0, 10).map(({ name, op, source, ms, flops }) => (
    { name, op, source, ms, share: ms / total, gflops: ms > 0 ? flops / ms / 1e6 : 0 }));
}
