import { lost } from './words.js';

/**
 * The keys go on from here, where what had them is gone: a button that another one took the place of.
 * @param {ParentNode} root @param {string} selector
 */
export const regain = (root, selector) => {
  if (lost()) /** @type {HTMLElement | null} */ (root.querySelector(selector))?.focus({ preventScroll: true });
};

/** Tells whether an update has removed what had the keys: that somebody pressed beside everything is no reason to move them. */
export class Keys {
  #had = false;

  /** Before an update. @param {ShadowRoot | null} root */
  before(root) {
    this.#had ||= Boolean(root?.activeElement);
  }

  /** After it. @param {boolean} [later] what could have them is not ready */
  gone(later = false) {
    const gone = this.#had && lost();
    if (!gone || !later) this.#had = false;
    return gone && !later;
  }
}
