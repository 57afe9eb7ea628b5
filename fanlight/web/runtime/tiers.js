import { FanlightError, checkOptions, fail, load, readManifest, said } from './fanlight.js';
/**
 * @import { Model } from './fanlight.js'
 * @import { Budget, LoadOptions, Tier, TierList, TierTrial } from './types.js'
 */

/** Milliseconds of an answer that a page asks for where it says nothing: 20 answers a second. */
const TARGET_MS = 50;
/** How long to warm up at least, in milliseconds, and how many runs are then measured. */
const WARM_MS = 200, RUNS = 5;
const KEEP_MS = 7 * 24 * 3600e3; // it may have been measured in a bad moment
/** What bytes may gain over floats at the most, and fewer pixels over what they should. */
const BYTES_GAIN = 4, LUCK = 0.8;
const MOST_PARTS = 32;
const SIDE = 224;
/** Where keep.js keeps files, and the milliseconds after which a model that was left keeps none. */
const STORE = 'fanlight-v1', GONE_MS = 6e3;

/** Of a list from the network only that is relied on which is checked here. @param {any} list @param {string} where */
const checked = (list, where) => {
  /** @param {any} part */
  const good = (part) => /^\w[\w.-]{0,63}$/.test(part?.id) && /^\w[\w.-]{0,63}\/$/.test(part.url)
    && part.bytes >= 0 && part.flops >= 0;
  if (list?.fanlight > 1) {
    fail('E-WEB-008', 'The bundle is newer than the runtime.',
      { where, expected: 1, received: list.fanlight, next: 'use the fanlight.js of the folder' });
  }
  const parts = list?.kind === 'tiers' ? list.tiers : list?.stages;
  if (!Array.isArray(parts) || !parts.length || parts.length > MOST_PARTS || !parts.every(good)) {
    fail('E-WEB-007', 'The list of bundles is wrong.', {
      where, expected: `1 to ${MOST_PARTS} parts with id, url, bytes and flops`, received: list?.kind, next: 'build the folder again' });
  }
  return list;
};

/** Let `info.why` begin with these words, whatever the engine says later. @param {Model} model @param {{}} more @param {() => string} words */
export const describe = ({ info }, more, words) => {
  let own = info.why;
  Object.assign(info, more);
  Object.defineProperty(info, 'why', {
    enumerable: true,
    configurable: true,
    get: () => `${words()}; ${own}`,
    set: (why) => {
      own = why;
    },
  });
};

/** Zeros for the inputs of a model, 64 for each size that is free. @param {Model} model */
const zeros = ({ inputs, dims }) => Object.fromEntries(inputs.map(({ name, dtype, shape }) => {
  const sizes = shape.map((d) => (typeof d === 'string' ? Math.max(dims[d].min, Math.min(dims[d].max, 64)) : d));
  const Type = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array }[dtype];
  return [name, { data: new Type(sizes.reduce((a, b) => a * b, 1)), shape: sizes }];
}));

/**
 * The milliseconds of an answer here: the median of a few, once code is fast.
 * @param {Model} model @param {Pick<Tier, 'size'>} tier @param {number} [enough] with which no more is measured
 */
export const time = async (model, { size }, enough = Infinity) => {
  const [height, width] = size ?? [SIDE, SIDE];
  const picture = new ImageData(width, height);
  picture.data.fill(255);
  const once = async () => {
    const start = performance.now();
    await (model.labels ? model.classify(picture, { top: 1 }) : model.run(zeros(model)));
    return performance.now() - start;
  };
  const begin = performance.now();
  for (let runs = 0, least = Infinity; runs < 3 || performance.now() - begin < WARM_MS; runs++) {
    least = Math.min(least, await once());
    if (runs > 1 && least > 4 * enough) return least; // it will not become that much faster
  }
  const times = [];
  for (let i = 0; i < RUNS; i++) times.push(await once());
  return times.sort((a, b) => a - b)[RUNS >> 1];
};

