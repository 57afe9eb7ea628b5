/** @import { Files } from './bundle.js' */
/** @import { Manifest } from './types.js' */

/**
 * Keep in Cache Storage what came from the network, one file at a time since each is a copy, and drop what
 * an earlier build of the bundle left there. Where that fails, the next visit fetches again.
 * @param {Files} files @param {Manifest} manifest
 */
export async function keep({ base, fresh, store, stored }, { modules, weights }) {
  if (await stored === undefined) return; // there is no store to be had
  const own = await caches.open(store);
  for (const [key, bytes] of fresh.splice(0)) {
    await own.put(key, new Response(/** @type {Uint8Array<ArrayBuffer>} */ (bytes())));
  }
  const ours = [...modules, ...weights].map(({ sha256 }) => base + sha256);
  for (const { url } of await own.keys()) {
    if (url.slice(0, -64) === base && !ours.includes(url)) await own.delete(url);
  }
}
