import { css, html, nothing } from 'lit';
import './dialog.js';
import './grid.js';
import './menu.js';
import './viewer.js';
import { PHOTOS } from './drops.js';
import { Keys } from './focus.js';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared, vars } from './theme.js';
import { Trash, shownClasses, shownExamples } from './trash.js';
import { groups, surplus } from './twins.js';
import { Watch } from './watch.js';
import { count, problem, tell } from './words.js';
/**
 * @import { FlDialog } from './dialog.js'
 * @import { FlGrid } from './grid.js'
 * @import { FlViewer } from './viewer.js'
 * @import { Example, Pair } from '../types.js'
 * @import { Session } from './session.js'
 */

/** `<fl-gallery>`: all photos of a project: look through, select, move, delete, and find those that look alike. */
export class FlGallery extends Patient {
  /** @override */
  static properties = {
    session: { attribute: false }, pairs: { attribute: false }, only: { state: true }, alike: { state: true }, selected: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    .top, .chosen { display: flex; flex-wrap: wrap; align-items: center; gap: var(--s2); padding: var(--s3) var(--s4); border-bottom: 1px solid var(--line); }
    .chosen { min-height: 4.25rem; background: var(--card); }
    .top button { border-radius: 10rem; border-color: var(--line); }
    .top button.over { border-color: var(--accent); background: var(--wash); }
    .top button span { max-width: 12rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .none { padding: var(--s6) var(--s4); text-align: center; }
    fl-grid { flex: 1; min-height: 0; margin: var(--s3) var(--s4) 0; }
    .push { margin-left: auto; }
    @media (max-width: 40rem) {
      .top { flex-wrap: nowrap; overflow-x: auto; scrollbar-width: none; }
      .top button { flex: none; }
      .chosen { gap: 0; min-height: 3.5rem; padding: var(--s1) var(--s3); }
      .chosen button { padding: 0 var(--s2); }
      .chosen .hint, .chosen button .word, .chosen .every { display: none; }
      .chosen .every + button { margin-left: auto; }
    }
  `];

  #keys = new Keys();

  constructor() {
    super();
    /** @type {Session | null} */
    this.session = null;
    /** @type {Pair[]} */
    this.pairs = [];
    /** The id of the class that is shown, '' for all. */
    this.only = '';
    this.alike = false;
    /** @type {ReadonlySet<string>} */
    this.selected = new Set();
    new Watch(this, ['change', 'trash']);
  }

  get #dialog() {
    return /** @type {FlDialog | null} */ (this.renderRoot.querySelector('fl-dialog'));
  }

  /** @override */
  willUpdate() {
    this.#keys.before(this.shadowRoot);
  }

  /** Buttons that have done their work are gone: the photos take the keys. @override */
  updated() {
    if (this.#keys.gone()) /** @type {FlGrid | null} */ (this.renderRoot.querySelector('fl-grid'))?.take();
  }

  /** @param {{ only?: string, alike?: boolean }} [what] */
  async show({ only = '', alike = false } = {}) {
    this.only = only;
    this.alike = alike;
    this.selected = new Set();
    await this.updateComplete;
    await this.#dialog?.show();
  }

  /** @param {Example[]} items */
  async open(items, /** @type {string} */ id) {
    await this.updateComplete; // this part may have come only now
    const viewer = /** @type {FlViewer | null} */ (this.renderRoot.querySelector('fl-viewer'));
    await viewer?.show(items, id);
  }

  /** What is told here is told in the window. @returns {Element} */
  get #inside() {
    return this.renderRoot.querySelector('fl-grid') ?? this.renderRoot.querySelector('.none') ?? this;
  }

  /** What is left to say of the large photo. @param {CustomEvent} event */
  #told(event) {
    if (!this.#dialog?.open) return;
    event.stopPropagation();
    tell(this.#inside, event.detail.text, event.detail);
  }

  /** @param {string[]} ids */
  #delete(ids) {
    const { session } = this;
    if (!session || !ids.length) return;
    const trash = Trash.of(session);
    this.selected = new Set();
    trash.put({ examples: ids }).catch((error) => problem(this.#inside, error));
    tell(this.#inside, `${count(ids.length, 'photo')} deleted`, trash.way());
  }

  /** @param {string[]} ids @param {string} to */
  async #move(ids, to) {
    const { session } = this;
    if (!session) return;
    const before = new Map(session.examples.map((one) => [one.id, one.class]));
    const moved = ids.filter((id) => before.has(id) && before.get(id) !== to);
    const name = session.classes.find(({ id }) => id === to)?.name ?? '';
    try {
      await session.move(moved, to);
      this.selected = new Set();
      tell(this.#inside, `${count(moved.length, 'photo')} moved to ${name}`, { label: 'Undo', act: async () => {
        for (const from of new Set(moved.map((id) => before.get(id)))) {
          if (from) await session.move(moved.filter((id) => before.get(id) === from), from).catch((error) => problem(this, error));
        }
      } });
    } catch (error) {
      problem(this.#inside, error);
    }
  }

  /** @param {boolean} held */
  async #hold(held) {
    try {
      await this.session?.hold([...this.selected], held);
      this.selected = new Set();
    } catch (error) {
      problem(this.#inside, error);
    }
  }

  /** Photos dragged onto a class. @param {DragEvent} event @param {string} to */
  #drag(event, to) {
    const chip = /** @type {Element} */ (event.currentTarget);
    if (!event.dataTransfer?.types.includes(PHOTOS)) return;
    event.preventDefault();
    event.stopPropagation();
    chip.classList.toggle('over', event.type === 'dragover');
    if (event.type === 'drop') this.#move(JSON.parse(event.dataTransfer.getData(PHOTOS)), to);
  }

  /** @param {string} id @param {string} name @param {string} color @param {number} n */
  #chip(id, name, color, n) {
    const drag = (/** @type {DragEvent} */ event) => id && this.#drag(event, id);
    return html`<button aria-pressed=${this.only === id} @click=${() => { this.only = id; this.selected = new Set(); }}
      @dragover=${drag} @dragleave=${drag} @drop=${drag}>
      ${color ? html`<i class="dot" ${vars({ '--color': color })}></i>` : nothing}<span>${name}</span> <b class="number">${n}</b></button>`;
  }

  /** @param {Session} session @param {Example[]} items */
  #chosen(session, items) {
    const ids = [...this.selected];
    const held = session.examples.filter(({ id }) => this.selected.has(id)).every((one) => one.held);
    return html`
      <b class="number">${ids.length} selected</b>
      <fl-menu label="Move to another class">
        <span slot="face" class="row">${icons.move} Move to</span>
        ${shownClasses(session).map(({ id, name, color }) => html`<button @click=${() => this.#move(ids, id)}>
          <i class="dot" ${vars({ '--color': color, width: '0.875rem', height: '0.875rem', 'border-radius': '50%', background: color })}></i>${name}</button>`)}
      </fl-menu>
      <button class="quiet" aria-label=${held ? 'Learn from them' : 'Only for testing'} @click=${() => this.#hold(!held)}>${icons.test} <span class="word">${held ? 'Learn from them' : 'Only for testing'}</span></button>
      <button class="quiet danger" aria-label="Delete" @click=${() => this.#delete(ids)}>${icons.trash} <span class="word">Delete</span></button>
      <button class="quiet push every" @click=${() => { this.selected = new Set(items.map(({ id }) => id)); }}>All</button>
      <button class="quiet" @click=${() => { this.selected = new Set(); }}>None</button>`;
  }

  /** @override */
  render() {
    const { session } = this;
    if (!session) return nothing;
    const classes = shownClasses(session);
    const all = shownExamples(session);
    const sets = groups(this.pairs, all);
    const twins = new Set(sets.flatMap((set) => set.map(({ id }) => id)));
    const only = classes.some(({ id }) => id === this.only) ? this.only : '';
    const alike = this.alike && sets.length > 0;
    // Those that look alike stand side by side; otherwise the newest come first.
    const items = (alike ? sets.flat() : all.slice().reverse()).filter((one) => !only || one.class === only);
    const shown = new Set(items.map(({ id }) => id));
    const extra = surplus(sets).filter((id) => shown.has(id));
    const torn = sets.filter((set) => set.some(({ id }) => shown.has(id)) && new Set(set.map((one) => one.class)).size > 1).length;
    return html`
      <fl-dialog wide heading="Photos">
        <div class="top">
          ${this.#chip('', 'All', '', all.length)}
          ${classes.map(({ id, name, color }) => this.#chip(id, name, color, all.filter((one) => one.class === id).length))}
          ${sets.length ? html`<button class="push" aria-pressed=${alike}
            @click=${() => { this.alike = !alike; this.selected = new Set(); }}>${icons.twins} Look-alikes <b class="number">${twins.size}</b></button>` : nothing}
        </div>
        <div class="chosen" aria-live="polite">
          ${this.selected.size ? this.#chosen(session, items) : alike && items.length ? html`
            <span>These look almost the same. One of each is enough: the first that came.
              ${torn ? html`<b>${count(torn, 'photo')} ${torn > 1 ? 'are' : 'is'} in more than one class:</b> keep ${torn > 1 ? 'each' : 'it'} where it belongs.` : nothing}</span>
            ${extra.length ? html`<button class="push" @click=${() => this.#delete(extra)}>${icons.check} Keep one of each, delete ${extra.length}</button>` : nothing}`
    : html`<span class="soft hint">Press a photo to see it large. Press its ring to select it.</span>
            ${items.length ? html`<button class="quiet push" @click=${() => { this.selected = new Set(items.map(({ id }) => id)); }}>Select all</button>` : nothing}`}
        </div>
        ${items.length ? html`
          <fl-grid .session=${session} .items=${items} .selected=${this.selected} .twins=${twins} label="Photos" side="120"
            @fl-select=${(/** @type {CustomEvent} */ { detail }) => { this.selected = detail; }}
            @fl-open=${(/** @type {CustomEvent} */ { detail }) => this.open(items, detail)}
            @fl-delete=${(/** @type {CustomEvent} */ { detail }) => this.#delete(detail)}></fl-grid>`
    : html`<p class="none soft">No photos here.</p>`}
      </fl-dialog>
      <fl-viewer .session=${session} @fl-tell=${this.#told}></fl-viewer>`;
  }
}

customElements.define('fl-gallery', FlGallery);
