// Single kernels and the peak of the machine, in turn. No op names here: a kernel is a module with
// pointers and an amount of work.

/** @param {string} text */
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/**
 * @param {string} wasm base64
 * @param {number} pages
 */
async function instantiate(wasm, pages) {
  const memory = new WebAssembly.Memory({ initial: pages });
  const floats = new Float32Array(memory.buffer);
  for (let i = 0; i < floats.length; i++) floats[i] = ((i * 7919) % 1000) / 1000 - 0.5;
  const { instance } = await WebAssembly.instantiate(bytes(wasm), { fanlight: { memory } });
  return instance.exports;
}

/**
 * Milliseconds of one call, the mean of `count`.
 * @param {() => void} call
 * @param {number} count
 */
function time(call, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) call();
  return (performance.now() - start) / count;
}

/**
 * Time everything in turn, round by round: the peak next to each kernel, so that a slow moment of
 * the machine meets both.
 * @param {{wasm: string, flops: number}} peak
 * @param {{wasm: string, pages: number, pointers: number[], work: number}[]} kernels
 * @param {number} rounds
 * @returns {Promise<{ms: number[][], peak: number[][]}>} per kernel: ms per call, peak in FLOP/ms
 */
async function measure(peak, kernels, rounds) {
  const top = /** @type {any} */ (await instantiate(peak.wasm, 1));
  // About as long as a kernel's turn, so that a pause of the machine falls on either alike.
  const iterations = 1 << 18;
  const calls = [];
  for (const k of kernels) {
    const { kernel } = /** @type {any} */ (await instantiate(k.wasm, k.pages));
    calls.push(() => kernel(...k.pointers, 0, k.work));
  }
  const topCall = () => top.peak(iterations, 1, 0);
  const counts = calls.map((call) => {
    const until = performance.now() + 60;
    while (performance.now() < until) call(); // tier-up
    return Math.max(1, Math.ceil(3 / time(call, 3)));
  });
  for (let i = 0; i < 20; i++) topCall();
  /** @type {number[][]} */
  const ms = calls.map(() => []);
  /** @type {number[][]} */
  const peaks = calls.map(() => []);
  for (let round = 0; round < rounds; round++) {
    calls.forEach((call, i) => {
      peaks[i].push((iterations * peak.flops) / time(topCall, 1));
      ms[i].push(time(call, counts[i]));
    });
  }
  return { ms, peak: peaks };
}

Object.assign(globalThis, { measure, ready: true });
