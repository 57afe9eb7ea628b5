import { css, html, nothing } from 'lit';
import { regain } from './focus.js';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared, vars } from './theme.js';
import { Trash } from './trash.js';
import { Watch } from './watch.js';
import { aborted, bytes, count, plain, tell } from './words.js';
import './runs.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { ExportKind } from '../types.js'
 * @import { Teacher } from './teacher.js'
 * @typedef {{ kind: ExportKind, name: string, text: string, icon: unknown, learnt: boolean }} Card
 * @typedef {{ share: number | null, control: AbortController | null, file: File | null, url: string, error: unknown }} State
 */

/** A file may take so long to be saved. */
const SAVED_MS = 60_000;
/** How many times the bytes of a first download: what was learnt alone, and a folder with modules for every browser. */
const NUMBERS = 1.5, FOLDER = 2.5;

/** @type {Card[]} */
const FINISHED = [
  { kind: 'page', name: 'Web page', text: 'A folder to put on any web site. It works offline, too.', icon: icons.cloudless, learnt: true },
  { kind: 'html', name: 'One file', text: 'A page in a single file: open it, mail it, put it on a stick.', icon: icons.gift, learnt: true },
];
/** @type {Card} */
const PROJECT = { kind: 'project', name: 'Whole project', text: 'All photos, classes and what was learnt. Open it here or on another device.', icon: icons.zip, learnt: false };
/** @type {Card[]} */
const DEVELOPERS = [
  { kind: 'npm', name: 'npm folder', text: 'A package with types, to import in your own app.', icon: icons.folder, learnt: true },
  { kind: 'tfjs', name: 'TensorFlow.js', text: 'A layers model, for programs that use TensorFlow.js.', icon: icons.folder, learnt: true },
  { kind: 'safetensors', name: 'Weights', text: 'All numbers of the model, as safetensors.', icon: icons.folder, learnt: true },
];

/**
 * `<fl-keep>`: the finished model as files, the project as a file and back, what this browser keeps, and what was
 * tried before.
 *
 * - `session`
 *
 * Says `fl-project` (detail: the project) when one was brought in.
 */
export class Keep extends Patient {
  /** @override */
  static properties = { session: { attribute: false }, _states: { state: true }, _storage: { state: true }, _bringing: { state: true }, _error: { state: true } };

  /** @override */
  static styles = [shared, css`
    :host { container-type: inline-size; display: grid; gap: var(--s6); grid-template-columns: minmax(0, 1fr); }
    section { display: grid; gap: var(--s3); grid-template-columns: minmax(0, 1fr); align-content: start; }
    .cards { display: grid; gap: var(--s3); grid-template-columns: minmax(0, 1fr); }
    @container (min-width: 38rem) { .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
    @container (min-width: 60rem) { .cards { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
    .item { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: var(--s1) var(--s3); align-content: start; }
    .item > svg { grid-row: 1 / 3; width: 1.75rem; height: 1.75rem; color: var(--accent); }
    .item p { min-height: 2.45rem; }
    .item .act { grid-column: 1 / -1; display: grid; gap: var(--s2); margin-top: var(--s2); grid-template-columns: minmax(0, 1fr) auto; align-items: center; }
    .item .act > .wide { grid-column: 1 / -1; }
    .act > :only-child { grid-column: 1 / -1; }
    .act .bar { height: 0.625rem; }
    .going::before { animation: going 1.4s ease-in-out infinite alternate; transform: none; width: 35%; }
    @keyframes going { from { margin-left: 0; } to { margin-left: 65%; } }
    details > summary { display: inline-flex; align-items: center; gap: var(--s2); min-height: var(--touch); color: var(--soft); cursor: pointer; list-style: none; }
    summary::-webkit-details-marker { display: none; }
    summary svg { width: 1.125rem; height: 1.125rem; transition: transform var(--quick); }
    details[open] > summary svg { transform: rotate(180deg); }
    details .cards { margin-top: var(--s3); }
    .storage { display: grid; gap: var(--s2); max-width: 38rem; }
    .drop.over { outline: 3px dashed var(--accent); outline-offset: -3px; }
  `];

  /** How often something changed. */
  #changes = 0;

  constructor() {
    super();
    /** @type {Teacher | null} */
    this.session = null;
    /** Of each kind that was asked for. @type {Partial<Record<ExportKind, State>>} */
    this._states = {};
    /** @type {{ used: number, quota: number, persisted: boolean } | null} */
    this._storage = null;
    /** How far a project is that is brought in, in words; '' for none. */
    this._bringing = '';
    /** Why a project was not brought in. @type {unknown} */
    this._error = null;
    new Watch(this, ['change', 'trained', 'saved'], ({ type }) => {
      if (type !== 'saved') this.#outdated();
      this.#look();
    });
  }

