import { css, html, nothing } from 'lit';
import { DEFAULTS } from '../learning.js';
import { icons } from './icons.js';
import { shared } from './theme.js';
import { percent } from './figures.js';
import { Patient } from './patient.js';
import './preview.js';
/**
 * @import { Settings } from '../types.js'
 * @import { Teacher } from './teacher.js'
 * @typedef {{ name: string, label: string, hint: string | ((s: Settings) => string), text: (v: any) => string, values?: any[], min?: number, max?: number, step?: number, of?: (s: Settings) => boolean }} Field
 */

const learns = (/** @type {Settings} */ s) => s.head !== 'neighbours';
const share = (/** @type {number} */ v) => (v ? percent(v) : 'none');

/** @type {Record<string, Field[]>} */
const GROUPS = {
  'How long': [
    { name: 'epochs', label: 'Rounds', min: 1, max: 200, step: 1, text: String, of: learns,
      hint: 'How often it goes through all photos. More takes longer; too many and it learns photos by heart.' },
    { name: 'patience', label: 'Stop by itself', values: [0, 3, 5, 10, 20], of: learns,
      text: (v) => (v ? `after ${v} rounds without gain` : 'never'),
      hint: (s) => `Ends before the last round when it no longer gets better on photos ${s.validationSplit ? 'kept for checking' : 'it learns from: none are kept for checking'}.` },
    { name: 'batchSize', label: 'Photos at once', values: [4, 8, 16, 32, 64, 128], text: String, of: learns,
      hint: 'It corrects itself after so many photos. Fewer: more often, but less steadily.' },
  ],
  'How it learns': [
    { name: 'learningRate', label: 'Size of a step', values: [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1], text: String, of: learns,
      hint: 'Larger learns faster, too large never settles. (Learning rate.)' },
    { name: 'schedule', label: 'Over time', values: ['constant', 'cosine', 'step'], of: learns,
      text: (v) => ({ constant: 'steps stay the same', cosine: 'steps shrink smoothly', step: 'ten times smaller in the last third' })[/** @type {Settings['schedule']} */ (v)],
      hint: 'Smaller steps towards the end give a calmer finish.' },
    { name: 'neighbours', label: 'Photos it asks', values: [1, 3, 5, 7, 9, 15], text: String, of: (s) => !learns(s),
      hint: 'The most similar photos vote. Odd numbers avoid ties.' },
    { name: 'validationSplit', label: 'Kept for checking', min: 0, max: 0.5, step: 0.05, text: share,
      hint: (s) => `This share is not learnt from. It says ${learns(s) ? 'after each round ' : ''}how well it goes with new photos.` },
  ],
};

/** @type {Field[]} */
const ALTERED = [
  { name: 'copies', label: 'Copies of each photo', min: 0, max: 8, step: 1, text: (v) => (v ? String(v) : 'none'),
    hint: 'Altered copies make up for few photos. Each makes training longer.' },
  { name: 'rotate', label: 'Turned', min: 0, max: 45, step: 5, text: (v) => (v ? `up to ${v}°` : 'not'), hint: 'For a camera that is not held straight.' },
  { name: 'shift', label: 'Moved', min: 0, max: 0.3, step: 0.05, text: (v) => (v ? `up to ${percent(v)}` : 'not'), hint: 'For things that are not in the middle.' },
  { name: 'zoom', label: 'Closer or farther', min: 0, max: 0.5, step: 0.05, text: (v) => (v ? `up to ${percent(v)}` : 'not'), hint: 'For things near and far.' },
  { name: 'brightness', label: 'Lighter or darker', min: 0, max: 0.5, step: 0.05, text: (v) => (v ? `up to ${percent(v)}` : 'not'), hint: 'For sun, shade and lamps.' },
];

/** @type {{ head: Settings['head'], name: string, hint: string }[]} */
const HEADS = [
  { head: 'linear', name: 'Simple', hint: 'Fast, and right for most. Start here.' },
  { head: 'hidden', name: 'Deeper', hint: 'For classes that are hard to tell apart. Likes more photos.' },
  { head: 'neighbours', name: 'By example', hint: 'Looks for your most similar photos. Good with very few.' },
];

const TUNED = ['No part of it', 'Its last part'];

