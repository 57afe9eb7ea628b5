import { css, html } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { percent } from './figures.js';
import { Patient } from './patient.js';
import { shared, vars } from './theme.js';
/** @import { Answer, ClassInfo } from '../types.js' */

/** Of more classes, the likeliest are shown. */
const MANY = 8;

/**
 * `<fl-bars>`: how sure it is of each class. Few classes keep their places, so that bars do not jump.
 *
 * - `results`: of an `Answer`, the likeliest first
 * - `classes`: their colours and order
 * - `threshold`: a mark at what counts as sure
 */
export class Bars extends Patient {
  /** @override */
  static properties = { results: { attribute: false }, classes: { attribute: false }, threshold: { type: Number } };

  /** @override */
  static styles = [shared, css`
    ul { display: grid; gap: var(--s3); }
    li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: var(--s1) var(--s3); }
    li.best { font-weight: 650; }
    .track { position: relative; grid-column: 1 / -1; }
    .bar { display: block; height: 0.875rem; }
    .bar::before { border-radius: 0; transition-duration: 0.1s; }
    .mark { position: absolute; top: -0.25rem; bottom: -0.25rem; left: calc(var(--at) * 100%); width: 2px; margin-left: -1px; background: var(--ink); opacity: 0.55; }
    @media (forced-colors: active) { .mark { background: CanvasText; opacity: 1; forced-color-adjust: none; } }
  `];

  constructor() {
    super();
    /** @type {Answer['results']} */
    this.results = [];
    /** @type {ClassInfo[]} */
    this.classes = [];
    this.threshold = 0;
  }

  #rows() {
    const best = this.results.slice(0, MANY);
    if (this.classes.length > MANY) {
      return best.map((result) => ({ ...result, color: this.classes.find(({ id }) => id === result.class)?.color ?? '#888888' }));
    }
    const scores = new Map(this.results.map((result) => [result.class, result.score]));
    return this.classes.map(({ id, name, color }) => ({ class: id, label: name, color, score: scores.get(id) ?? 0 }));
  }

  /** @override */
  render() {
    const best = this.results[0]?.class;
    return html`<ul aria-label="How sure it is of each class">${repeat(this.#rows(), (row) => row.class, ({ class: id, label, color, score }) => html`
      <li class=${id === best ? 'best' : ''}><span class="break">${label}</span><span class="number">${this.results.length ? percent(score) : '–'}</span>
        <span class="track"><span class="bar" ${vars({ '--share': score, '--color': color })}></span>
        ${this.threshold > 0 ? html`<span class="mark" ${vars({ '--at': this.threshold })}></span>` : ''}</span></li>`)}</ul>`;
  }
}

customElements.define('fl-bars', Bars);
