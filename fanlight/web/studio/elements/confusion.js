import { css, html, nothing } from 'lit';
import { icons } from './icons.js';
import { shared, vars } from './theme.js';
import { Watch } from './watch.js';
import { count } from './words.js';
import { percent } from './figures.js';
import { Patient } from './patient.js';
import './photos.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { ClassInfo, Report } from '../types.js'
 * @import { Teacher } from './teacher.js'
 */

/**
 * `<fl-confusion>`: what each class was taken for. A cell shows its photos; arrow keys go from cell to cell.
 *
 * - `report`: of `session.evaluate`
 * - `session`: names of the classes, and the photos
 */
export class Confusion extends Patient {
  /** @override */
  static properties = { report: { attribute: false }, session: { attribute: false }, _open: { state: true }, _at: { state: true } };

  /** @override */
  static styles = [shared, css`
    :host { container-type: inline-size; }
    .both { display: grid; gap: var(--s4); grid-template-columns: minmax(0, 1fr); align-items: start; }
    @container (min-width: 44rem) { .both.open { grid-template-columns: minmax(0, 1fr) minmax(16rem, 24rem); } }
    .scroll { overflow: auto; max-height: 34rem; padding: 3px; }
    table { border-collapse: separate; border-spacing: 3px; }
    th { padding: 0.25rem var(--s2); font-weight: 500; font-size: 0.875rem; text-align: left; }
    thead th { vertical-align: bottom; max-width: 7rem; overflow-wrap: anywhere; text-align: center; }
    tbody th { position: sticky; left: 0; z-index: 1; max-width: 8.5rem; overflow-wrap: anywhere; background: var(--paper); }
    .name { display: inline-flex; align-items: center; gap: var(--s2); }
    td { padding: 0; }
    td button { width: 100%; min-width: 3.5rem; min-height: 3rem; padding: 0 var(--s2); border-color: transparent; border-radius: var(--r1);
      font-variant-numeric: tabular-nums;
      background: color-mix(in oklab, var(--hue) calc(var(--share) * 34% + 6%), var(--card)); }
    td button:hover { background: color-mix(in oklab, var(--hue) calc(var(--share) * 34% + 12%), var(--card)); }
    td button.none { background: var(--well); color: var(--soft); }
    td button[aria-expanded='true'] { border: 2px solid var(--ink); }
    .right { --hue: var(--good); }
    .wrong { --hue: var(--bad); }
    .corner { color: var(--soft); }
    .panel { display: grid; gap: var(--s3); }
    .panel header { display: flex; gap: var(--s2); align-items: start; justify-content: space-between; }
    @media (forced-colors: active) { td button { border: 1px solid; } }
  `];

  constructor() {
    super();
    /** @type {Report | null} */
    this.report = null;
    /** @type {Teacher | null} */
    this.session = null;
    /** The cell whose photos are shown. @type {[number, number] | null} */
    this._open = null;
    /** The cell that Tab comes to. @type {[number, number]} */
    this._at = [0, 0];
    new Watch(this, ['change']); // names
  }

  /** @override @param {PropertyValues} changed */
  willUpdate(changed) {
    if (!changed.has('report')) return;
    this._open = null;
    this._at = this.#worst() ?? [0, 0];
  }

