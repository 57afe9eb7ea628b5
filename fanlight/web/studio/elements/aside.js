import { css, html, nothing } from 'lit';
import { percent, rightOf } from './figures.js';
import { Patient } from './patient.js';
import { shared } from './theme.js';
import { Trash } from './trash.js';
import { Watch } from './watch.js';
import { count, problem, seconds } from './words.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { Example, Report } from '../types.js'
 * @import { Teacher } from './teacher.js'
 */

/** One in so many photos of each class is put aside. */
const ONE_IN = 5;
/** A class of fewer keeps them all. */
const FEWEST = 3;
/** Milliseconds after the last change. */
const CALM = 150;

/**
 * Which photos to put aside: of each class every fifth, by its hash, so that the order of adding does not matter.
 * @param {Example[]} examples @returns {string[]} ids
 */
export const chosen = (examples) => {
  /** @type {Map<string, Example[]>} */
  const classes = new Map();
  for (const example of examples) classes.set(example.class, [...classes.get(example.class) ?? [], example]);
  return [...classes.values()].filter((all) => all.length >= FEWEST).flatMap((all) => (
    all.toSorted((a, b) => (a.hash < b.hash ? -1 : 1)).slice(0, Math.ceil(all.length / ONE_IN)).map(({ id }) => id)));
};

/**
 * `<fl-aside>`: a switch that keeps some photos aside, and what they say of the model.
 *
 * - `session`
 */
export class Aside extends Patient {
  /** @override */
  static properties = { session: { attribute: false }, _busy: { state: true }, _report: { state: true }, _seen: { state: true } };

  /** @override */
  static styles = [shared, css`
    :host { display: grid; gap: var(--s2); }
    .nowrap { white-space: nowrap; }
    label { align-items: start; min-height: var(--touch); }
    input { flex: none; margin-top: 0.125rem; }
    .result { display: grid; gap: var(--s2); justify-items: start; }
  `];

  #turn = 0;
  #waiting = 0;

  constructor() {
    super();
    /** @type {Teacher | null} */
    this.session = null;
    this._busy = '';
    /** What photos that are put aside say. @type {Report | null} */
    this._report = null;
    /** Whether the model has learnt from them before. */
    this._seen = false;
    new Watch(this, ['change', 'trained', 'saved'], ({ type }) => {
      if (type === 'trained') this._seen = false;
      this.#later();
    });
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    this.#turn++;
    clearTimeout(this.#waiting);
  }

  /** @override @param {PropertyValues} changed */
  willUpdate(changed) {
    if (!changed.has('session')) return;
    this.#measure();
  }

  get #held() {
    return this.session?.examples.filter(({ held }) => held) ?? [];
  }

  /** Measure soon: many changes come at once. */
  #later() {
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => this.#measure(), CALM);
  }

  async #measure() {
    const turn = ++this.#turn;
    const { session } = this;
    if (this._busy) return; // it is asked again after that
    if (session?.busy) {
      this.#later();
      return;
    }
    if (!session?.trained || !this.#held.length) {
      this._report = null;
      this.requestUpdate();
      return;
    }
    try {
      const report = await session.evaluate('held');
      if (turn === this.#turn) this._report = report;
    } catch {
      if (turn === this.#turn) this._report = null; // a training goes on: it is asked again after that
    }
  }

  /** @param {Event} event */
  async #set(event) {
    const on = /** @type {HTMLInputElement} */ (event.target).checked;
    const { session } = this;
    if (!session) return;
    this._busy = on ? 'Putting photos aside' : 'Putting them back';
    try {
      await Trash.of(session).empty();
      await session.hold(on ? chosen(session.examples) : this.#held.map(({ id }) => id), on);
      this._seen = on && session.trained;
    } catch (error) {
      problem(this, error);
    } finally {
      this._busy = '';
    }
    this.#measure();
  }

  async #train() {
    const { session } = this;
    if (!session) return;
    this._busy = 'Learning without them';
    try {
      await Trash.of(session).empty();
      await session.train({}, { onEpoch: (epoch) => { this._busy = `Learning without them, round ${epoch + 1} of ${session.settings.epochs}`; } });
      this._seen = false;
    } catch (error) {
      problem(this, error);
    } finally {
      this._busy = '';
    }
    this.#measure();
  }

  /** @override */
  render() {
    const { session } = this;
    if (!session) return nothing;
    const held = this.#held.length;
    const enough = held > 0 || chosen(session.examples).length > 0;
    const report = this._report;
    return html`
      <label><input type="checkbox" role="switch" .checked=${held > 0} ?disabled=${Boolean(this._busy) || !enough} @change=${this.#set}>
        <span>Keep some photos aside to measure honestly<br><span class="soft small">${!enough ? `Once a class has ${FEWEST} photos or more.` : held ? `${count(held, 'photo')} aside. It never learns from them.` : `One in ${ONE_IN} of each class. It never learns from them.`}</span></span></label>
      ${this._busy ? html`<p class="note" role="status">${this._busy} …</p>`
      : this._seen ? html`<div class="note result"><p>It has already learnt from these photos. Train again without them, and the number is honest.</p>
          <button type="button" @click=${this.#train}>Train again <span class="soft small">(about ${seconds(session.project.runs.at(-1)?.seconds ?? 5)})</span></button></div>`
      : report?.count ? html`<p class="note good">Right on <strong class="number">${rightOf(report)}</strong> photos put aside: <span class="nowrap">${percent(report.accuracy)}.</span></p>` : nothing}`;
  }
}

customElements.define('fl-aside', Aside);
