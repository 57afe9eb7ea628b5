/** @import { ClassInfo, Example } from '../types.js' @import { Session } from './session.js' */

/** How long something thrown away can be had back. */
const KEEP_MS = 8000;

/** @type {WeakMap<Session, Trash>} */
const trashes = new WeakMap();

/**
 * What was thrown away and can still be had back: it is no longer shown, but the session removes it only when the time
 * is up, when something else is thrown away, or when `empty` is called (before a training; when the page goes). So
 * nothing has to be asked beforehand, and an undo brings back the very same photos. Tells `change`.
 */
export class Trash extends EventTarget {
  #session;
  #examples = new Set();
  #classes = new Set();
  #project = '';
  #timer = 0;
  /** The last removing. @type {Promise<void>} */
  #emptied = Promise.resolve();
  /** How often something was thrown away. */
  #turn = 0;

  /** @param {Session} session */
  constructor(session) {
    super();
    this.#session = session;
  }

  /** The trash of a session. @param {Session} session */
  static of(session) {
    let trash = trashes.get(session);
    if (!trash) trashes.set(session, trash = new Trash(session));
    return trash;
  }

  get full() {
    return this.#examples.size + this.#classes.size > 0;
  }

  /** Throw photos or classes away. @param {{ examples?: string[], classes?: string[] }} what */
  async put({ examples = [], classes = [] }) {
    const before = this.empty();
    this.#examples = new Set(examples);
    this.#classes = new Set(classes);
    this.#project = this.#session.project.id;
    this.#turn++;
    this.#timer = setTimeout(() => this.empty().catch((error) => this.#fail(error)), KEEP_MS);
    this.#tell();
    await before;
  }

  undo() {
    this.#clear();
    this.#tell();
  }

  /** What is told of it: there is a way back, as long as there is. @param {() => unknown} [then] */
  way(then) {
    const turn = this.#turn;
    return { label: 'Undo', still: () => this.full && this.#turn === turn, act: () => {
      this.undo();
      then?.();
    } };
  }

  /** Remove for good what was thrown away; also what is on its way out already is gone then. */
  empty() {
    this.#emptied = Promise.all([this.#emptied.catch(() => {}), this.#empty()]).then(() => {});
    return this.#emptied;
  }

  async #empty() {
    const examples = [...this.#examples];
    const classes = [...this.#classes];
    if (!this.full) return;
    this.#clear();
    // Photos are of their project alone; a class is looked for in the one that is open.
    if (this.#session.project.id !== this.#project) classes.length = 0;
    if (examples.length) await this.#session.remove(examples);
    for (const id of classes) await this.#session.removeClass(id);
    this.#tell();
  }

  /** @param {ClassInfo} one */
  holdsClass({ id }) {
    return this.#classes.has(id);
  }

  /** @param {Example} one */
  holds(one) {
    return this.#examples.has(one.id) || this.#classes.has(one.class);
  }

  #clear() {
    clearTimeout(this.#timer);
    this.#examples = new Set();
    this.#classes = new Set();
  }

  #tell() {
    this.dispatchEvent(new Event('change'));
    this.#session.dispatchEvent(new Event('trash'));
    document.dispatchEvent(new Event('fl-trash'));
  }

  /** @param {unknown} detail */
  #fail(detail) {
    this.#session.dispatchEvent(new CustomEvent('problem', { detail }));
    this.#tell();
  }
}

/** The classes that are shown. @param {Session} session */
export const shownClasses = (session) => {
  const trash = Trash.of(session);
  return trash.full ? session.classes.filter((one) => !trash.holdsClass(one)) : session.classes;
};

/** The photos that are shown. @param {Session} session */
export const shownExamples = (session) => {
  const trash = Trash.of(session);
  return trash.full ? session.examples.filter((one) => !trash.holds(one)) : session.examples;
};
