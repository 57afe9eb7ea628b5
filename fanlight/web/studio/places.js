import { fail } from '../runtime/fanlight.js';
/** @import { Read } from './export.js' */

/**
 * Where files stand in a folder of Studio, by the list of studio.json: those of the page once, at the root.
 * @param {{ files?: Record<string, unknown> }} studio @param {string} base URL of the folder @param {string} url of a head in it
 * @param {AbortSignal} [signal] @returns {{ beside: Read, page: Read }}
 */
export const placesIn = ({ files = {} }, base, url, signal) => {
  /** @param {string} path */
  const get = async (path) => {
    const response = await fetch(new URL(path, base), { signal });
    if (!response.ok) fail('E-STUDIO-004', 'A file of Studio did not come.', { where: path, received: `HTTP ${response.status}` });
    return response.blob();
  };
  /** @param {string} path @returns {boolean} */
  const there = (path) => Object.hasOwn(files, path);
  return {
    beside: (path) => (there(url + path) ? get(url + path) : undefined),
    page: (path) => (!there(url + path) && there(path) ? get(path) : undefined),
  };
};
