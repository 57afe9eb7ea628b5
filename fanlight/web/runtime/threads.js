import { FanlightError, said } from './fanlight.js';
/** @import { Core } from './types.js' */

// Words of the control block (fanlight/codegen/walk.py); the first three are this file's own.
// A turn is its number, times 32, and how many threads take part in it: both change at once.
const TURN = 16, FIRST = 17, LAST = 18, BASE = 20, PATIENCE = 21, STOP = 22, ARRIVED = 32;
/** Waits of 100 ms without any news after which a thread counts as lost. */
const NEWS = 100;
const START_MS = 10_000;
const MOST = 31;
/** How often threads may get lost before the model goes on without. */
const LOSSES = 3;

/**
 * The whole life of a helping thread: one share of every turn. It has to stand for itself: a worker
 * is started from its text.
 */
function helper() {
  /** @param {MessageEvent} event */
  globalThis.onmessage = ({ data: { module, memory, control, thread, places, id } }) => {
    const words = new Int32Array(memory.buffer, control, 64);
    const { exports } = new WebAssembly.Instance(module, { fanlight: { memory } });
    let turn = Atomics.load(words, 16);
    globalThis.postMessage('ready');
    for (;;) {
      // The next turn often follows at once, and waking up takes longer than this.
      for (let i = 0; i < 1e4 && Atomics.load(words, 16) === turn; i++);
      Atomics.wait(words, 16, turn);
      if (turn === Atomics.load(words, 16)) continue;
      turn = Atomics.load(words, 16);
      const count = turn & 31;
      if (Atomics.load(places, thread) !== id) return; // another one has its place: to end takes a while
      if (thread >= count) continue;
      try {
        /** @type {Function} */ (exports.run)(words[17], words[18], thread, count);
      } catch {
        Atomics.store(words, 22, 1); // nobody shall wait for this thread
        Atomics.notify(words, 32);
      }
    }
  };
}

/** @param {string | URL} url @param {WorkerOptions} [options] */
const start = (url, options) => new Worker(url, { name: 'fanlight-helper', ...options });
const WAYS = [
  // From a blob: URL it obeys the policy of the page (see fanlight.js), and needs no file.
  () => {
    const url = URL.createObjectURL(new Blob([`(${helper})()`], { type: 'text/javascript' }));
    setTimeout(() => URL.revokeObjectURL(url), 6e4);
    return start(url);
  },
  () => start(new URL('./threads.js', import.meta.url), { type: 'module' }),
];
if (self.name === 'fanlight-helper') helper();

/** The threads that compute one model: this one, and helpers that share its memory. */
class Team {
  /** @type {Worker[]} */
  #helpers = [];
  #core;
  #alone;
  #control;
  #words;
  #losses = 0;
  /** Which helper has the place of each thread. */
  #places = new Int32Array(new SharedArrayBuffer(4 * (MOST + 1)));
  #hired = 0;
  /** @type {Promise<void>} */
  #sizing = Promise.resolve();
  /** Whether a lost thread may still write to the memory, for there was no room for another one. */
  #spoilt = false;

  /** @param {Core} core @param {number} control */
  constructor(core, control) {
    this.#core = core;
    this.#alone = core.walk;
    this.#control = control;
    this.#words = this.#prepared();
  }

  #prepared() {
    const words = new Int32Array(this.#core.memory.buffer, this.#control, 64);
    words.fill(0, 1); // all but the choices
    words[PATIENCE] = NEWS;
    return words;
  }

  /**
   * So many threads from now on; rejects if one does not start. One call after the other, or two helpers
   * would get the same number.
   * @param {number} threads @param {boolean} spare whether helpers that are not needed now shall stay
   */
  resize(threads, spare) {
    this.#sizing = this.#sizing.catch(() => {}).then(() => this.#resize(threads, spare));
    return this.#sizing;
  }

