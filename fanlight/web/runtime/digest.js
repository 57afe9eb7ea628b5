/** @param {number} x */
const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;

/**
 * SHA-256 (FIPS 180-4), for pages where `crypto.subtle` is missing (plain http).
 * @param {Uint8Array} bytes
 */
export function digest(bytes) {
  const primes = [2];
  for (let n = 3; primes.length < 64; n += 2) if (primes.every((p) => n % p)) primes.push(n);
  const round = primes.map((p) => fraction(Math.cbrt(p)));
  const state = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
  const rest = bytes.length % 64;
  const tail = new Uint8Array(rest < 56 ? 64 : 128);
  tail.set(bytes.subarray(bytes.length - rest));
  tail[rest] = 128;
  new DataView(tail.buffer).setBigUint64(tail.length - 8, BigInt(bytes.length) * 8n);
  const w = new Int32Array(64);
  /** @param {number} v @param {number} n */
  const turn = (v, n) => (v >>> n) | (v << (32 - n));
  for (const part of [bytes.subarray(0, bytes.length - rest), tail]) {
    const view = new DataView(part.buffer, part.byteOffset, part.length);
    for (let at = 0; at < part.length; at += 64) {
      let [a, b, c, d, e, f, g, h] = state;
      for (let i = 0; i < 64; i++) {
        const x = w[i - 15], y = w[i - 2];
        w[i] = i < 16 ? view.getInt32(at + 4 * i) : w[i - 16] + w[i - 7]
          + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
        const t = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + round[i] + w[i];
        const u = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g; g = f; f = e; e = (d + t) | 0;
        d = c; c = b; b = a; a = (t + u) | 0;
      }
      [a, b, c, d, e, f, g, h].forEach((value, i) => { state[i] = (state[i] + value) | 0; });
    }
  }
  return state.map((value) => (value >>> 0).toString(16).padStart(8, '0')).join('');
}
