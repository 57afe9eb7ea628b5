import { augmented } from './augment.js';
import { ready } from './decode.js';
import { Refusal } from './header.js';
import { listZip, unzipped } from './zip.js';
/**
 * @import { CopyOptions } from './augment.js'
 * @import { Augment } from './types.js'
 * @import { Entry } from './zip.js'
 */

/** What can be asked of the worker, or done on this thread where there is none. */
const WORK = {
  /** @param {Blob | ImageBitmap} photo */
  photo: (photo) => ready(photo),
  /** @param {Blob} zip */
  list: (zip) => listZip(zip),
  /** @param {Blob} zip @param {Entry} entry */
  entry: async (zip, entry) => ready(new Blob([await unzipped(zip, entry)])),
  /** @param {Blob} photo @param {Augment} augment @param {CopyOptions} options */
  copies: (photo, augment, options) => augmented(photo, augment, options),
};

/**
 * Do it, and say why not as plain data, which goes through messages.
 * @param {string} tag @param {unknown[]} args
 * @returns {Promise<{ value: any } | { refusal: [code: string, reason: string, detail: {}] }>}
 */
export const work = async (tag, args) => {
  try {
    return { value: await WORK[/** @type {'photo'} */ (tag)](.../** @type {[any]} */ (args)) };
  } catch (error) {
    if (error instanceof Refusal) return { refusal: [error.code, error.message, error.detail] };
    // The browser has no memory left for it, most likely.
    const received = error instanceof Error ? error.message : String(error);
    const detail = { received, next: 'close other tabs, or make it smaller' };
    return { refusal: ['E-STUDIO-010', 'The photo could not be read.', detail] };
  }
};