  /** @param {number} threads @param {boolean} spare */
  async #resize(threads, spare) {
    const core = this.#core;
    try {
      while (!this.#spoilt && this.#helpers.length < threads - 1) {
        const memory = core.memory;
        const helper = await this.#hire(this.#helpers.length + 1);
        if (memory === core.memory && !this.#spoilt) this.#helpers.push(helper);
        else helper.terminate(); // meanwhile the memory became another one
      }
    } finally {
      if (this.#spoilt) return;
      while (!spare && this.#helpers.length >= threads) this.#helpers.pop()?.terminate();
      const count = Math.min(threads, this.#helpers.length + 1);
      core.info.threads = count;
      core.walk = count > 1 ? (first, last) => this.#walk(first, last, count) : this.#alone;
    }
  }

  /** @param {number} thread @returns {Promise<Worker>} */
  async #hire(thread) {
    const { module, memory } = this.#core;
    let problem;
    for (const way of WAYS) {
      const id = ++this.#hired;
      Atomics.store(this.#places, thread, id);
      /** @type {Worker | undefined} */
      let worker;
      try {
        const made = worker = way();
        await new Promise((resolve, reject) => {
          made.onmessage = resolve;
          made.onerror = (event) => {
            event.preventDefault();
            reject(new Error(event.message || 'it was not allowed to start'));
          };
          setTimeout(() => reject(new Error('it did not start in time')), START_MS);
          made.postMessage({ module, memory, control: this.#control, thread, places: this.#places, id });
        });
        return made;
      } catch (error) {
        worker?.terminate();
        problem = error;
      }
    }
    throw problem;
  }

  /** @param {number} first @param {number} last @param {number} count */
  #walk(first, last, count) {
    const words = this.#words;
    words[FIRST] = first;
    words[LAST] = last;
    words[BASE] = Atomics.load(words, ARRIVED);
    Atomics.store(words, TURN, ((words[TURN] & ~31) + 32) | count);
    Atomics.notify(words, TURN);
    try {
      this.#core.run(first, last, 0, count);
      if (Atomics.load(words, STOP)) throw stopped();
    } catch (error) {
      this.#leave(count);
      throw error;
    }
  }

  /**
   * Go on without the helpers, in a new memory: a thread that got lost may still write to the old one.
   * Where there is none, each call asks for it again. @param {number} count
   */
  #leave(count) {
    const core = this.#core;
    this.#spoilt = true;
    core.info.threads = 1;
    for (const helper of this.#helpers.splice(0)) helper.terminate();
    core.walk = () => {
      this.#move(count);
      throw stopped(); // the inputs of this call are in the old memory
    };
    if (++this.#losses >= LOSSES) core.say('threads', 'one thread: the others got lost');
    try {
      this.#move(count);
    } catch {
      core.changed();
    }
  }

  /** Others come for helpers that got lost, unless those get lost as well. @param {number} count */
  #move(count) {
    const core = this.#core;
    const { pages, weights } = core.manifest.memory;
    try {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const { exports } = new WebAssembly.Instance(core.module, { fanlight: { memory } });
      new Uint8Array(memory.buffer).set(new Uint8Array(core.memory.buffer, 0, weights.offset + weights.bytes));
      core.memory = memory;
      core.run = /** @type {Core['run']} */ (exports.run);
    } catch (error) {
      throw new FanlightError('E-WEB-004', 'The browser gave no new memory after a thread got lost.', {
        expected: `${pages * 65536} bytes`, received: said(error), next: 'close other pages and call again' });
    }
    core.walk = this.#alone;
    this.#spoilt = false;
    this.#words = this.#prepared();
    (this.#losses < LOSSES ? this.resize(count, false) : Promise.reject()).catch(() => {}).then(core.changed);
  }
}

const stopped = () => new FanlightError('E-WEB-021', 'A thread of the model stopped.',
  { next: 'call again: the model goes on' });

/**
 * Compute with so many threads, at most one per core; `info.threads` is how many have come. Rejects when
 * one does not start. The memory has to be shared.
 * @param {Core} core @param {number} threads @param {boolean} [spare] whether threads that are not
 * needed now shall wait for when they are
 */
export async function hire(core, threads, spare = false) {
  const { control } = /** @type {{ control: number }} */ (core.file.threads);
  core.team ??= new Team(core, control);
  await core.team.resize(Math.max(1, Math.min(threads, MOST, navigator.hardwareConcurrency || 1)), spare);
}
