import { css, html, nothing } from 'lit';
import { Patient } from './patient.js';
import { shared } from './theme.js';
import { count, problem, tell } from './words.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { ClassInfo } from '../types.js'
 * @import { Teacher } from './teacher.js'
 */

/** Photos shown at once; "more" shows as many again. */
const MANY = 24;

/**
 * `<fl-photos>`: some photos of the session, small. Each may be moved into
 * another class: now and then it is the photo that is in the wrong place.
 *
 * - `session`, `ids`, `classes`
 */
export class Photos extends Patient {
  /** @override */
  static properties = {
    session: { attribute: false }, ids: { attribute: false }, classes: { attribute: false },
    _most: { state: true }, _picked: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(4.5rem, 1fr)); gap: var(--s2); }
    button.photo { width: 100%; min-height: 0; padding: 0; overflow: hidden; border: 2px solid transparent; border-radius: var(--r1); background: var(--well); }
    button.photo[aria-pressed='true'] { border-color: var(--accent); }
    img { width: 100%; aspect-ratio: 1; object-fit: cover; }
    select { max-width: 100%; }
  `];

  /** @type {Map<string, string>} */
  #urls = new Map();

  constructor() {
    super();
    /** @type {Teacher | null} */
    this.session = null;
    /** @type {string[]} */
    this.ids = [];
    /** @type {ClassInfo[]} */
    this.classes = [];
    this._most = MANY;
    /** @type {string | null} */
    this._picked = null;
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    this.#forget([]);
  }

  /** The pictures of all others. @param {string[]} ids */
  #forget(ids) {
    const kept = new Set(ids);
    for (const [id, url] of this.#urls) {
      if (kept.has(id)) continue;
      URL.revokeObjectURL(url);
      this.#urls.delete(id);
    }
  }

  /** @override @param {PropertyValues} changed */
  willUpdate(changed) {
    if (!changed.has('ids')) return;
    [this._most, this._picked] = [MANY, null];
    this.#forget(this.ids);
  }

  /** @override */
  updated() {
    for (const id of this.ids.slice(0, this._most)) {
      if (this.#urls.has(id)) continue;
      this.#urls.set(id, '');
      this.session?.thumb(id).then((blob) => {
        if (!this.isConnected || this.#urls.get(id) !== '') return;
        this.#urls.set(id, URL.createObjectURL(blob));
        this.requestUpdate();
      }, () => {}); // a photo that is gone leaves its place empty
    }
  }

  /** @param {string} id */
  #name(id) {
    return this.session?.examples.find((e) => e.id === id)?.name ?? 'a photo';
  }

  /** @param {Event} event */
  async #move(event) {
    const to = /** @type {HTMLSelectElement} */ (event.target).value;
    const { session, _picked: id } = this;
    const from = session?.examples.find((e) => e.id === id)?.class;
    if (!session || !id || !from || !to) return;
    this._picked = null;
    try {
      await session.move([id], to);
      tell(this, `Moved into ${this.classes.find((c) => c.id === to)?.name}. Train again, so that it knows.`, { label: 'Undo', act: () => session.move([id], from) });
    } catch (error) {
      problem(this, error);
    }
  }

  /** @override */
  render() {
    const shown = this.ids.slice(0, this._most);
    const picked = this._picked;
    const own = this.session?.examples.find((e) => e.id === picked)?.class;
    return html`
      <ul>${shown.map((id) => html`<li><button type="button" class="photo" aria-pressed=${picked === id ? 'true' : 'false'} aria-label=${this.#name(id)} title=${this.#name(id)}
        @click=${() => { this._picked = picked === id ? null : id; }}>${this.#urls.get(id) ? html`<img src=${/** @type {string} */ (this.#urls.get(id))} alt="">` : html`<img alt="">`}</button></li>`)}</ul>
      ${this.ids.length > shown.length ? html`<p><button type="button" class="quiet" @click=${() => { this._most += MANY; }}>Show more (${count(this.ids.length - shown.length, 'photo')})</button></p>` : nothing}
      ${picked ? html`<p class="row small"><label for="to">In the wrong class?</label>
        <select id="to" @change=${this.#move}><option value="">Move to …</option>${this.classes.filter(({ id }) => id !== own).map(({ id, name }) => html`<option value=${id}>${name}</option>`)}</select></p>` : nothing}`;
  }
}

customElements.define('fl-photos', Photos);