/** What is known of this device. @param {string} key @param {{}} [found] to be kept @returns {any} */
const memory = (key, found) => {
  try {
    if (found) localStorage.setItem(key, JSON.stringify(found));
    return JSON.parse(localStorage.getItem(key) ?? 'null');
  } catch {
    return null; // a page that may keep nothing
  }
};

/**
 * Drop what was kept of tiers that were tried and left. Their workers may still be writing when they are
 * told to end: so once more, when those are gone for sure.
 * @param {string[]} folders @param {number} [again] milliseconds
 */
const drop = async (folders, again) => {
  try {
    if (again) setTimeout(drop, again, folders);
    if (!await caches.has(STORE)) return;
    const store = await caches.open(STORE);
    for (const { url } of await store.keys()) if (folders.includes(url.slice(0, -64))) await store.delete(url);
  } catch {
    // No Cache Storage, or none for this page: nothing was kept.
  }
};

/** @param {number} n */
const mega = (n) => `${(n / 1e6).toFixed(1)} MB`;
/** @param {number} ms */
const millis = (ms) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
/** @param {TierTrial} trial */
const told = ({ tier, ms, skipped, problem }) => (
  `${tier} ${ms === undefined ? skipped ?? problem : 'took ' + millis(ms)}`);

/** The smallest download: what a page without network has, too (adaptive/folder.py). @param {Tier[]} tiers */
const smallest = (tiers) => tiers.reduce((a, b) => (b.bytes < a.bytes ? b : a));

/** Which tiers may be downloaded at all, and why. @param {Tier[]} tiers @param {Budget} budget @returns {[Tier[], string]} */
const affordable = (tiers, { maxBytes = Infinity, saveData }) => {
  const least = [smallest(tiers)];
  if (saveData) return [least, 'the smallest download, for Save-Data is on'];
  const fit = tiers.filter(({ bytes }) => bytes <= maxBytes);
  if (!fit.length) return [least, `the smallest download: none is of at most ${mega(maxBytes)}`];
  return [fit, fit.length < tiers.length ? `of ${fit.length} of at most ${mega(maxBytes)}` : ''];
};

/**
 * Whether a tier cannot be fast enough, by what another one took: then it is not downloaded.
 * @param {Tier} tier @param {{ tier: Tier, ms: number } | undefined} known @param {number} target @param {boolean} last
 */
const hopeless = (tier, known, target, last) => {
  if (!known) return undefined;
  const same = tier.arithmetic === known.tier.arithmetic;
  if (same && tier.flops >= known.tier.flops) return 'computes the same';
  const gain = same ? 1 : BYTES_GAIN;
  const least = LUCK * known.ms * (tier.flops / Math.max(1, known.tier.flops)) / gain;
  return !last && least > target ? 'cannot be fast enough' : undefined;
};

/**
 * Open the folder of several bundles that `load` has met: the best tier that fits, or a cascade.
 * @param {string} source the address of its list, or of its manifest @param {any} given what was there
 * @param {LoadOptions} options @returns {Promise<Model>}
 */
