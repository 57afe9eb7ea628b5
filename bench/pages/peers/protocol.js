// What every engine's page has in common: the query, the input, the first answer and the turns.
// An engine's page loads its model as its own documentation says and hands a `run` to `offer`.

export const query = Object.fromEntries(new URLSearchParams(location.search));
export const threads = Number(query.threads ?? 1);

/** The URL of a file of the network. @param {string} path */
export const file = (path) => new URL(path, location.href).href;

/**
 * The input that every engine gets: numbers from -1 to 1 (bytes 0 to 255 for an image of bytes) in a
 * fixed order, NHWC. The same as `pattern` in bench/peers/engines.py.
 * @param {number} length @param {boolean} [bytes]
 */
export function pattern(length, bytes = false) {
  const values = bytes ? new Uint8Array(length) : new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const step = (i * 7919) % 1021;
    values[i] = bytes ? step >> 2 : step / 510 - 1;
  }
  return values;
}

/** NHWC values as NCHW. @template {Float32Array | Uint8Array} T @param {T} values @param {number} channels */
export function planes(values, channels) {
  const turned = values.slice();
  const size = values.length / channels;
  for (let p = 0; p < size; p++)
    for (let c = 0; c < channels; c++) turned[c * size + p] = values[p * channels + c];
  return turned;
}

/**
 * Answer once, for the clock of a cold start, and then as often as the bench asks.
 * @param {() => Promise<ArrayLike<number>>} run from input values to a copy of the output, on the page
 * @param {object} info what the engine says about itself
 * @param {() => Promise<void>} [settle] waits for what the engine does by itself after its first answer
 */
export async function offer(run, info, settle = async () => {}) {
  const first = await run();
  // The clock of the page starts at its navigation.
  globalThis.answer = { ms: performance.now(), length: first.length, info };
  globalThis.settle = settle;
  globalThis.output = async () => Array.from(await run());
  // `count` times the mean of `each` runs: the clock of a page ticks every 0.1 ms at best.
  globalThis.turn = async (count, each) => {
    const times = [];
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      for (let k = 0; k < each; k++) await run();
      times.push((performance.now() - start) / each);
    }
    return times;
  };
}

/** Run a page's script; whatever stops it is told to the bench. @param {() => Promise<void>} page */
export async function start(page) {
  try {
    await page();
  } catch (error) {
    globalThis.failure = String(error?.message ?? error).slice(0, 600);
    console.error(error);
  }
}
