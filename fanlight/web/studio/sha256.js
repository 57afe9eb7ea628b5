/**
 * SHA-256 in hex. Where the page is plain http the browser gives no `crypto.subtle`, so the sum is made
 * here (FIPS 180-4); the runtime has its own, which the worker of photos, being one file, cannot import.
 * @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<string>} 64 digits
 */
export const sha256 = async (bytes) => {
  const hash = globalThis.crypto?.subtle ? await crypto.subtle.digest('SHA-256', bytes) : summed(bytes);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
};

/** The first 32 bits behind the point. @param {number} x */
const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;

/** @type {{ rounds: number[], begin: number[] } | undefined} */
let constants;
const made = () => {
  const primes = [2];
  for (let n = 3; primes.length < 64; n += 2) if (primes.every((prime) => n % prime)) primes.push(n);
  return {
    rounds: primes.map((prime) => fraction(Math.cbrt(prime))),
    begin: primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime))),
  };
};

/** @param {number} value @param {number} by */
const turned = (value, by) => (value >>> by) | (value << (32 - by));

/** @param {Uint8Array} bytes @returns {ArrayBuffer} 32 bytes */
const summed = (bytes) => {
  const { rounds, begin } = (constants ??= made());
  const state = new DataView(new ArrayBuffer(32));
  begin.forEach((word, i) => state.setInt32(4 * i, word));
  const whole = bytes.length - (bytes.length % 64);
  // The rest, a one, zeros, and how many bits there were.
  const rest = new Uint8Array(bytes.length - whole < 56 ? 64 : 128);
  rest.set(bytes.subarray(whole));
  rest[bytes.length - whole] = 0x80;
  new DataView(rest.buffer).setBigUint64(rest.length - 8, BigInt(bytes.length) * 8n);
  const words = new Int32Array(64);
  /** @param {DataView} block @param {number} at */
  const step = (block, at) => {
    for (let i = 0; i < 64; i++) {
      if (i < 16) {
        words[i] = block.getInt32(at + 4 * i);
        continue;
      }
      const [near, far] = [words[i - 2], words[i - 15]];
      words[i] = words[i - 16] + words[i - 7] + (turned(far, 7) ^ turned(far, 18) ^ (far >>> 3))
        + (turned(near, 17) ^ turned(near, 19) ^ (near >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = begin.map((_, i) => state.getInt32(4 * i));
    for (let i = 0; i < 64; i++) {
      const one = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + rounds[i] + words[i];
      const two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      [a, b, c, d, e, f, g, h] = [(one + two) | 0, a, b, c, (d + one) | 0, e, f, g];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => state.setInt32(4 * i, state.getInt32(4 * i) + word));
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < whole; at += 64) step(view, at);
  const last = new DataView(rest.buffer);
  for (let at = 0; at < rest.length; at += 64) step(last, at);
  return state.buffer;
};