export const openGroup = async (source, given, options) => {
  const { budget = {}, ...rest } = options;
  const { signal } = rest;
  checkOptions('budget', budget, ['targetMs', 'maxBytes', 'saveData', 'measure']);
  for (const name of /** @type {const} */ (['targetMs', 'maxBytes'])) {
    const received = budget[name];
    if (!(received === undefined || received > 0)) {
      fail('E-WEB-001', `${name} is wrong.`, { expected: 'a number above 0', received });
    }
  }
  const named = /^(tiers|cascade)\.json$/.test(given.group) ? given.group
    : fail('E-WEB-007', 'The manifest is wrong.', { where: source, received: given.group });
  const where = new URL(named, source).href;
  /** @type {TierList} */
  const list = checked(given.kind ? given : await readManifest(where, signal), where);
  if (list.kind !== 'tiers') return (await import('./cascade.js')).openStages(list, where, rest);

  const { tiers, hash } = list;
  const { targetMs = TARGET_MS, maxBytes, measure = time } = budget;
  const { saveData = !!(/** @type {any} */ (navigator).connection?.saveData) } = budget;
  const [fit, limit] = affordable(tiers, { maxBytes, saveData });
  const asked = [targetMs, maxBytes ?? 0, saveData, navigator.hardwareConcurrency].join();
  const key = `fanlight-tier ${hash}`;
  const known = memory(key);
  const kept = known?.asked === asked && Number.isFinite(known.ms) && Date.now() - known.at < KEEP_MS
    ? fit.findIndex(({ id }) => id === known.tier) : -1;
  /** @type {TierTrial[]} */
  const tried = [];
  /** The fastest so far. @type {{ tier: Tier, model: Model, ms: number, how: string } | undefined} */
  let best;
  /** @type {unknown} */
  let failure;
  for (let i = Math.max(0, kept); i < fit.length; i++) {
    const tier = fit[i];
    // Which was slower the last time is so now; what did not come then is asked for again.
    const slower = kept >= 0 && best?.tier === fit[kept] && known.others?.includes(tier.id);
    const skipped = slower ? 'was slower before' : hopeless(tier, best, targetMs, i === fit.length - 1);
    if (skipped) {
      tried.push({ tier: tier.id, skipped });
      continue;
    }
    /** @type {Model | undefined} */
    let model;
    try {
      model = await load(new URL(tier.url, where), rest);
      // With one tier there is nothing to find out.
      const before = i === kept ? known.ms : undefined;
      const ms = before ?? (fit.length > 1 ? await measure(model, tier, targetMs) : 0);
      signal?.throwIfAborted();
      const how = before !== undefined ? `${millis(ms)} as measured before` : ms ? `${millis(ms)} measured` : '';
      tried.push({ tier: tier.id, ms: Math.round(100 * ms) / 100 });
      if (best && best.ms <= ms) {
        model.dispose();
        continue;
      }
      best?.model.dispose();
      best = { tier, model, ms, how };
      if (ms <= targetMs) break;
    } catch (error) {
      if (best?.model !== model) model?.dispose();
      if (signal?.aborted) {
        best?.model.dispose();
        throw error;
      }
      tried.push({ tier: tier.id, problem: `failed: ${said(error)}` });
      failure ??= error;
    }
  }
  if (!best) throw failure ?? new FanlightError('E-WEB-005', 'No tier could be loaded.', { where });
  const { tier, model, ms, how } = best;
  // Those that need not be tried again, as long as this choice holds.
  const done = tried.filter(({ problem }) => !problem).map((trial) => trial.tier);
  if (ms) memory(key, { tier: tier.id, ms, asked, at: tier === fit[kept] ? known.at : Date.now(), others: done });
  const others = tried.filter((trial) => trial.tier !== tier.id).map(told);
  drop(tiers.filter((it) => it !== tier && it !== smallest(tiers)).map(({ url }) => new URL(url, where).href), GONE_MS);
  const pace = !how ? '' : ms <= targetMs ? `${how}, at most ${millis(targetMs)} wanted`
    : `${how}: the fastest, though ${millis(targetMs)} were wanted`;
  const words = [`tier ${tier.id} of ${tiers.length}`, limit, pace].filter(Boolean).join(', ');
  const choice = others.length ? `${words} (${others.join('; ')})` : words;
  describe(model, { tier: tier.id, tiersTried: tried, choice }, () => choice);
  return model;
};

/**
 * Open a folder of tiers with what fits this device and this page: `load(url, { budget })`, in one.
 * @param {string | URL} url @param {LoadOptions & Budget} [options] @returns {Promise<Model>}
 */
export const loadTiers = (url, { targetMs, maxBytes, saveData, measure, ...rest } = {}) => (
  load(url, { ...rest, budget: { targetMs, maxBytes, saveData, measure } }));
