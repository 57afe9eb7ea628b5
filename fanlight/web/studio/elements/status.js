import { LitElement, css, html, nothing } from 'lit';
import { icons } from './icons.js';
import { shared, vars } from './theme.js';
import { bytes, plain, seconds } from './words.js';
/** @import { Progress } from '../../runtime/types.js' */

/** Milliseconds over which the speed of a download is looked at. */
const SPAN = 4000;

/**
 * `<fl-status>`: what goes on with the page itself, in words and in its place: the model's download, a newer version, what
 * went wrong and can be tried again. Nothing where there is nothing to say.
 */
export class FlStatus extends LitElement {
  /** @override */
  static properties = { progress: { attribute: false }, trouble: { attribute: false }, again: {}, newer: { attribute: false }, ready: { type: Boolean }, held: { state: true } };

  /** @override */
  static styles = [shared, css`
    .note { display: flex; flex-wrap: wrap; align-items: center; gap: var(--s2) var(--s3); margin-bottom: var(--s3); }
    .note p { flex: 1 1 16rem; }
    .bar { flex: 1 1 10rem; background: var(--card); }
    .get { background: var(--well); }
  `];

  /** What had come when. @type {[number, number][]} */
  #seen = [];

  constructor() {
    super();
    /** @type {Progress | null} */
    this.progress = null;
    /** @type {unknown} */
    this.trouble = null;
    /** What the button beside the trouble says; '' for none. */
    this.again = '';
    /** A newer version waits: begin with it. @type {(() => Promise<boolean>) | null} */
    this.newer = null;
    /** Whether photos may be added while the model comes. */
    this.ready = false;
    /** Whether another tab is at work, so that the newer version cannot begin. */
    this.held = false;
  }

  /** @override @param {Map<PropertyKey, unknown>} changed */
  willUpdate(changed) {
    if (!changed.has('progress') || !this.progress) return;
    const now = performance.now();
    this.#seen = [...this.#seen.filter(([at]) => at > now - SPAN), [now, this.progress.loaded]];
  }

  /** Seconds until all has come, as fast as it came lately; null while nobody can say. */
  get #left() {
    const { progress } = this;
    const [first, last] = [this.#seen[0], this.#seen[this.#seen.length - 1]];
    if (!progress || !first || last[0] - first[0] < 500 || last[1] <= first[1]) return null;
    return (progress.total - progress.loaded) / (last[1] - first[1]) * (last[0] - first[0]) / 1000;
  }

  async #accept() {
    this.held = !await this.newer?.();
  }

  /** @override */
  render() {
    const { progress, trouble, newer } = this;
    const left = this.#left;
    return html`
      ${newer ? html`<div class="note" role="status"><p>${this.held ? 'Another tab is at work: reload when it is done.' : 'A new version is ready.'}</p>
        <button @click=${this.#accept}>Reload</button></div>` : nothing}
      ${trouble ? html`<div class="note bad" role="alert">${icons.warn}<p>${plain(trouble)}</p>
        ${this.again ? html`<button @click=${() => this.dispatchEvent(new Event('fl-again'))}>${this.again}</button>` : nothing}</div>` : nothing}
      ${progress && progress.loaded < progress.total ? html`<div class="note get small number">
        <span>Getting the model: ${bytes(progress.loaded)} of ${bytes(progress.total)}${left === null ? '' : `, ${seconds(left)} left`}</span>
        <div class="bar" role="progressbar" aria-label="The model's download" aria-valuemin="0" aria-valuemax="100"
          aria-valuenow=${Math.round(100 * progress.loaded / progress.total)} ${vars({ '--share': progress.loaded / progress.total })}></div>
        ${this.ready ? html`<span class="soft">You can add photos already.</span>` : nothing}</div>` : nothing}`;
  }
}

customElements.define('fl-status', FlStatus);
