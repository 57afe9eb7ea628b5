/**
 * @import { LitElement } from 'lit'
 * @import { Session } from './session.js'
 */

/**
 * Renders its element again whenever the session tells of something, whichever session that is now.
 * What the element shows is read from the session each time: nothing is kept twice.
 */
export class Watch {
  #host;
  #events;
  #tell;
  /** @type {EventTarget | null} */
  #heard = null;

  /**
   * @param {LitElement & { session: Session | null }} host
   * @param {string[]} events
   * @param {(event: Event) => unknown} [tell] told of each event before the element is rendered; false: it need not be
   */
  constructor(host, events, tell) {
    this.#host = host;
    this.#events = events;
    this.#tell = tell;
    host.addController(this);
  }

  hostConnected() {
    this.#listen(this.#host.session);
  }

  hostUpdate() {
    this.#listen(this.#host.session);
  }

  hostDisconnected() {
    this.#listen(null);
  }

  /** @param {Event} event */
  handleEvent(event) {
    if (this.#tell?.(event) !== false) this.#host.requestUpdate();
  }

  /** @param {EventTarget | null} session */
  #listen(session) {
    if (session === this.#heard || (session && !this.#host.isConnected)) return;
    for (const type of this.#events) {
      this.#heard?.removeEventListener(type, this);
      session?.addEventListener(type, this);
    }
    this.#heard = session;
  }
}