/**
 * `<fl-settings>`: how a classifier is taught, each setting with a hint and a way back. Says `fl-settings`
 * (detail: the settings that are new) whenever one changes.
 *
 * - `settings`: those that are now
 * - `session`: which heads there are, and photos for the preview of altered copies
 */
export class SettingsForm extends Patient {
  /** @override */
  static properties = { settings: { attribute: false }, session: { attribute: false }, disabled: { type: Boolean } };

  /** @override */
  static styles = [shared, css`
    :host { container-type: inline-size; }
    form { display: grid; gap: var(--s5) var(--s6); grid-template-columns: minmax(0, 1fr); }
    @container (min-width: 46rem) {
      form { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
      .wide { grid-column: 1 / -1; }
    }
    fieldset { display: grid; gap: var(--s4); align-content: start; min-width: 0; grid-template-columns: minmax(0, 1fr); }
    legend { padding: 0; margin-bottom: var(--s3); font-weight: 650; }
    .heads { display: grid; gap: var(--s2); grid-template-columns: minmax(0, 1fr); }
    @container (min-width: 34rem) { .heads { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
    .head { display: grid; grid-template-columns: auto 1fr; align-items: start; align-content: start; gap: 0 var(--s2); padding: var(--s3);
      border: 1px solid var(--edge); border-radius: var(--r2); background: var(--card); cursor: pointer; }
    .head:has(:checked) { border-color: var(--accent); background: var(--wash); }
    .head:has(:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px; }
    .head:has(:disabled) { cursor: not-allowed; color: var(--soft); }
    .head input { margin-top: 0.125rem; outline: none; }
    .head span { grid-column: 2; }
    .field { display: grid; grid-template-columns: minmax(0, 1fr) auto; align-items: center; gap: 0 var(--s3); }
    .field > label { font-weight: 500; }
    .value { display: inline-flex; align-items: center; justify-content: flex-end; min-height: 2rem; text-align: right; }
    .field input[type='range'], .field select, .hint { grid-column: 1 / -1; }
    .field input[type='range'] { min-height: 2rem; }
    .field select { max-width: 28rem; margin: var(--s1) 0; }
    .reset { min-height: 2rem; padding: 0 var(--s2); color: var(--accent); font-size: 0.875rem; }
    .check { min-height: var(--touch); }
    .pair { display: grid; gap: var(--s4) var(--s6); grid-template-columns: minmax(0, 1fr); }
    @container (min-width: 46rem) { .pair { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
    @media (pointer: coarse) { .field input[type='range'], .reset { min-height: var(--touch); } }
  `];

  constructor() {
    super();
    /** @type {Settings} */
    this.settings = DEFAULTS;
    /** @type {Teacher | null} */
    this.session = null;
    this.disabled = false;
  }

