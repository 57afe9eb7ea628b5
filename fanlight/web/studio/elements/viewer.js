import { css, html, nothing } from 'lit';
import './dialog.js';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared } from './theme.js';
import { Trash, shownClasses } from './trash.js';
import { Watch } from './watch.js';
import { bytes, problem, tell } from './words.js';
/** @import { FlDialog } from './dialog.js' @import { Example } from '../types.js' @import { Session } from './session.js' */

/** `<fl-viewer>`: one photo, large, and what can be done with it. `show(items, id)`; the arrow keys go through the items. */
export class FlViewer extends Patient {
  /** @override */
  static properties = { session: { attribute: false }, ids: { state: true }, at: { state: true }, url: { state: true } };

  /** @override */
  static styles = [shared, css`
    .view { flex: 1; min-height: 0; display: grid; grid-template-columns: auto minmax(0, 1fr) auto; align-items: center; gap: var(--s2);
      padding: var(--s3); background: var(--well); }
    .view img { width: 100%; height: 100%; min-height: 0; object-fit: contain; }
    .frame { height: 100%; min-height: 0; }
    .view button { border-radius: 50%; }
    .foot { display: flex; flex-wrap: wrap; align-items: center; gap: var(--s3); padding: var(--s3) var(--s4); border-top: 1px solid var(--line); }
    fl-dialog { --foot: 4.5rem; } /* what is told is above it */
    @media (max-width: 40rem) { fl-dialog { --foot: 13rem; } }
    .foot label { min-width: 0; max-width: 100%; }
    .foot select { max-width: 100%; }
    .foot p { flex: 1 1 12rem; }
    @media (max-width: 40rem) {
      .view { grid-template-columns: 1fr 1fr; padding: 0 0 var(--s2); }
      .frame { grid-column: 1 / -1; grid-row: 1; }
      .view { grid-template-rows: minmax(0, 1fr) auto; justify-items: center; }
      .frame { width: 100%; }
    }
  `];

  constructor() {
    super();
    /** @type {Session | null} */
    this.session = null;
    /** @type {string[]} */
    this.ids = [];
    this.at = 0;
    this.url = '';
    /** The id whose picture is shown. */
    this.loaded = '';
    new Watch(this, ['change', 'trash']);
  }

  get #dialog() {
    return /** @type {FlDialog | null} */ (this.renderRoot.querySelector('fl-dialog'));
  }

  /** @param {Example[]} items @param {string} id */
  async show(items, id) {
    this.ids = items.map((item) => item.id);
    this.at = Math.max(0, this.ids.indexOf(id));
    await this.updateComplete;
    await this.#dialog?.show();
  }

  /** @returns {Example | undefined} */
  get #item() {
    const id = this.ids[this.at];
    return this.session?.examples.find((one) => one.id === id);
  }

  /** @override */
  willUpdate() {
    const id = this.#item?.id ?? '';
    if (id === this.loaded) return;
    this.loaded = id;
    this.#forget();
    if (!id) return;
    this.session?.photo(id).then((blob) => {
      if (this.loaded === id) this.url = URL.createObjectURL(blob);
    }, (error) => problem(this, error));
  }

  #forget() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = '';
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    this.#closed();
  }

  #closed() {
    this.ids = [];
    this.#forget();
  }

  /** @param {number} by */
  #go(by) {
    this.at = Math.max(0, Math.min(this.ids.length - 1, this.at + by));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target instanceof HTMLSelectElement || event.composedPath()[0] instanceof HTMLSelectElement) return;
    if (event.key === 'ArrowLeft') this.#go(-1);
    else if (event.key === 'ArrowRight') this.#go(1);
    else if (event.key === 'Delete') this.#delete();
    else return;
    event.preventDefault();
  }

  #delete() {
    const { session } = this;
    const item = this.#item;
    if (!session || !item) return;
    const { ids, at } = this;
    this.ids = ids.filter((id) => id !== item.id);
    this.at = Math.min(at, Math.max(0, this.ids.length - 1));
    const trash = Trash.of(session);
    trash.put({ examples: [item.id] }).catch((error) => problem(this, error));
    tell(this.#dialog?.firstElementChild ?? this, 'Photo deleted', trash.way(() => {
      if (!this.#dialog?.open) return;
      this.ids = ids;
      this.at = at;
    }));
    if (!this.ids.length) this.#dialog?.close();
  }

  /** @param {Promise<unknown> | undefined} done */
  #try(done) {
    done?.catch((error) => problem(this.#dialog?.firstElementChild ?? this, error));
  }

  /** @override */
  render() {
    const { session } = this;
    const item = this.#item;
    if (!session || !item) return html`<fl-dialog wide heading="Photo" @close=${this.#closed}></fl-dialog>`;
    return html`
      <fl-dialog wide heading=${item.name} @close=${this.#closed} @keydown=${this.#key}>
        <div class="view">
          <button class="icon" aria-label="Photo before" aria-disabled=${this.at ? 'false' : 'true'} @click=${() => this.#go(-1)}>${icons.left}</button>
          <div class="frame">${this.url ? html`<img src=${this.url} alt=${item.name}>` : nothing}</div>
          <button class="icon" aria-label="Next photo" aria-disabled=${this.at < this.ids.length - 1 ? 'false' : 'true'} @click=${() => this.#go(1)}>${icons.right}</button>
        </div>
        <div class="foot">
          <p class="soft small number" aria-live="polite">${this.at + 1} of ${this.ids.length} · ${item.width} × ${item.height} · ${bytes(item.bytes)}</p>
          <label>This is <select @change=${(/** @type {Event} */ { target }) => this.#try(session.move([item.id], /** @type {HTMLSelectElement} */ (target).value))}>
            ${shownClasses(session).map(({ id, name }) => html`<option value=${id} ?selected=${id === item.class} .selected=${id === item.class}>${name}</option>`)}
          </select></label>
          <label title="Never learnt from: it shows how good the model is"><input type="checkbox" .checked=${item.held}
            @change=${(/** @type {Event} */ { target }) => this.#try(session.hold([item.id], /** @type {HTMLInputElement} */ (target).checked))}> Only for testing</label>
          <button class="danger" @click=${this.#delete}>${icons.trash} Delete</button>
        </div>
      </fl-dialog>`;
  }
}

customElements.define('fl-viewer', FlViewer);
