import { LitElement, css, html, nothing } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { PHOTOS } from './drops.js';
import { Keys } from './focus.js';
import { icons } from './icons.js';
import { shared, vars } from './theme.js';
import { Thumbs } from './thumbs.js';
/** @import { Example } from '../types.js' @import { Session } from './session.js' */

const GAP = 8;
/** On a phone they are smaller. */
const NARROW = 480;
/** Rows above and below what is seen. */
const SPARE = 2;
/** Nobody sees a photo that is there for less than so many frames: it is not fetched before the scrolling slows down. */
const SEEN_FRAMES = 4;
/** Milliseconds without scrolling, after which all that is in sight is fetched. */
const CALM = 80;

/**
 * `<fl-grid>`: photos as thumbnails. Only as many cells exist as are seen, and those that go out of sight on one side come
 * in on the other: the photo at `i` is in cell `i` modulo their number, so that scrolling makes no elements. With `rows` it shows so many rows and does not
 * scroll; without, it fills its box and scrolls. A plain press opens a photo (`fl-open`, detail: its id); the ring in
 * the corner, Ctrl and Shift select (`fl-select`, detail: a Set of ids). Keys: arrows, Space (select), Enter (open), Delete
 * (`fl-delete`, detail: ids), Ctrl+A, Escape.
 */