  /** @param {Partial<Settings>} changes */
  #set(changes) {
    this.settings = { ...this.settings, ...changes };
    this.dispatchEvent(new CustomEvent('fl-settings', { detail: changes }));
  }

  /** @param {Field} field @param {boolean} altered */
  #read({ name }, altered) {
    return /** @type {any} */ (altered ? this.settings.augment : this.settings)[name];
  }

  /** @param {Field} field @param {boolean} altered @param {unknown} value */
  #write({ name }, altered, value) {
    this.#set(altered ? { augment: { ...this.settings.augment, [name]: value } } : { [name]: value });
  }

  /** @param {Field} field @param {boolean} [altered] of the settings of altered copies */
  #field(field, altered = false) {
    if (field.of && !field.of(this.settings)) return nothing;
    const { name, label, hint, text, values } = field;
    const value = this.#read(field, altered);
    const usual = /** @type {any} */ (altered ? DEFAULTS.augment : DEFAULTS)[name];
    const id = `${altered ? 'a-' : ''}${name}`;
    // Of values that are no numbers of one step, their place is what the slider says.
    const [now, range] = values ? [Math.max(0, values.indexOf(value)), { min: 0, max: values.length - 1, step: 1 }]
      : [value, { min: field.min, max: field.max, step: field.step }];
    const read = (/** @type {Event} */ event) => {
      const at = Number(/** @type {HTMLInputElement} */ (event.target).value);
      this.#write(field, altered, values ? values[at] : at);
    };
    return html`<div class="field">
      <label for=${id}>${label}</label>
      <span class="value number">
        ${value === usual ? nothing : html`<button type="button" class="quiet reset" ?disabled=${this.disabled}
          aria-label="Reset ${label}: ${text(usual)}" title="Back to ${text(usual)}" @click=${() => { this.#write(field, altered, usual); /** @type {HTMLElement | null} */ (this.renderRoot.querySelector(`#${id}`))?.focus(); }}>Reset</button>`}
        ${text(value)}
      </span>
      <input id=${id} type="range" min=${range.min} max=${range.max} step=${range.step} .value=${String(now)}
        aria-valuetext=${text(value)} aria-describedby="${id}-hint" ?disabled=${this.disabled} @input=${read}>
      <p class="hint soft small" id="${id}-hint">${typeof hint === 'string' ? hint : hint(this.settings)}</p>
    </div>`;
  }

  #heads() {
    const heads = this.session?.heads ?? [];
    const { head, unfreeze } = this.settings;
    const depths = heads.filter((h) => h.head === head).map((h) => h.unfreeze).sort((a, b) => a - b);
    const offered = HEADS.filter((h) => !heads.length || heads.some((own) => own.head === h.head));
    return html`<fieldset class="wide">
      <legend>What learns</legend>
      ${offered.length < 2 ? nothing : html`<div class="heads">${offered.map(({ head: id, name, hint }) => html`
        <label class="head"><input type="radio" name="head" .value=${id} .checked=${id === head} ?disabled=${this.disabled}
          @change=${() => this.#set({ head: id, ...(heads.some((h) => h.head === id && h.unfreeze === unfreeze) ? {} : { unfreeze: 0 }) })}>
          <strong>${name}</strong><span class="soft small">${hint}</span></label>`)}</div>`}
      ${depths.length < 2 ? nothing : html`<div class="field">
        <label for="unfreeze">How much of what it knew changes, too</label>
        <select id="unfreeze" ?disabled=${this.disabled} aria-describedby="unfreeze-hint"
          @change=${(/** @type {Event} */ event) => this.#set({ unfreeze: Number(/** @type {HTMLSelectElement} */ (event.target).value) })}>
          ${depths.map((depth) => html`<option value=${depth} .selected=${depth === unfreeze}>${TUNED[depth] ?? `Its last ${depth} parts`}</option>`)}
        </select>
        <p class="hint soft small" id="unfreeze-hint">It has seen many photos before. Changing that, too, can help with unusual pictures. It takes much longer.</p>
      </div>`}
    </fieldset>`;
  }

  /** Settings that are not as usual. */
  get changed() {
    const plain = (/** @type {Settings} */ { threshold, mirror, seed, ...settings }) => JSON.stringify(settings, Object.keys({ ...settings, ...settings.augment }).sort());
    return plain(this.settings) !== plain(DEFAULTS);
  }

  /** @override */
  render() {
    const { augment } = this.settings;
    return html`<form @submit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${this.#heads()}
      ${Object.entries(GROUPS).map(([name, fields]) => (fields.some(({ of }) => !of || of(this.settings)) ? html`<fieldset>
        <legend>${name}</legend>${fields.map((field) => this.#field(field))}</fieldset>` : nothing))}
      ${learns(this.settings) ? html`<fieldset class="wide">
        <legend>Altered copies</legend>
        <div class="pair">${this.#field(ALTERED[0], true)}</div>
        ${augment.copies ? html`
          <fl-preview .session=${this.session} .augment=${augment} .seed=${this.settings.seed}></fl-preview>
          <div class="pair">${ALTERED.slice(1).map((field) => this.#field(field, true))}</div>
          <label class="check"><input type="checkbox" .checked=${augment.flip} ?disabled=${this.disabled}
            @change=${(/** @type {Event} */ event) => this.#set({ augment: { ...augment, flip: /** @type {HTMLInputElement} */ (event.target).checked } })}>
            <span>Mirrored, too <span class="soft small">Not for writing or hands.</span></span></label>` : nothing}
      </fieldset>` : nothing}
      <p class="wide"><button type="button" class="quiet" aria-disabled=${this.disabled || !this.changed ? 'true' : 'false'}
        @click=${() => !this.disabled && this.#set({ ...DEFAULTS, threshold: this.settings.threshold, augment: { ...DEFAULTS.augment } })}>${icons.undo} All as usual</button></p>
    </form>`;
  }
}

customElements.define('fl-settings', SettingsForm);
