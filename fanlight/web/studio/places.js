import { fail } from '../runtime/errors.js';
/** @import { Read } from './export.js' */

/**
 * Where files stand in a folder of Studio: those of a head where studio.json says, those of the page once, at the root.
 * @param {{ files?: Record<string, unknown> }} studio @param {string} base URL of the folder
 * @param {{ files?: Record<string, string> }} head @param {AbortSignal} [signal]
 * @returns {{ beside: Read, page: Read }}
 */
export const placesIn = ({ files = {} }, base, { files: own = {} }, signal) => {
  /** @param {string} path */
  const get = async (path) => {
    const response = await fetch(new URL(path, base), { signal });
    if (!response.ok) fail('E-STUDIO-004', 'A file of Studio did not come.', { where: path, received: `HTTP ${response.status}` });
    return response.blob();
  };
  return placed(own, (path) => (Object.hasOwn(files, path) ? get(path) : undefined));
};

/**
 * What an export asks for, by the names that files have in a bundle.
 * @param {Record<string, string>} own where those of a head are @param {Read} get a file of Studio's folder
 * @returns {{ beside: Read, page: Read }}
 */
export const placed = (own, get) => {
  /** @type {Read} */
  const beside = (name) => (Object.hasOwn(own, name) ? get(own[name]) : undefined);
  return { beside, page: (name) => beside(name) ?? get(name) };
};
