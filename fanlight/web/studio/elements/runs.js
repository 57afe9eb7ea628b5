import { css, html, nothing } from 'lit';
import { DEFAULTS } from '../learning.js';
import { percent } from './figures.js';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared } from './theme.js';
import { count, problem, seconds, tell } from './words.js';
/**
 * @import { Run, Settings } from '../types.js'
 * @import { Teacher } from './teacher.js'
 */

/** What settings are called. @type {Record<string, (v: any) => string>} */
const NAMES = {
  head: (v) => `head: ${({ linear: 'simple', hidden: 'deeper', neighbours: 'by example' })[/** @type {Settings['head']} */ (v)] ?? v}`,
  unfreeze: (v) => (v ? `its last ${v === 1 ? 'part' : `${v} parts`} changed, too` : 'nothing else changed'),
  epochs: (v) => count(v, 'round'),
  batchSize: (v) => `${v} photos at once`,
  learningRate: (v) => `step ${v}`,
  schedule: (v) => `${v} steps`,
  validationSplit: (v) => `${percent(v)} kept for checking`,
  patience: (v) => (v ? `stops after ${v} without gain` : 'never stops by itself'),
  neighbours: (v) => `asks ${count(v, 'photo')}`,
  copies: (v) => (v ? `${v} altered copies` : 'no altered copies'),
  rotate: (v) => `turned ${v}°`,
  shift: (v) => `moved ${percent(v)}`,
  zoom: (v) => `zoom ${percent(v)}`,
  flip: (v) => (v ? 'mirrored' : 'not mirrored'),
  brightness: (v) => `light ${percent(v)}`,
};

/** Settings as one flat list. @param {Settings} settings @returns {Record<string, unknown>} */
const flat = ({ augment, ...settings }) => ({ ...settings, ...augment });

/** Whether a setting mattered to what was learnt. @param {Settings} settings @param {string} name */
const mattered = ({ head, augment }, name) => {
  if (['head', 'unfreeze', 'validationSplit'].includes(name)) return true;
  if (head === 'neighbours' || name === 'neighbours') return head === name;
  return name === 'copies' || !Object.hasOwn(augment, name) || augment.copies > 0;
};

/** What is not as usual, in words. @param {Settings} settings */
export const differences = (settings) => {
  const usual = flat(DEFAULTS);
  return Object.entries(flat(settings))
    .filter(([name, value]) => NAMES[name] && mattered(settings, name) && value !== usual[name]).map(([name, value]) => NAMES[name](value));
};

/** `2026-11-28 09:05`, by the clock of here. `Intl` takes 30 ms to wake, in the moment in which a training ends. @param {Date} at */
const when = (at) => {
  const [year, month, day, hour, minute] = [at.getFullYear(), at.getMonth() + 1, at.getDate(), at.getHours(), at.getMinutes()]
    .map((n) => `${n}`.padStart(2, '0'));
  return `${year}-${month}-${day} ${hour}:${minute}`;
};

/** @type {Record<Run['stopped'], string>} */
const ENDS = { done: '', early: 'stopped by itself', cancelled: 'stopped' };

/** @param {Run} run */
const accuracyOf = ({ report, history }) => report?.accuracy ?? (history.val_accuracy ?? history.accuracy)?.at(-1);

/**
 * `<fl-runs>`: trainings that were done, the newest first; the settings of each can be taken up again.
 *
 * - `session`, `runs`
 */
export class Runs extends Patient {
  /** @override */
  static properties = { session: { attribute: false }, runs: { attribute: false } };

  /** @override */
  static styles = [shared, css`
    :host { container-type: inline-size; }
    table { width: 100%; border-collapse: collapse; }
    th { padding: 0.25rem var(--s3) 0.25rem 0; color: var(--soft); font-weight: 500; font-size: 0.875rem; text-align: left; white-space: nowrap; }
    td { padding: var(--s2) var(--s3) var(--s2) 0; border-top: 1px solid var(--line); vertical-align: middle; }
    td:last-child, th:last-child { padding-right: 0; text-align: right; }
    time, strong { white-space: nowrap; }
    button { white-space: nowrap; }
    @container (max-width: 36rem) {
      thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
      tbody, tr, td { display: block; }
      tr { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 var(--s3); padding: var(--s3) 0; border-top: 1px solid var(--line); }
      td { padding: 0; border: 0; }
      td.wide { grid-column: 1 / -1; }
    }
  `];

  constructor() {
    super();
    /** @type {Teacher | null} */
    this.session = null;
    /** @type {Run[]} */
    this.runs = [];
  }

  /** @param {Run} run */
  #restore({ settings: { mirror, threshold, ...settings } }) {
    const { session } = this;
    if (!session) return;
    const before = session.settings;
    session.configure(settings).catch((error) => problem(this, error));
    tell(this, 'These settings are back. Train to use them.', {
      label: 'Undo',
      act: () => session.configure(before),
    });
  }

  /** @override */
  render() {
    const runs = this.runs.toReversed();
    return html`<table>
      <thead><tr><th scope="col">When</th><th scope="col">Right</th><th scope="col">Took</th><th scope="col">Settings</th><th scope="col"><span class="hidden-text">Use again</span></th></tr></thead>
      <tbody>${runs.map((run) => {
        const accuracy = accuracyOf(run);
        const other = differences(run.settings);
        const at = new Date(run.at);
        return html`<tr>
          <td><time datetime=${at.toISOString()}>${when(at)}</time></td>
          <td class="number"><strong>${accuracy === undefined ? '–' : percent(accuracy)}</strong>${run.report?.count ? html` <span class="soft small">of ${run.report.count}${run.measured === 'all' ? ' it learnt from' : ''}</span>` : nothing}</td>
          <td class="soft small number">${seconds(run.seconds)}, ${count(run.examples, 'photo')}${ENDS[run.stopped] ? `, ${ENDS[run.stopped]}` : ''}</td>
          <td class="soft small wide">${other.length ? other.join(', ') : 'as usual'}</td>
          <td class="wide"><button type="button" class="quiet" aria-label="Use again: settings of ${when(at)}" @click=${() => this.#restore(run)}>${icons.undo} Use again</button></td>
        </tr>`;
      })}</tbody></table>`;
  }
}

customElements.define('fl-runs', Runs);
