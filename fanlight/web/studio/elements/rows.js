import { LitElement, css, html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { percent } from './figures.js';
import { shared, vars } from './theme.js';
import { plain } from './words.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { ClassInfo } from '../types.js'
 * @import { Row } from '../tagging.js'
 */

/** Rows beyond the edge that are there already. */
const MORE = 4;
const THUMB = 96;
/** Thumbnails that are kept: those of a few screens. */
const KEPT = 240;

/** Small pictures of files; the last ones that were looked at are kept. */
class Thumbs {
  /** @type {Map<number, ImageBitmap | null>} */
  #kept = new Map();
  /** @type {{ row: Row, done: (bitmap: ImageBitmap) => void }[]} */
  #wanted = [];
  #busy = 0;

  /** @param {Row} row */
  get({ id }) {
    const bitmap = this.#kept.get(id);
    if (bitmap) {
      this.#kept.delete(id);
      this.#kept.set(id, bitmap);
    }
    return bitmap;
  }

  /** The newest first: what was scrolled past is no longer wanted. @param {Row} row @param {(bitmap: ImageBitmap) => void} done */
  ask(row, done) {
    this.#wanted = this.#wanted.filter((other) => other.row !== row).slice(-40);
    this.#wanted.push({ row, done });
    this.#next();
  }

  async #next() {
    const wanted = this.#busy < 2 ? this.#wanted.pop() : undefined;
    if (!wanted) return;
    this.#busy++;
    const { row, done } = wanted;
    try {
      const bitmap = await createImageBitmap(row.file, { resizeHeight: THUMB, resizeQuality: 'medium' });
      this.#kept.set(row.id, bitmap);
      for (const [id, old] of this.#kept) {
        if (this.#kept.size <= KEPT) break;
        old?.close();
        this.#kept.delete(id);
      }
      done(bitmap);
    } catch {
      this.#kept.set(row.id, null); // the table says what is wrong with it
    } finally {
      this.#busy--;
      this.#next();
    }
  }

  clear() {
    for (const bitmap of this.#kept.values()) bitmap?.close();
    this.#kept.clear();
    this.#wanted = [];
  }
}

/**
 * `<fl-rows>`: photos and their tags, as a table of which only the rows in sight are there. Says `fl-pick` (detail:
 * ids of rows) and `fl-correct` (detail: { ids, tag }).
 *
 * Keys: arrows, Page Up and Down, Home and End go from row to row; Space picks; 1 to 9 tag with a class, 0 with none.
 *
 * - `rows`, `classes`
 * - `picked`: a set of ids
 */
export class Rows extends LitElement {
  /** @override */
  static properties = {
    rows: { attribute: false }, classes: { attribute: false }, picked: { attribute: false }, version: { type: Number },
    _first: { state: true }, _many: { state: true }, _at: { state: true }, _high: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    :host { container-type: inline-size; min-height: 0; }
    .scroll { position: relative; height: min(70vh, 40rem); overflow-y: auto; border: 1px solid var(--line); border-radius: var(--r2); background: var(--card); contain: strict; overflow-anchor: none; }
    .head { position: sticky; top: 0; z-index: 2; background: var(--well); color: var(--soft); font-size: 0.875rem; }
    .head, .line { display: grid; align-items: center; gap: 0 var(--s3); padding: 0 var(--s3); grid-template-columns: 2.25rem 3.5rem minmax(0, 1fr) minmax(9rem, 15rem) 5rem; }
    .head { height: 2.25rem; }
    .space { position: relative; }
    .line { position: absolute; inset: 0 0 auto; height: 4.25rem; border-bottom: 1px solid var(--line); transform: translateY(var(--y)); }
    .line:focus-visible { outline-offset: -3px; }
    .line.picked { background: var(--wash); }
    .pick { min-width: 2.25rem; margin-left: -0.5rem; }
    .pick label { display: grid; place-content: center; min-height: var(--touch); cursor: pointer; }
    canvas { width: 3.5rem; height: 3.5rem; border-radius: var(--r1); background: var(--well); object-fit: cover; }
    .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .what { display: grid; min-width: 0; }
    select { width: 100%; }
    select.unsure { border-style: dashed; color: var(--soft); }
    .end { text-align: right; }
    @container (max-width: 40rem) {
      .head { display: none; }
      .line { height: 7.25rem; grid-template-columns: 2.25rem 3.5rem minmax(0, 1fr) auto; grid-template-rows: 3.25rem 3rem; align-content: center; }
      .pick, .thumb { grid-row: 1 / 3; }
      .tag { grid-column: 3 / -1; grid-row: 2; }
      .end { grid-column: 4; grid-row: 1; }
    }
  `];

  #thumbs = new Thumbs();
  #sizes = new ResizeObserver(() => this.#measure());

  constructor() {
    super();
    /** @type {Row[]} */
    this.rows = [];
    /** @type {ClassInfo[]} */
    this.classes = [];
    /** @type {Set<number>} */
    this.picked = new Set();
    /** Counted up where rows have changed inside. */
    this.version = 0;
    this._first = 0;
    this._many = 12;
    /** The row that Tab comes to. */
    this._at = 0;
    /** Pixels of a row. */
    this._high = 68;
  }

  /** @override */
  firstUpdated() {
    this.#sizes.observe(/** @type {Element} */ (this.renderRoot.querySelector('.scroll')));
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    this.#thumbs.clear();
  }

  get #box() {
    return /** @type {HTMLElement} */ (this.renderRoot.querySelector('.scroll'));
  }

  #measure() {
    const box = this.#box;
    if (!box?.clientHeight) return;
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    this._high = (box.clientWidth <= 40 * rem ? 7.25 : 4.25) * rem;
    this._many = Math.ceil(box.clientHeight / this._high) + 2 * MORE;
    this.#scroll();
  }

  #scroll() {
    this._first = Math.max(0, Math.min(this.rows.length - this._many, Math.floor(this.#box.scrollTop / this._high) - MORE));
  }

  /** @override @param {PropertyValues} changed */
  willUpdate(changed) {
    if (!changed.has('rows')) return;
    this._at = Math.max(0, Math.min(this._at, this.rows.length - 1));
    this._first = Math.max(0, Math.min(this._first, this.rows.length - this._many));
  }

  /** @override */
  updated() {
    for (const canvas of this.renderRoot.querySelectorAll('canvas')) {
      const row = this.rows[Number(canvas.dataset.index)];
      if (!row || canvas.dataset.drawn === String(row.id)) continue;
      const draw = (/** @type {ImageBitmap} */ bitmap) => {
        if (Number(canvas.dataset.id) !== row.id) return;
        const context = canvas.getContext('2d');
        const side = Math.min(bitmap.width, bitmap.height);
        context?.clearRect(0, 0, THUMB, THUMB);
        context?.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, THUMB, THUMB);
        canvas.dataset.drawn = String(row.id);
      };
      const kept = this.#thumbs.get(row);
      if (kept) draw(kept);
      else {
        canvas.getContext('2d')?.clearRect(0, 0, THUMB, THUMB);
        canvas.dataset.drawn = '';
        if (kept === undefined) this.#thumbs.ask(row, draw);
      }
    }
  }

  /** @param {number} id */
  #pick(id) {
    const picked = new Set(this.picked);
    if (!picked.delete(id)) picked.add(id);
    this.dispatchEvent(new CustomEvent('fl-pick', { detail: picked }));
  }

  /** @param {Iterable<number>} ids @param {string | null} tag */
  #correct(ids, tag) {
    this.dispatchEvent(new CustomEvent('fl-correct', { detail: { ids: [...ids], tag } }));
  }

  /** Go to a row, wherever it is. @param {number} index */
  async focusRow(index) {
    this._at = Math.max(0, Math.min(this.rows.length - 1, index));
    const box = this.#box;
    const [top, head] = [this._at * this._high, /** @type {HTMLElement} */ (this.renderRoot.querySelector('.head')).offsetHeight];
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + this._high + head > box.scrollTop + box.clientHeight) box.scrollTop = top + this._high + head - box.clientHeight;
    this.#scroll();
    await this.updateComplete;
    /** @type {HTMLElement | null} */ (this.renderRoot.querySelector(`[data-row="${this._at}"]`))?.focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const row = this.rows[this._at];
    if (target.dataset.row === undefined || !row || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.#box.clientHeight / this._high) - 1);
    /** @type {Record<string, number>} */
    const to = {
      ArrowUp: this._at - 1, ArrowDown: this._at + 1, PageUp: this._at - page, PageDown: this._at + page, Home: 0, End: this.rows.length - 1,
    };
    if (event.key in to) this.focusRow(to[event.key]);
    else if (event.key === ' ') this.#pick(row.id);
    else if (event.key === '0') this.#correct(this.picked.has(row.id) ? this.picked : [row.id], null);
    else if (/^[1-9]$/.test(event.key) && this.classes[Number(event.key) - 1]) {
      this.#correct(this.picked.has(row.id) ? this.picked : [row.id], this.classes[Number(event.key) - 1].id);
    } else return;
    event.preventDefault();
  }

  /** @param {Row} row @param {number} index */
  #line(row, index) {
    const picked = this.picked.has(row.id);
    const said = this.classes.find(({ id }) => id === row.said)?.name;
    const parts = row.path.split('/');
    const name = parts.pop();
    const state = row.state === 'refused' ? plain(row.error)
      : row.corrected ? `put right by you${said && row.said !== row.tag ? `; it said ${said}` : ''}`
      : row.state === 'done' && !row.sure && said ? `perhaps ${said}` : '';
    const about = [state, parts.join('/')].filter(Boolean).join(' · ');
    return html`<div class="line ${picked ? 'picked' : ''}" role="row" aria-rowindex=${index + 2} aria-selected=${picked ? 'true' : 'false'} data-row=${index}
      tabindex=${index === this._at ? 0 : -1} @focusin=${() => { this._at = index; }} ${vars({ '--y': `${index * this._high}px` })}>
      <span role="gridcell" class="pick"><label><input type="checkbox" tabindex="-1" aria-label="Pick ${row.path}" .checked=${picked} @change=${() => this.#pick(row.id)}></label></span>
      <span role="gridcell" class="thumb"><canvas width=${THUMB} height=${THUMB} data-index=${index} data-id=${row.id} role="img" aria-label="Small picture"></canvas></span>
      <span role="gridcell" class="what"><span class="name" title=${row.path}>${name}</span>
        ${about ? html`<span class="soft small name" title=${about}>${about}</span>` : nothing}</span>
      <span role="gridcell" class="tag">${row.state === 'refused' ? nothing : row.state === 'waiting' && !row.corrected ? html`<span class="soft small">waiting</span>` : html`
        <select aria-label="Tag of ${row.path}" class=${row.tag === null ? 'unsure' : ''} tabindex=${index === this._at ? 0 : -1} @change=${(/** @type {Event} */ event) => this.#correct([row.id], /** @type {HTMLSelectElement} */ (event.target).value || null)}>
          <option value="" .selected=${row.tag === null}>not sure</option>
          ${this.classes.map(({ id, name }) => html`<option value=${id} .selected=${id === row.tag}>${name}</option>`)}
        </select>`}</span>
      <span role="gridcell" class="number end">${row.state === 'done' && row.said !== null && row.said === (row.tag ?? row.said) ? percent(row.score) : ''}</span>
    </div>`;
  }

  /** @override */
  render() {
    const rows = this.rows.slice(this._first, this._first + this._many).map((row, i) => ({ row, index: this._first + i }));
    return html`<div class="scroll" @scroll=${this.#scroll} @keydown=${this.#key}>
      <div role="grid" aria-label="Photos and their tags" aria-rowcount=${this.rows.length + 1} aria-multiselectable="true">
        <div class="head" role="row" aria-rowindex="1"><span role="columnheader"><span class="hidden-text">Picked</span></span><span role="columnheader"><span class="hidden-text">Picture</span></span><span role="columnheader">File</span><span role="columnheader">Tag</span><span role="columnheader" class="end">Score</span></div>
        <div class="space" role="rowgroup" ${vars({ height: `${this.rows.length * this._high}px` })}>${repeat(rows, ({ row }) => row.id, ({ row, index }) => this.#line(row, index))}</div>
      </div>
    </div>`;
  }
}

customElements.define('fl-rows', Rows);
