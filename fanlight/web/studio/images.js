import { FanlightError } from '../runtime/errors.js';
/**
 * @import { CopyOptions } from './augment.js'
 * @import { Ready } from './decode.js'
 * @import { Augment } from './types.js'
 * @import { Entry } from './zip.js'
 * @typedef {{ value: any } | { refusal: [string, string, {}] }} Said
 * @typedef {{ ask: (tag: string, args: unknown[], given: Transferable[]) => Promise<Said>, end: () => void }} Hand
 */

const IDLE_MS = 30_000; // then the worker's memory is given back
const START_MS = 10_000;

/**
 * Checks, decodes and alters photos, in a worker of its own where the page may have one, else on this thread.
 * Rejects with a FanlightError: E-STUDIO-010 (no photo), -011 (too large), -012 (a zip file).
 */
export class Images {
  /**
   * Makes the worker, for pages that are one file or whose bundler moves files; null: from imaging.js
   * beside this script. @type {(() => Worker) | null}
   */
  static worker = null;
  /** The one that a page shares. */
  static shared = new Images();

  /** @type {Promise<Hand> | undefined} */
  #hand;
  #waiting = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #idle;

  /** Why it works on this thread; empty where it does not. */
  why = '';

  /** A photo as it is kept. A bitmap is given away. @param {Blob | ImageBitmap} photo @returns {Promise<Ready>} */
  photo(photo) {
    return this.#ask('photo', [photo], photo instanceof Blob ? [] : [photo]);
  }

  /** The files in a zip. @param {Blob} zip @returns {Promise<Entry[]>} */
  list(zip) {
    return this.#ask('list', [zip]);
  }

  /** A photo in a zip. @param {Blob} zip @param {Entry} entry @returns {Promise<Ready>} */
  entry(zip, entry) {
    return this.#ask('entry', [zip, entry]);
  }

  /** Altered copies of a photo: see augment.js. @param {Blob} photo @param {Augment} augment @param {CopyOptions} [options] @returns {Promise<ImageBitmap[]>} close each when it is done with */
  copies(photo, augment, options) {
    return this.#ask('copies', [photo, augment, options]);
  }

  /** @param {string} tag @param {unknown[]} args @param {Transferable[]} [given] @returns {Promise<any>} */
  async #ask(tag, args, given = []) {
    clearTimeout(this.#idle);
    this.#waiting++;
    try {
      this.#hand ??= this.#start().catch((error) => {
        this.#hand = undefined; // the next call tries again
        throw error;
      });
      const said = await (await this.#hand).ask(tag, args, given);
      if ('refusal' in said) throw new FanlightError(...said.refusal);
      return said.value;
    } finally {
      if (--this.#waiting === 0) this.#idle = setTimeout(() => this.#end(), IDLE_MS);
    }
  }

  #end() {
    this.#hand?.then((hand) => hand.end(), () => {});
    this.#hand = undefined;
  }

  /** @returns {Promise<Hand>} */
  async #start() {
    const ways = Images.worker ? [Images.worker] : [blobWorker, fileWorker];
    for (const way of ways) {
      try {
        return await hired(way(), () => {
          this.#hand = undefined; // the next call starts another
        });
      } catch (error) {
        this.why = error instanceof Error ? error.message : String(error);
      }
    }
    const { work } = await import('./work.js');
    return { ask: (tag, args) => work(tag, args), end: () => {} };
  }
}

/** Obeys this page's policy, whatever headers the server sends: see runtime/fanlight.js. */
const blobWorker = () => {
  const script = `import ${JSON.stringify(new URL('./imaging.js', import.meta.url).href)};`;
  const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  setTimeout(() => URL.revokeObjectURL(url), START_MS);
  return new Worker(url, { type: 'module' });
};
const fileWorker = () => new Worker(new URL('./imaging.js', import.meta.url), { type: 'module' });

/**
 * A worker that has started. One that dies (of a picture too large for its memory) refuses what it
 * was asked for.
 * @param {Worker} worker @param {() => void} lost @returns {Promise<Hand>}
 */
const hired = (worker, lost) => new Promise((resolve, reject) => {
  /** @type {Map<number, (said: Said) => void>} */
  const waiting = new Map();
  let last = 0;
  const late = setTimeout(() => {
    worker.terminate();
    reject(new Error('the worker did not start'));
  }, START_MS);
  worker.onerror = (event) => {
    event.preventDefault();
    clearTimeout(late);
    worker.terminate();
    reject(new Error(event.message || 'the worker did not start'));
    lost();
    for (const answer of waiting.values()) {
      answer({ refusal: ['E-STUDIO-010', 'The photo could not be read.', {
        received: event.message, next: 'close other tabs, or make it smaller' }] });
    }
    waiting.clear();
  };
  worker.onmessage = ({ data: { id, ...said } }) => {
    if (id) {
      waiting.get(id)?.(said);
      waiting.delete(id);
      return;
    }
    clearTimeout(late);
    resolve({
      ask: (tag, args, given) => new Promise((answer) => {
        waiting.set(++last, answer);
        worker.postMessage({ id: last, tag, args }, given);
      }),
      end: () => worker.terminate(),
    });
  };
});
