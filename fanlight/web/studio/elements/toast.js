import { css, html, nothing } from 'lit';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared } from './theme.js';
import { aborted, lost, plain, problem, tell } from './words.js';

/** @typedef {{ text: string, label?: string, act?: () => unknown, still?: () => boolean, bad?: boolean }} Told */

/** What Ctrl+Z does, too. */
const UNDO = 'Undo';

/** `<fl-toast>`: what `tell` says, at the foot of its window, for a while; read aloud. The newest takes the place of the last. */
export class FlToast extends Patient {
  /** @override */
  static properties = { told: { state: true } };

  /** @override */
  static styles = [shared, css`
    :host {
      position: fixed; z-index: 50; right: 0; bottom: calc(var(--foot, 0px) + var(--s4)); left: 0; display: grid; justify-items: center;
      padding: 0 var(--s4); pointer-events: none;
    }
    .told {
      display: flex; align-items: center; gap: var(--s3); max-width: 36rem; padding: var(--s2) var(--s2) var(--s2) var(--s4); border-radius: var(--r2);
      background: var(--ink); color: var(--paper); box-shadow: var(--float); pointer-events: auto; overflow-wrap: anywhere;
      animation: come 0.2s ease-out;
    }
    @media (forced-colors: active) { .told { border: 2px solid; } }
    @keyframes come { from { opacity: 0; transform: translateY(1rem); } }
    button { border-color: transparent; background: transparent; }
    button:hover { background: rgb(128 120 100 / 0.35); }
    button.act { color: inherit; font-weight: 600; text-decoration: underline; text-underline-offset: 0.2em; }
    :focus-visible { outline-color: var(--paper); outline-offset: -3px; }
  `];

  /** Which has told something last. @type {FlToast | null} */
  static #last = null;

  #timer = 0;
  /** What had the keys before this. @type {HTMLElement | null} */
  #before = null;

  constructor() {
    super();
    /** @type {Told | null} */
    this.told = null;
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    document.addEventListener('focusin', this.#seen);
    document.addEventListener('keydown', this.#key, true);
    document.addEventListener('fl-trash', this.#over);
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener('focusin', this.#seen);
    document.removeEventListener('keydown', this.#key, true);
    document.removeEventListener('fl-trash', this.#over);
  }

  /** What could be undone has gone for good. */
  #over = () => {
    if (this.told?.still?.() === false) this.#close();
  };

  /** @param {Event} event */
  #seen = (event) => {
    const path = event.composedPath();
    if (!path.includes(this)) this.#before = /** @type {HTMLElement} */ (path[0]);
  };

  /** @param {KeyboardEvent} event */
  #key = (event) => {
    this.#seen(event); // a step within one element is no focusin for the document
    const at = /** @type {HTMLElement} */ (event.composedPath()[0]);
    if (FlToast.#last !== this || this.told?.label !== UNDO || event.key !== 'z' || !(event.ctrlKey || event.metaKey)) return;
    if (at.matches?.('input:not([type=checkbox]), textarea')) return; // it undoes what was typed
    event.preventDefault();
    this.#act();
  };

  /** The button that was pressed is gone: the keys go back to where they were. */
  async #back() {
    await this.updateComplete;
    if (lost()) this.#before?.focus({ preventScroll: true });
  }

  /** @param {Told} told */
  show(told) {
    this.told = told;
    FlToast.#last = this;
    this.#wait();
  }

  /** What is still shown is told further up, by somebody else's foot. @param {EventTarget} to */
  pass(to) {
    const { told } = this;
    this.hide();
    if (told) tell(to, told.text, told);
  }

  /** Where a key has pressed it, or it has the keys, they go back. @param {Event} [event] */
  #close(event) {
    const keys = this.shadowRoot?.activeElement && !(/** @type {UIEvent | undefined} */ (event)?.detail);
    this.hide();
    if (keys) this.#back();
  }

  hide() {
    clearTimeout(this.#timer);
    this.told = null;
  }

  /** Long enough to read it, and as long as somebody is at it. */
  #wait() {
    clearTimeout(this.#timer);
    if (this.told) this.#timer = setTimeout(() => this.hide(), 4500 + 60 * this.told.text.length);
  }

  /** @param {Event} [event] */
  async #act(event) {
    const act = this.told?.act;
    this.#close(event);
    try {
      await act?.();
    } catch (error) {
      // In a window that was closed meanwhile nobody would see it.
      if (!this.getClientRects().length) problem(this, error);
      else if (!aborted(error)) this.show({ text: plain(error), bad: true });
    }
  }

  /** @override */
  render() {
    const { told } = this;
    return html`
      <div role="status" aria-live=${told?.bad ? 'assertive' : 'polite'}>
        ${told ? html`
          <div class="told" @pointerenter=${() => clearTimeout(this.#timer)} @pointerleave=${this.#wait}
            @focusin=${() => clearTimeout(this.#timer)} @focusout=${this.#wait}>
            ${told.bad ? icons.warn : nothing}<span>${told.text}</span>
            ${told.label ? html`<button class="act" title=${told.label === UNDO ? 'Ctrl+Z' : nothing} aria-keyshortcuts=${told.label === UNDO ? 'Control+Z' : nothing} @click=${this.#act}>${told.label}</button>` : nothing}
            <button class="icon" aria-label="Close this message" @click=${this.#close}>${icons.close}</button>
          </div>` : nothing}
      </div>`;
  }
}

customElements.define('fl-toast', FlToast);