export class FlGrid extends LitElement {
  /** @override */
  static properties = {
    session: { attribute: false }, items: { attribute: false }, selected: { attribute: false }, twins: { attribute: false },
    label: {}, rows: { type: Number }, side: { type: Number }, first: { state: true }, columns: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    :host { position: relative; overflow: hidden auto; overscroll-behavior: contain; }
    :host([rows]) { overflow: hidden; }
    .all { position: relative; width: 100%; height: var(--height); }
    .cell {
      position: absolute; top: 0; left: 0; width: var(--side); height: var(--side); overflow: hidden;
      border-radius: var(--r1); background: var(--well); cursor: pointer; contain: strict; user-select: none; -webkit-user-select: none;
    }
    .cell img { width: 100%; height: 100%; object-fit: cover; pointer-events: none; transition: transform var(--quick); }
    .cell img[hidden] { display: none; }
    .cell:focus-visible { outline: 3px solid var(--accent); outline-offset: -3px; }
    .cell:focus-visible::after { content: ''; position: absolute; inset: 3px; border: 2px solid var(--card); border-radius: 0.3rem; }
    .cell[aria-selected='true'] { background: var(--wash); }
    .cell[aria-selected='true'] img { transform: scale(0.84); border-radius: var(--r1); }
    .ring {
      position: absolute; top: 0; left: 0; display: grid; place-items: center; width: 2.25rem; height: 2.25rem; opacity: 0; color: #fff;
      transition: opacity var(--quick);
    }
    .ring span { display: grid; place-items: center; width: 1.5rem; height: 1.5rem; border: 2px solid #fff; border-radius: 50%; background: rgb(0 0 0 / 0.4); }
    .ring svg { width: 1rem; height: 1rem; stroke-width: 3; visibility: hidden; }
    .cell:hover .ring, .cell:focus-visible .ring, .picking .ring { opacity: 1; }
    .cell[aria-selected='true'] .ring { opacity: 1; }
    .cell[aria-selected='true'] .ring span { border-color: transparent; background: var(--accent); color: var(--on-accent); }
    .cell[aria-selected='true'] .ring svg { visibility: visible; }
    @media (hover: none) { :host(:not([rows])) .ring { opacity: 0.9; } }
    .marks { position: absolute; right: 0.25rem; bottom: 0.25rem; display: flex; gap: 0.25rem; }
    .marks span { display: grid; place-items: center; width: 1.5rem; height: 1.5rem; border-radius: 50%; background: rgb(20 16 8 / 0.72); color: #fff; }
    .marks svg { width: 1rem; height: 1rem; }
    .rest {
      position: absolute; right: 0; bottom: 0; width: var(--side); height: var(--side); min-height: 0; padding: 0;
      border-color: transparent; border-radius: var(--r1); background: rgb(20 16 8 / 0.66); color: #fff; font-weight: 600;
    }
    .rest:focus-visible { outline-offset: -3px; }
    .rest:hover { background: rgb(20 16 8 / 0.8); }
  `];

  #thumbs = new Thumbs(() => this.requestUpdate());
  #keys = new Keys();
  #width = 0;
  #height = 0;
  /** Where the keys are. */
  #at = 0;
  /** Where a selection with Shift begins. */
  #from = 0;
  #top = 0;
  #calm = 0;
  #sizes = new ResizeObserver(() => this.#measure());

  constructor() {
    super();
    /** @type {Session | null} */
    this.session = null;
    /** @type {Example[]} */
    this.items = [];
    /** @type {ReadonlySet<string>} */
    this.selected = new Set();
    /** @type {ReadonlySet<string>} */
    this.twins = new Set();
    this.label = 'Photos';
    /** @type {number | undefined} */
    this.rows = undefined;
    this.side = 104;
    this.first = 0;
    this.columns = 0;
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    this.#sizes.observe(this);
    this.addEventListener('scroll', this.#scrolled, { passive: true });
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    this.#sizes.disconnect();
    clearTimeout(this.#calm);
    this.#thumbs.pause(false);
    this.removeEventListener('scroll', this.#scrolled);
    this.#thumbs.want(null, []);
  }

  #measure() {
    this.#width = this.clientWidth;
    this.#height = this.clientHeight;
    const side = this.#width < NARROW ? Math.min(this.side, 96) : this.side;
    this.columns = Math.max(1, Math.floor((this.#width + GAP) / (side + GAP)));
    this.#scrolled();
    this.requestUpdate();
  }

  /** Pixels from one thumbnail to the next. */
  get #step() {
    return (this.#width + GAP) / this.columns;
  }

  #scrolled = () => {
    const row = Math.floor(this.scrollTop / this.#step) - SPARE;
    this.first = this.rows ? 0 : Math.max(0, row) * this.columns;
    const far = Math.abs(this.scrollTop - this.#top);
    this.#top = this.scrollTop;
    clearTimeout(this.#calm);
    this.#thumbs.pause(far * SEEN_FRAMES > this.#height);
    this.#calm = window.setTimeout(() => this.#thumbs.pause(false), CALM);
  };

  /** How many cells there are, at most. */
  get #room() {
    return (this.rows ?? Math.ceil(this.#height / this.#step) + 2 * SPARE + 1) * this.columns;
  }

  /** @returns {[number, number]} the first that exists, and the one after the last */
  get #range() {
    if (!this.columns) return [0, 0];
    // At the end all cells are full, too.
    const last = Math.ceil(this.items.length / this.columns) * this.columns - this.#room;
    const begin = this.rows ? 0 : Math.max(0, Math.min(this.first, last));
    return [begin, Math.min(this.items.length, begin + this.#room)];
  }

  /** @param {string} name @param {unknown} detail */
  #say(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  /** @param {number} at @param {MouseEvent} event */
  #press(at, event) {
    this.#at = at;
    const { id } = this.items[at];
    const ring = event.composedPath().some((part) => part instanceof Element && part.className === 'ring');
    if (event.shiftKey) this.#reach(at);
    else if (ring || event.ctrlKey || event.metaKey || this.selected.size) this.#toggle(at);
    else this.#say('fl-open', id);
  }

  /** @param {number} at */
  #toggle(at) {
    const next = new Set(this.selected);
    const { id } = this.items[at];
    if (!next.delete(id)) next.add(id);
    this.#from = at;
    this.#say('fl-select', next);
  }

  /** The last one that keys come to: not the one that "+5" lies over. */
  get #last() {
    const { length } = this.items;
    const end = this.rows ? this.#range[1] : length;
    return end - (end < length ? 2 : 1);
  }

  /** Everything from where the selection began. @param {number} at */
  #reach(at) {
    const [low, high] = [Math.min(at, this.#from), Math.max(at, this.#from)];
    this.#say('fl-select', new Set([...this.selected, ...this.items.slice(low, high + 1).map(({ id }) => id)]));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { key, shiftKey } = event;
    const page = Math.max(1, Math.floor(this.#height / this.#step)) * this.columns;
    /** @type {Record<string, number>} */
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, PageUp: -page, PageDown: page };
    const last = this.#last;
    if (key in steps || key === 'Home' || key === 'End') {
      const to = { Home: 0, End: last }[key] ?? this.#at + steps[key];
      const at = Math.max(0, Math.min(last, to));
      this.#go(at);
      if (shiftKey) this.#reach(at);
    } else if (key === ' ') this.#toggle(this.#at);
    else if (key === 'Enter') this.#say('fl-open', this.items[this.#at].id);
    else if (key === 'Delete' || key === 'Backspace') {
      this.#say('fl-delete', this.selected.size ? [...this.selected] : [this.items[this.#at].id]);
    } else if (key === 'a' && (event.ctrlKey || event.metaKey)) {
      this.#say('fl-select', new Set(this.items.map(({ id }) => id)));
    } else if (key === 'Escape' && this.selected.size) this.#say('fl-select', new Set());
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The keys go to this photo, which comes into sight. @param {number} at */
  async #go(at) {
    this.#at = at;
    if (!this.rows) {
      const top = Math.floor(at / this.columns) * this.#step;
      if (top < this.scrollTop) this.scrollTop = top;
      if (top + this.#step > this.scrollTop + this.#height) this.scrollTop = top + this.#step - this.#height;
      this.#scrolled();
    }
    this.requestUpdate();
    await this.updateComplete;
    this.take();
  }

  /** The photo of the keys takes them. */
  take() {
    /** @type {HTMLElement | null} */ (this.renderRoot.querySelector(`[data-at='${this.#at}']`))?.focus({ preventScroll: true });
  }

  /** @param {number} at @param {DragEvent} event */
  #drag(at, { dataTransfer }) {
    const { id } = this.items[at];
    dataTransfer?.setData(PHOTOS, JSON.stringify(this.selected.has(id) ? [...this.selected] : [id]));
    if (dataTransfer) dataTransfer.effectAllowed = 'move';
  }

  /** While it is scrolled, most cells stay as they are: those are not looked at. @param {Example} item @param {number} at */
  #cell(item, at) {
    const { id } = item;
    const url = this.#thumbs.url(id);
    const twin = this.twins.has(id);
    const selected = this.selected.has(id);
    const next = at === this.#at;
    const covered = at > this.#last;
    const step = this.#step;
    return html`${guard([item, at, url, twin, selected, next, covered, step, this.columns, this.items.length], () => {
      const words = [item.name, item.held ? 'only for testing' : '', twin ? 'looks like another' : ''].filter(Boolean).join(', ');
      return html`
      <div class="cell" role="option" tabindex=${next ? 0 : -1} data-at=${at} draggable="true" title=${item.name} ?inert=${covered}
        aria-selected=${selected} aria-label=${words} aria-posinset=${at + 1} aria-setsize=${this.items.length}
        @click=${(/** @type {MouseEvent} */ event) => this.#press(at, event)}
        @dragstart=${(/** @type {DragEvent} */ event) => this.#drag(at, event)} @focus=${() => { this.#at = at; }}
        ${vars({ transform: `translate(${(at % this.columns) * step}px, ${Math.floor(at / this.columns) * step}px)` })}>
        <img src=${url ?? nothing} ?hidden=${!url} alt="" decoding="async" draggable="false">
        ${this.rows ? nothing : html`<div class="ring"><span>${icons.check}</span></div>`}
        ${item.held || twin ? html`<div class="marks">
          ${item.held ? html`<span>${icons.test}</span>` : nothing}${twin ? html`<span>${icons.twins}</span>` : nothing}
        </div>` : nothing}
      </div>`;
    })}`;
  }

  /** @override @param {Map<PropertyKey, unknown>} changed */
  willUpdate(changed) {
    this.#keys.before(this.shadowRoot);
    if (changed.has('items')) {
      const before = /** @type {Example[] | undefined} */ (changed.get('items'));
      this.#at = this.#moved(before, this.#at);
      this.#from = this.#moved(before, this.#from);
    }
    const [begin, end] = this.#range;
    this.#thumbs.want(this.isConnected ? this.session : null, this.items.slice(begin, end).map(({ id }) => id));
  }

  /** Where a photo is now. One that has gone is where the next one is. @param {Example[] | undefined} before @param {number} at */
  #moved(before, at) {
    const id = before?.[at]?.id;
    const now = id === undefined || this.items[at]?.id === id ? at : this.items.findIndex((one) => one.id === id);
    return Math.max(0, Math.min(now < 0 ? at : now, this.items.length - 1));
  }

  /** @override */
  updated() {
    // A cell that shows another photo now has not taken the focus with it.
    const active = /** @type {ShadowRoot} */ (this.renderRoot).activeElement;
    if (active instanceof HTMLElement && active.className === 'cell' && active.dataset.at !== `${this.#at}`) this.take();
    else if (this.#keys.gone()) this.take(); // the last one has gone
  }

  /** The cells in their places: that of the photo at `i` is `i` modulo their number. @param {number} begin @param {number} end */
  #cells(begin, end) {
    const room = Math.max(1, this.#room);
    return Array.from({ length: Math.min(room, this.items.length) }, (_, cell) => {
      const at = begin + (cell - begin % room + room) % room;
      return at < end ? this.#cell(this.items[at], at) : nothing;
    });
  }

  /** @override */
  render() {
    const [begin, end] = this.#range;
    const rows = Math.ceil((this.rows ? end : this.items.length) / Math.max(1, this.columns));
    const rest = this.rows ? this.items.length - end : 0;
    // The focus stays within reach: where the photo of the keys is out of sight, the first one seen is next.
    if (this.#at < begin || this.#at > Math.min(this.#last, end - 1)) this.#at = begin;
    return html`
      <div class="all ${this.selected.size ? 'picking' : ''}"
        ${vars({ '--height': `${Math.max(0, rows * this.#step - GAP) || 0}px`, '--side': `${this.#step - GAP}px` })}>
        ${this.items.length ? html`<div role="listbox" aria-multiselectable="true" aria-label=${this.label} @keydown=${this.#key}>
          ${this.#cells(begin, end)}
        </div>` : nothing}
        ${rest ? html`<button class="rest number" aria-label="+${rest + 1}, show all ${this.items.length} photos"
          @click=${() => this.#say('fl-all', null)}>+${rest + 1}</button>` : nothing}
      </div>`;
  }
}

customElements.define('fl-grid', FlGrid);
