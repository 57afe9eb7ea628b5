import { LitElement, css, html } from 'lit';
import { icons } from './icons.js';
import { shared } from './theme.js';

/**
 * `<fl-menu label="More for Cats"><button>Rename</button>...</fl-menu>`: a button that shows buttons. Arrow keys go through
 * them, Escape closes. What stands on the button itself is in the slot `face` (default: three dots).
 */
export class FlMenu extends LitElement {
  /** @override */
  static properties = { label: {}, open: { type: Boolean, reflect: true }, up: { type: Boolean, reflect: true } };

  /** @override */
  static styles = [shared, css`
    :host { position: relative; display: inline-block; }
    .list {
      position: absolute; z-index: 20; top: calc(100% + 0.25rem); right: 0; display: grid; min-width: 13rem; max-width: min(20rem, 90vw);
      max-height: 60dvh; overflow: auto; padding: var(--s1); border: 1px solid var(--line); border-radius: var(--r2); background: var(--card);
      box-shadow: var(--float);
    }
    :host([up]) .list { top: auto; bottom: calc(100% + 0.25rem); }
    /* What buttons look like where the menu stands would win over this. */
    ::slotted(button) {
      display: flex; align-items: center; justify-content: flex-start !important; gap: var(--s3) !important; min-height: var(--touch);
      padding: var(--s2) var(--s3) !important; border: 0 !important; border-radius: var(--r1) !important; background: transparent !important;
      color: inherit; font: inherit; text-align: start !important; cursor: pointer; overflow-wrap: anywhere;
    }
    ::slotted(button:hover) { background: var(--well) !important; }
    ::slotted(button:focus-visible) { outline: 3px solid var(--accent); outline-offset: -3px !important; }
    ::slotted(hr) { width: 100%; margin: var(--s1) 0; border: 0; border-top: 1px solid var(--line); }
    .face { padding: 0 var(--s2); min-width: var(--touch); }
  `];

  constructor() {
    super();
    this.label = '';
    this.open = false;
    this.up = false;
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    document.addEventListener('pointerdown', this.#away);
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener('pointerdown', this.#away);
  }

  #away = (/** @type {Event} */ event) => {
    if (!event.composedPath().includes(this)) this.open = false;
  };

  get #items() {
    return /** @type {HTMLElement[]} */ ([...this.querySelectorAll(':scope > button:not([disabled]):not([slot])')]);
  }

  async #toggle() {
    this.open = !this.open;
    await this.updateComplete;
    if (this.open) this.#items[0]?.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.open) return;
    const items = this.#items;
    const at = items.findIndex((item) => item.matches(':focus'));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined) items[(to + items.length) % items.length]?.focus();
    else if (event.key === 'Escape') this.#close(true);
    else {
      if (event.key === 'Tab') this.open = false;
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {boolean} back */
  #close(back) {
    this.open = false;
    if (back) /** @type {HTMLElement | null} */ (this.renderRoot.querySelector('.face'))?.focus();
  }

  /** @override */
  render() {
    return html`
      <div @keydown=${this.#key}>
        <button class="quiet face" aria-label=${this.label} aria-expanded=${this.open} aria-controls="list" @click=${this.#toggle}>
          <slot name="face">${icons.more}</slot>
        </button>
        <div class="list" id="list" ?hidden=${!this.open} @click=${() => this.#close(true)}><slot></slot></div>
      </div>`;
  }
}

customElements.define('fl-menu', FlMenu);