  /** Files that were made are of what was there before. */
  #outdated() {
    this.#changes++;
    for (const { url } of Object.values(this._states)) if (url) setTimeout(() => URL.revokeObjectURL(url), SAVED_MS);
    this._states = Object.fromEntries(Object.entries(this._states).filter(([, { control }]) => control));
  }

  /** @override @param {PropertyValues} changed */
  updated(changed) {
    if (changed.has('session')) this.#look();
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    for (const { url, control } of Object.values(this._states)) {
      control?.abort();
      if (url) URL.revokeObjectURL(url);
    }
    this._states = {};
  }

  async #look() {
    this._storage = await this.session?.store?.usage().catch(() => null) ?? null;
  }

  async #persist() {
    const granted = await this.session?.store?.persist().catch(() => false);
    await this.#look();
    if (!granted) tell(this, 'This browser does not promise it. Save the whole project as a file to be safe.');
  }

  /** @param {ExportKind} kind @param {Partial<State>} news */
  #set(kind, news) {
    const state = this._states[kind] ?? { share: null, control: null, file: null, url: '', error: null };
    this._states = { ...this._states, [kind]: { ...state, ...news } };
  }

  /** Make a file and save it. @param {ExportKind} kind */
  async export(kind) {
    const { session } = this;
    if (!session || this._states[kind]?.control) return;
    const control = new AbortController();
    const old = this._states[kind]?.url;
    if (old) URL.revokeObjectURL(old);
    this.#set(kind, { share: null, control, file: null, url: '', error: null });
    try {
      await Trash.of(session).empty(); // what was thrown away is in no file
      const changes = this.#changes;
      const file = await session.export(kind, {
        signal: control.signal,
        onProgress: (done, all) => this.#set(kind, { share: all ? done / all : null }),
      });
      control.signal.throwIfAborted();
      this.#set(kind, { control: null, file, url: URL.createObjectURL(file) });
      await this.updateComplete;
      regain(this.renderRoot, `#save-${kind}`);
      /** @type {HTMLElement | null} */ (this.renderRoot.querySelector(`#save-${kind}`))?.click();
      if (changes === this.#changes) return;
      this.#outdated(); // something came while it was made
      await this.updateComplete;
      regain(this.renderRoot, `#make-${kind}`);
    } catch (error) {
      this.#set(kind, { control: null, error: aborted(error) ? null : error });
    }
  }

  /** Bring in a project that was saved. @param {File | undefined} file */
  async bring(file) {
    const { session } = this;
    if (!session || !file || this._bringing) return;
    this._bringing = 'Opening …';
    this._error = null;
    const place = this.parentNode ?? this; // stays, where a project that is opened has nothing to keep yet
    try {
      await Trash.of(session).empty();
      const project = await session.importProject(file, {
        onProgress: (done, all) => { this._bringing = `Opening: ${done} of ${count(all, 'photo')}`; },
      });
      tell(place, `Here it is: ${project.name}.`);
      this.dispatchEvent(new CustomEvent('fl-project', { detail: project, bubbles: true, composed: true }));
    } catch (error) {
      if (!aborted(error)) this._error = error;
    } finally {
      this._bringing = '';
    }
  }

  /** About how large a file will be, where that is known. @param {ExportKind} kind */
  #size(kind) {
    const session = /** @type {Teacher} */ (this.session);
    const made = this._states[kind]?.file;
    if (made) return bytes(made.size);
    // What was taught last, not what is chosen for the next time.
    const learning = session.project.runs.at(-1)?.settings ?? session.settings;
    const head = session.heads.find(({ head: id, unfreeze }) => id === learning.head && unfreeze === learning.unfreeze);
    if (head?.unfreeze && kind !== 'page' && kind !== 'npm') return ''; // how much of it has 32 bits is not known
    // The model's numbers have 32 bits there, and 16 in what was fetched.
    const learnt = session.trained ? NUMBERS * (head?.bytes ?? 0) : 0;
    if (kind === 'project') return `about ${bytes(session.examples.reduce((sum, e) => sum + e.bytes, 0) + learnt + 50_000)}`;
    if (!head) return '';
    return `about ${bytes(head.bytes * (kind === 'page' || kind === 'npm' ? FOLDER : NUMBERS))}`;
  }

  /** @param {Card} card */
  #card({ kind, name, text, icon, learnt }) {
    const session = /** @type {Teacher} */ (this.session);
    const state = this._states[kind];
    const can = session.trained || !learnt;
    const size = this.#size(kind);
    return html`<li class="card item">
      ${icon}<h3>${name}</h3><p class="soft small">${text}</p>
      <div class="act">
        ${state?.control ? html`
          <span class="bar ${state.share === null ? 'going' : ''}" role="progressbar" aria-label="Making: ${name}" aria-valuenow=${state.share === null ? nothing : Math.round(state.share * 100)} ${vars({ '--share': state.share ?? 0, '--color': 'var(--accent)' })}></span>
          <button type="button" class="quiet" aria-label="Stop: ${name}" @click=${() => state.control?.abort()}>Stop</button>`
        : state?.url ? html`
          <a class="button" id="save-${kind}" href=${state.url} download=${/** @type {File} */ (state.file).name}>${icons.download} Save again</a>
          <span class="soft small number">${size}</span>`
        : html`
          <button type="button" id="make-${kind}" aria-label="Save: ${name}" ?disabled=${!can} @click=${() => this.export(kind)}>${icons.download} Save</button>
          ${can && size ? html`<span class="soft small number">${size}</span>` : nothing}`}
        ${state?.error ? html`<p class="note bad small wide" role="alert">${plain(state.error)}</p>` : nothing}
      </div>
    </li>`;
  }

  #storageText() {
    const { used, quota, persisted } = /** @type {NonNullable<Keep['_storage']>} */ (this._storage);
    const share = quota ? used / quota : 0;
    return html`<div class="storage">
      <p>${persisted ? html`<strong>Kept safely on this device.</strong>` : html`<strong>Kept in this browser.</strong> It may clear it when the device runs out of space.`}
        <span class="soft">${bytes(used)} used, room for ${bytes(Math.max(0, quota - used))} more.</span></p>
      <div class="bar" role="meter" aria-label="Storage used" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)} ${vars({ '--share': share, '--color': share > 0.85 ? 'var(--bad)' : 'var(--accent)' })}></div>
      ${share > 0.85 ? html`<p class="note bad">Storage is nearly full. Save the whole project as a file, then remove photos or old projects.</p>` : nothing}
      ${persisted ? nothing : html`<p><button type="button" @click=${this.#persist}>${icons.shield} Keep it safely</button></p>`}
    </div>`;
  }

  /** @override */
  render() {
    const { session } = this;
    if (!session) return nothing;
    return html`
      <section aria-labelledby="finished">
        <h2 id="finished">Take your model with you</h2>
        ${session.trained ? nothing : html`<p class="note">Train first. Then you can save what it has learnt.</p>`}
        ${session.untaught ? html`<p class="note">${session.untaught} Until then, what you save knows only the others.</p>` : nothing}
        <ul class="cards">${FINISHED.map((card) => this.#card(card))}${this.#card(PROJECT)}</ul>
        <details><summary>${icons.down} For developers</summary><ul class="cards">${DEVELOPERS.map((card) => this.#card(card))}</ul></details>
      </section>
      <section aria-labelledby="bring">
        <h2 id="bring">Open a project</h2>
        <div class="row">
          <button type="button" ?disabled=${Boolean(this._bringing)} @click=${() => /** @type {HTMLInputElement} */ (this.renderRoot.querySelector('#project')).click()}>${icons.upload} ${this._bringing || 'Choose a project file'}</button>
          <span class="soft small">A zip that was saved here. Your own project stays.</span>
          <input type="file" id="project" accept=".zip,application/zip" hidden aria-label="Project file" @change=${(/** @type {Event} */ event) => {
            const input = /** @type {HTMLInputElement} */ (event.target);
            this.bring(input.files?.[0]);
            input.value = '';
          }}>
        </div>
        ${this._error ? html`<p class="note bad" role="alert">${plain(this._error)}</p>` : nothing}
      </section>
      ${this._storage?.quota ? html`<section aria-labelledby="storage"><h2 id="storage">On this device</h2>${this.#storageText()}</section>` : nothing}
      ${session.project.runs.length ? html`<section aria-labelledby="runs"><h2 id="runs">What you tried <span class="soft number">(${count(session.project.runs.length, 'training')})</span></h2>
        <fl-runs .session=${session} .runs=${session.project.runs}></fl-runs></section>` : nothing}`;
  }
}

customElements.define('fl-keep', Keep);
