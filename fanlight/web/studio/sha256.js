import { digest } from '../runtime/digest.js';

/**
 * SHA-256 in hex, also where the page is plain http and the browser gives no `crypto.subtle`. (The runtime's own is in
 * a script with all the rest of it, which the worker of photos, being one file, does not import.)
 * @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<string>} 64 digits
 */
export const sha256 = async (bytes) => {
  if (!globalThis.crypto?.subtle) return digest(bytes);
  const hash = await crypto.subtle.digest('SHA-256', bytes);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
};