  /** The cell of most mistakes: the first that is worth a look. @returns {[number, number] | null} */
  #worst() {
    /** @type {[number, number] | null} */
    let found = null;
    let most = 0;
    this.report?.confusion.forEach((row, i) => row.forEach((n, j) => {
      if (i !== j && n > most) [most, found] = [n, [i, j]];
    }));
    return found;
  }

  /** @type {ClassInfo[]} */
  get #classes() {
    const known = this.session?.classes ?? [];
    return (this.report?.perClass ?? []).map(({ class: id }) => (
      known.find((c) => c.id === id) ?? { id, name: 'a class that is gone', color: '#888888' }));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const length = this.report?.confusion.length ?? 0;
    const [i, j] = this._at;
    /** @type {Record<string, [number, number]>} */
    const to = {
      ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], Home: [i, 0], End: [i, length - 1],
    };
    if (event.key === 'Escape' && this._open) this.#close();
    if (!to[event.key]) return;
    event.preventDefault();
    const [row, column] = to[event.key].map((n) => Math.max(0, Math.min(length - 1, n)));
    this.#focus([row, column]);
  }

  /** @param {[number, number]} cell */
  async #focus(cell) {
    this._at = cell;
    await this.updateComplete;
    /** @type {HTMLElement | null} */ (this.renderRoot.querySelector('td [tabindex="0"]'))?.focus();
  }

  #close() {
    const cell = this._open;
    this._open = null;
    if (cell) this.#focus(cell);
  }

  /** What a cell says, in words. @param {number} i @param {number} j */
  #words(i, j) {
    const [real, said] = [this.#classes[i].name, this.#classes[j].name];
    const n = /** @type {Report} */ (this.report).confusion[i][j];
    return i === j ? `${count(n, 'photo')} of ${real}, rightly told` : `${count(n, 'photo')} of ${real}, taken for ${said}`;
  }

  /** @param {number} i @param {number} j @param {number} n @param {number} all */
  #cell(i, j, n, all) {
    const [oi, oj] = this._open ?? [];
    const open = oi === i && oj === j;
    return html`<td><button type="button" tabindex=${this._at[0] === i && this._at[1] === j ? 0 : -1}
      class="${i === j ? 'right' : 'wrong'} ${n ? '' : 'none'}" aria-expanded=${open ? 'true' : 'false'} aria-label=${this.#words(i, j)}
      ${vars({ '--share': all ? n / all : 0 })}
      @click=${() => { this._at = [i, j]; this._open = open || !n ? null : [i, j]; }}>${n || '·'}</button></td>`;
  }

  #panel() {
    if (!this._open) return nothing;
    const [i, j] = this._open;
    const ids = this.report?.cells[i][j] ?? [];
    return html`<section class="well panel" aria-label=${this.#words(i, j)}>
      <header><h3 class="break">${i === j ? html`${this.#classes[i].name}: rightly told` : html`${this.#classes[i].name} taken for ${this.#classes[j].name}`}
        <span class="soft">(${ids.length})</span></h3>
        <button type="button" class="icon quiet" aria-label="Close" @click=${this.#close}>${icons.close}</button></header>
      <fl-photos .session=${this.session} .ids=${ids} .classes=${this.#classes}></fl-photos>
    </section>`;
  }

  /** @override */
  render() {
    const { report } = this;
    if (!report?.count) return nothing;
    const classes = this.#classes;
    const wrong = report.confusion.flatMap((row, i) => row.filter((_, j) => i !== j)).reduce((a, b) => a + b, 0);
    return html`<div class="both ${this._open ? 'open' : ''}">
      <div class="stack">
        <p class="soft small">${wrong ? html`Each row is what the photos are, each column what it says. Press a number to see its photos.` : html`Every photo is where it belongs. Press a number to see its photos.`}</p>
        <div class="scroll"><table @keydown=${this.#key}>
          <caption class="hidden-text">What each class was taken for, of ${count(report.count, 'photo')}, ${percent(report.accuracy)} right</caption>
          <thead><tr><th class="corner small" scope="col">is ↓ says →</th>${classes.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
          <tbody>${report.confusion.map((row, i) => {
            const all = row.reduce((a, b) => a + b, 0);
            return html`<tr><th scope="row"><span class="name"><span class="dot" ${vars({ '--color': classes[i].color })}></span>${classes[i].name}</span></th>
              ${row.map((n, j) => this.#cell(i, j, n, all))}</tr>`;
          })}</tbody>
        </table></div>
      </div>
      ${this.#panel()}
    </div>`;
  }
}

customElements.define('fl-confusion', Confusion);
