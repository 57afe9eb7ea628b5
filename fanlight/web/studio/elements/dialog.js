import { css, html } from 'lit';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared } from './theme.js';
import './toast.js';
/** @import { FlToast } from './toast.js' */

/**
 * `<fl-dialog heading="Photos" wide>...</fl-dialog>`: a modal window; `show()`, `close()`, the event `close`. The focus
 * goes in and, when it closes, back to where it was (the browser's own `<dialog>`). Slots: the content, `tools` (beside the heading).
 */
export class FlDialog extends Patient {
  /** @override */
  static properties = { heading: {}, wide: { type: Boolean, reflect: true }, open: { state: true } };

  /** @override */
  static styles = [shared, css`
    :host { display: contents; }
    dialog {
      width: min(34rem, 100%); max-width: none; max-height: min(92dvh, 100dvh); margin: auto; padding: 0; overflow: hidden;
      border: 1px solid var(--line); border-radius: var(--r3);
      background: var(--paper); color: var(--ink); box-shadow: var(--float);
    }
    :host([wide]) dialog { width: min(76rem, 96%); height: 92dvh; }
    dialog[open] { display: flex; flex-direction: column; animation: rise 0.18s ease-out; }
    dialog::backdrop { background: rgb(20 16 8 / 0.55); }
    @keyframes rise { from { opacity: 0; transform: translateY(0.75rem); } }
    header { display: flex; align-items: center; gap: var(--s2); padding: var(--s3) var(--s3) var(--s3) var(--s5); border-bottom: 1px solid var(--line); }
    h2 { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; }
    .inside { flex: 1; min-height: 0; overflow: auto; overscroll-behavior: contain; padding: var(--s4) var(--s5) var(--s5); }
    :host([wide]) .inside { display: flex; flex-direction: column; padding: 0; }
    @media (max-width: 40rem) {
      dialog { width: 100%; margin-bottom: 0; border-radius: var(--r3) var(--r3) 0 0; border-width: 1px 0 0; }
      :host([wide]) dialog { width: 100%; height: 100dvh; max-height: 100dvh; border-radius: 0; border: 0; }
      header, .inside { padding-left: var(--s4); }
      .inside { padding-right: var(--s4); }
    }
  `];

  constructor() {
    super();
    this.heading = '';
    this.wide = false;
    this.open = false;
  }

  get #dialog() {
    return /** @type {HTMLDialogElement | null} */ (this.renderRoot.querySelector('dialog'));
  }

  async show() {
    this.open = true;
    await this.updateComplete;
    if (!this.#dialog?.open) this.#dialog?.showModal();
  }

  close() {
    this.#dialog?.close();
  }

  /** What is said in here is shown in here: the page behind is out of reach. @param {CustomEvent} event */
  #told(event) {
    event.stopPropagation();
    this.#toast?.show(event.detail);
  }

  get #toast() {
    return /** @type {FlToast | null} */ (this.renderRoot.querySelector('fl-toast'));
  }

  #closed() {
    this.open = false;
    this.#toast?.pass(this);
    this.dispatchEvent(new Event('close'));
  }

  /** A press on the ground beside the window closes it. @param {MouseEvent} event */
  #press({ target, clientX, clientY }) {
    if (target !== this.#dialog) return;
    const { left, right, top, bottom } = /** @type {Element} */ (target).getBoundingClientRect();
    if (clientX < left || clientX > right || clientY < top || clientY > bottom) this.close();
  }

  /** @override */
  render() {
    return html`
      <dialog aria-labelledby="heading" @close=${this.#closed} @pointerdown=${this.#press}>
        <header>
          <h2 id="heading">${this.heading}</h2>
          <slot name="tools"></slot>
          <button class="quiet icon" aria-label="Close" @click=${this.close}>${icons.close}</button>
        </header>
        <div class="inside" @fl-tell=${this.#told}>${this.open ? html`<slot></slot>` : ''}</div>
        <fl-toast></fl-toast>
      </dialog>`;
  }
}

customElements.define('fl-dialog', FlDialog);
