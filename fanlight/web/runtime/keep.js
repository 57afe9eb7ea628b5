/** @import { Files } from './bundle.js' */
/** @import { Manifest } from './types.js' */

/**
 * The float16 of a place that `expand` filled: what landed in its upper half. (A NaN may become another
 * one: that file is fetched again on every visit.)
 * @param {Uint8Array} landed
 */
function halves({ buffer, byteOffset, length }) {
  // The bias of float16's exponent; subnormals follow, and infinity stays.
  const small = new Float32Array(buffer, byteOffset - length, length / 2).map((x) => x * 2 ** -112);
  return new Uint16Array(new Int32Array(small.buffer).map((x) => x >> 31 << 15 | x >> 13 & 0x7fff));
}

/**
 * Keep in Cache Storage what came from the network, one file at a time since each is a copy, and drop what
 * an earlier build of the bundle left there. Where that fails, the next visit fetches again.
 * @param {Files} files @param {Manifest} manifest
 */
export async function keep({ base, fresh, store, stored }, { modules, weights }) {
  if (await stored == null) return; // there is no store to be had
  const own = await caches.open(store);
  // A service worker may keep it already (sw.js uses the same keys).
  const others = (await caches.keys()).filter((name) => name !== store);
  for (const [key, landed, encoding] of fresh.splice(0)) {
    const kept = await Promise.all(others.map((cacheName) => caches.match(key, { cacheName })));
    if (!kept.some(Boolean)) await own.put(key, new Response(encoding ? halves(landed) : landed.slice()));
  }
  const ours = [...modules, ...weights].map(({ sha256 }) => base + sha256);
  for (const { url } of await own.keys()) {
    if (url.slice(0, -64) === base && !ours.includes(url)) await own.delete(url);
  }
}
