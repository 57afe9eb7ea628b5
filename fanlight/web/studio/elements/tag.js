import { css, html, nothing } from 'lit';
import { Tagging, ofDrop, ofFolder, ofInput, writeBeside } from '../tagging.js';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared, vars } from './theme.js';
import { Watch } from './watch.js';
import { count, plain, problem, seconds, tell } from './words.js';
import './rows.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { Found, Row } from '../tagging.js'
 * @import { Teacher } from './teacher.js'
 * @typedef {'all' | 'unsure' | 'corrected' | 'refused' | `class:${string}`} Shown
 */

/** What a browser with folders has. @typedef {{ showDirectoryPicker?: (options?: { id?: string, mode?: 'read' | 'readwrite' }) => Promise<FileSystemDirectoryHandle> }} Folders */
const folders = /** @type {Folders} */ (/** @type {unknown} */ (globalThis));

/**
 * `<fl-tag>`: a folder of photos, tagged by the model, put right by a person, and saved as a table or as side-cars
 * that photo managers read.
 *
 * - `session`: a `TransferSession` that was trained
 */
export class Tag extends Patient {
  /** @override */
  static properties = {
    session: { attribute: false }, _version: { state: true }, _picked: { state: true }, _shown: { state: true }, _sort: { state: true },
    _over: { state: true }, _error: { state: true }, _busy: { state: true }, _written: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    :host { container-type: inline-size; display: grid; gap: var(--s4); grid-template-columns: minmax(0, 1fr); }
    .drop { display: grid; justify-items: center; gap: var(--s3); padding: clamp(1.5rem, 8cqi, 4rem) var(--s4); border: 2px dashed var(--edge); border-radius: var(--r3); text-align: center; }
    .drop p { max-width: 34rem; text-wrap: balance; }
    .drop > svg { width: 2.5rem; height: 2.5rem; color: var(--accent); }
    .over { outline: 3px dashed var(--accent); outline-offset: -3px; background: var(--wash); }
    .row.center { justify-content: center; }
    .top { display: grid; gap: var(--s2); }
    .bar { height: 0.625rem; }
    .filters { display: flex; flex-wrap: wrap; gap: var(--s2); align-items: center; }
    .many { position: sticky; bottom: var(--foot, 0px); z-index: 3; }
    .many label { flex: 1 1 15rem; white-space: nowrap; }
    .save > button { flex: 0 1 auto; }
    .note { display: grid; gap: var(--s1); }
    select { max-width: 100%; }
  `];

  /** @type {Tagging | null} */
  #tagging = null;
  /** @type {FileSystemDirectoryHandle | null} */
  #folder = null;
  #began = 0;
  /** @type {{ key: string, rows: Row[] }} */
  #view = { key: '', rows: [] };
  #frame = 0;
  #change = () => {
    // Answers may come faster than a screen shows them.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this._version++;
    });
  };

  constructor() {
    super();
    /** @type {Teacher | null} */
    this.session = null;
    this._version = 0;
    /** @type {Set<number>} */
    this._picked = new Set();
    /** @type {Shown} */
    this._shown = 'all';
    /** @type {'unsure' | 'name'} */
    this._sort = 'unsure';
    this._over = false;
    /** @type {unknown} */
    this._error = null;
    this._busy = '';
    /** What became of side-cars. @type {{ written: number, kept: string[], missing: string[] } | null} */
    this._written = null;
    new Watch(this, ['change', 'trained']);
  }

  /** @override @param {PropertyValues} changed */
  willUpdate(changed) {
    if (!changed.has('session')) return;
    this.#tagging?.pause();
    this.#tagging?.removeEventListener('change', this.#change);
    this.#tagging = this.session ? new Tagging(this.session) : null;
    this.#tagging?.addEventListener('change', this.#change);
    this._picked = new Set();
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    this.#tagging?.pause();
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    if (this.#tagging?.rows.length) this.#tagging.resume();
  }

  /** Rows that have an answer, as plain data. */
  records() {
    return this.#tagging?.records() ?? [];
  }

  /** How many have their answer. */
  get done() {
    return this.#tagging?.done ?? 0;
  }

  /** Tag photos. @param {Found[]} found @param {FileSystemDirectoryHandle | null} [folder] where they are, to write beside them */
  add(found, folder = null) {
    const tagging = this.#tagging;
    if (!tagging) {
      if (this.session) this.updateComplete.then(() => this.add(found, folder)); // it was given just now
      return;
    }
    this._error = null;
    this._written = null;
    try {
      const { other, again } = tagging.add(found);
      this.#folder = folder;
      this.#began = performance.now();
      if (again) tell(this, `${count(again, 'photo')} left out: in the table already.`);
      else if (other) tell(this, `${count(other, 'file')} left out: not photos.`);
    } catch (error) {
      this._error = error;
    }
  }

  async #open() {
    try {
      if (!folders.showDirectoryPicker) {
        /** @type {HTMLInputElement} */ (this.renderRoot.querySelector('#folder')).click();
        return;
      }
      const folder = await folders.showDirectoryPicker({ id: 'fl-tag' });
      this._busy = 'Reading the folder';
      this.add(await ofFolder(folder), folder);
    } catch (error) {
      problem(this, error);
    } finally {
      this._busy = '';
    }
  }

  /** @param {DragEvent} event */
  async #drop(event) {
    event.preventDefault();
    this._over = false;
    if (!event.dataTransfer) return;
    const [item] = event.dataTransfer.items;
    const single = event.dataTransfer.items.length === 1
      ? /** @type {any} */ (item).getAsFileSystemHandle?.() : null; // before anything is awaited
    try {
      const found = await ofDrop(event.dataTransfer);
      const folder = await single;
      this.add(found, folder?.kind === 'directory' ? folder : null);
    } catch (error) {
      problem(this, error);
    }
  }

  /** @param {Event} event */
  #input(event) {
    const input = /** @type {HTMLInputElement} */ (event.target);
    this.add(ofInput(input.files ?? []));
    input.value = '';
  }

  /** Rows that are shown, in their order. */
  #rows() {
    const tagging = /** @type {Tagging} */ (this.#tagging);
    const key = `${this._version} ${this._shown} ${this._sort} ${tagging.rows.length}`;
    if (this.#view.key === key) return this.#view.rows;
    const wanted = this._shown;
    const rows = tagging.rows.filter(({ state, tag, corrected }) => {
      if (wanted === 'unsure') return state === 'done' && tag === null;
      if (wanted === 'corrected') return corrected;
      if (wanted === 'refused') return state === 'refused';
      return wanted === 'all' || (tag !== null && wanted === `class:${tag}`);
    });
    // What needs a person first: what it is least sure of. While answers come in, rows stay where they are.
    const rank = (/** @type {Row} */ { state, score }) => (state === 'done' ? score : state === 'refused' ? 2 : 3);
    if (this._sort === 'unsure' && !tagging.busy) rows.sort((a, b) => rank(a) - rank(b) || a.id - b.id);
    else if (this._sort === 'name') rows.sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));
    this.#view = { key, rows };
    return rows;
  }

  /** @param {Iterable<number>} ids @param {string | null} tag */
  #correct(ids, tag) {
    const tagging = /** @type {Tagging} */ (this.#tagging);
    const all = [...ids];
    const undo = tagging.correct(all, tag);
    if (all.length > 1) {
      tell(this, `${count(all.length, 'photo')}: ${tag === null ? 'not sure' : tagging.nameOf(tag)}.`, { label: 'Undo', act: undo });
      this._picked = new Set();
    }
  }

  /** @param {Blob} blob @param {string} name */
  #save(blob, name) {
    const url = URL.createObjectURL(blob);
    Object.assign(document.createElement('a'), { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  #csv() {
    this.#save(new Blob([/** @type {Tagging} */ (this.#tagging).csv()], { type: 'text/csv' }), 'tags.csv');
  }

  #json() {
    this.#save(new Blob([/** @type {Tagging} */ (this.#tagging).json()], { type: 'application/json' }), 'tags.json');
  }

  /** Side-cars in one zip, to be unpacked where the photos are. */
  async #zip() {
    const sidecars = /** @type {Tagging} */ (this.#tagging).sidecars();
    if (!sidecars.length) {
      tell(this, 'No photo has a tag yet.');
      return;
    }
    this._busy = 'Packing';
    try {
      const { strToU8, zip } = await import('fflate');
      const files = Object.fromEntries(sidecars.map(({ path, text }) => [path, strToU8(text)]));
      const packed = await new Promise((resolve, reject) => {
        zip(files, { level: 6 }, (error, data) => (error ? reject(error) : resolve(data)));
      });
      this.#save(new Blob([packed], { type: 'application/zip' }), 'tags-xmp.zip');
    } catch (error) {
      problem(this, error);
    } finally {
      this._busy = '';
    }
  }

  /** Side-cars into the folder itself. */
  async #beside() {
    const sidecars = /** @type {Tagging} */ (this.#tagging).sidecars();
    this._written = null;
    try {
      const asked = /** @type {any} */ (this.#folder);
      const allowed = asked?.requestPermission ? await asked.requestPermission({ mode: 'readwrite' }) === 'granted' : Boolean(asked);
      const folder = allowed ? asked : await folders.showDirectoryPicker?.({ id: 'fl-tag', mode: 'readwrite' });
      if (!folder) return;
      this._written = await writeBeside(folder, sidecars, (done, all) => { this._busy = `Writing ${done} of ${all}`; });
    } catch (error) {
      problem(this, error);
    } finally {
      this._busy = '';
    }
  }

  #left() {
    const { done, rows } = /** @type {Tagging} */ (this.#tagging);
    return done < 3 ? 'a moment' : seconds((performance.now() - this.#began) / 1000 / done * (rows.length - done));
  }

  #progress() {
    const { done, rows, paused } = /** @type {Tagging} */ (this.#tagging);
    if (done >= rows.length) return nothing;
    return html`<div class="top" >
      <div class="row"><p class="grow number"><strong>${done} of ${count(rows.length, 'photo')}</strong> <span class="soft">${paused ? 'paused' : html`about ${this.#left()} left`}</span></p>
        <button type="button" @click=${() => { const t = /** @type {Tagging} */ (this.#tagging); if (t.paused) t.resume(); else t.pause(); }}>${paused ? 'Go on' : 'Pause'}</button></div>
      <div class="bar" role="progressbar" aria-label="Photos tagged" aria-valuemin="0" aria-valuemax=${rows.length} aria-valuenow=${done} ${vars({ '--share': done / rows.length, '--color': 'var(--accent)' })}></div>
    </div>`;
  }

  /** @param {Shown} id @param {string} name @param {number} n */
  #filter(id, name, n) {
    return html`<button type="button" aria-pressed=${this._shown === id ? 'true' : 'false'} @click=${() => { this._shown = id; }}>${name} <span class="number">${n}</span></button>`;
  }

  #filters() {
    const { rows } = /** @type {Tagging} */ (this.#tagging);
    const session = /** @type {Teacher} */ (this.session);
    const n = (/** @type {(row: Row) => boolean} */ test) => rows.filter(test).length;
    const [unsure, corrected, refused] = [n((r) => r.state === 'done' && r.tag === null), n((r) => r.corrected), n((r) => r.state === 'refused')];
    return html`<div class="filters" role="group" aria-label="Which photos to show">
      ${this.#filter('all', 'All', rows.length)}
      ${unsure || this._shown === 'unsure' ? this.#filter('unsure', 'Not sure', unsure) : nothing}
      ${session.classes.length > 6 ? nothing : session.classes.map(({ id, name }) => this.#filter(`class:${id}`, name, n((r) => r.tag === id)))}
      ${corrected ? this.#filter('corrected', 'Put right', corrected) : nothing}
      ${refused ? this.#filter('refused', 'Not readable', refused) : nothing}
      <label class="small">Order <select @change=${(/** @type {Event} */ event) => { this._sort = /** @type {'unsure' | 'name'} */ (/** @type {HTMLSelectElement} */ (event.target).value); }}>
        <option value="unsure" .selected=${this._sort === 'unsure'}>least sure first</option><option value="name" .selected=${this._sort === 'name'}>by name</option></select></label>
    </div>`;
  }

  #many() {
    const session = /** @type {Teacher} */ (this.session);
    const rows = this.#rows();
    if (!this._picked.size) return nothing;
    return html`<div class="card row many" role="group" aria-label="Picked photos">
      <strong class="number">${count(this._picked.size, 'photo')} picked</strong>
      <label class="grow">Tag all <select class="grow" @change=${(/** @type {Event} */ event) => {
        const select = /** @type {HTMLSelectElement} */ (event.target);
        if (select.value) this.#correct(this._picked, select.value === 'none' ? null : select.value);
        select.value = '';
      }}><option value="">choose …</option>${session.classes.map(({ id, name }) => html`<option value=${id}>${name}</option>`)}<option value="none">not sure</option></select></label>
      ${this._picked.size < rows.length ? html`<button type="button" class="quiet" @click=${() => { this._picked = new Set(rows.map(({ id }) => id)); }}>All ${rows.length}</button>` : nothing}
      <button type="button" class="quiet" @click=${() => { this._picked = new Set(); }}>None</button>
    </div>`;
  }

  #saving() {
    return html`<section class="stack" aria-label="Save">
      <div class="row save">
        <button type="button" class="primary" @click=${this.#csv}>${icons.download} Table (CSV)</button>
        <button type="button" @click=${this.#json}>JSON</button>
        <button type="button" ?disabled=${Boolean(this._busy)} @click=${this.#zip}>${icons.tag} Tags for photo managers (zip)</button>
        ${folders.showDirectoryPicker && /** @type {Tagging} */ (this.#tagging).batches === 1 ? html`<button type="button" ?disabled=${Boolean(this._busy)} @click=${this.#beside}>${icons.folder} Write tags beside the photos</button>` : nothing}
      </div>
      <p class="soft small">Photos stay as they are. Tags for photo managers are small .xmp files beside them.</p>
      ${this._busy ? html`<p class="note" role="status">${this._busy} …</p>` : nothing}
      ${this._written ? html`<div class="note ${this._written.written ? 'good' : 'bad'}" role="status"><p>${count(this._written.written, 'tag')} written beside the photos.</p>
        ${this._written.kept.length ? html`<p>${count(this._written.kept.length, 'file')} left as they were, since another program made them: ${this._written.kept.slice(0, 3).join(', ')}${this._written.kept.length > 3 ? ' …' : ''}</p>` : nothing}
        ${this._written.missing.length ? html`<p>${count(this._written.missing.length, 'photo')} not in that folder. Choose the one that the photos came from.</p>` : nothing}</div>` : nothing}
    </section>`;
  }

  /** @override */
  render() {
    const { session } = this;
    const tagging = this.#tagging;
    if (!session || !tagging) return nothing;
    if (!session.trained) return html`<p class="card">There is nothing to tag with yet. Train first.</p>`;
    const inputs = html`<input type="file" id="folder" webkitdirectory multiple hidden aria-label="Folder" @change=${this.#input}>
      <input type="file" id="files" accept="image/*" multiple hidden aria-label="Photos" @change=${this.#input}>`;
    const wrong = this._error ? html`<p class="note bad" role="alert">${plain(this._error)}</p>` : nothing;
    const drag = (/** @type {DragEvent} */ event) => { event.preventDefault(); this._over = true; };
    const leave = () => { this._over = false; };
    if (!tagging.rows.length) {
      return html`<div class="drop ${this._over ? 'over' : ''}" @dragover=${drag} @dragleave=${leave} @drop=${this.#drop}>
        ${icons.tag}<p><strong>Drop a folder of photos here</strong><br><span class="soft">Each gets the class that it looks like. Nothing is uploaded, and your photos stay as they are.</span></p>
        <div class="row center"><button type="button" class="primary" @click=${this.#open}>${icons.folder} Choose a folder</button>
        <button type="button" @click=${() => /** @type {HTMLInputElement} */ (this.renderRoot.querySelector('#files')).click()}>${icons.photos} Choose photos</button></div>
        ${this._busy ? html`<p class="soft" role="status">${this._busy} …</p>` : nothing}${inputs}</div>${wrong}`;
    }
    const rows = this.#rows();
    return html`<div class="stack ${this._over ? 'over' : ''}" @dragover=${drag} @dragleave=${leave} @drop=${this.#drop}>
      ${this.#progress()}${wrong}${this.#filters()}
      ${rows.length ? html`<fl-rows .rows=${rows} .classes=${session.classes} .picked=${this._picked} .version=${this._version}
        @fl-pick=${(/** @type {CustomEvent<Set<number>>} */ event) => { this._picked = event.detail; }}
        @fl-correct=${(/** @type {CustomEvent<{ ids: number[], tag: string | null }>} */ event) => this.#correct(event.detail.ids, event.detail.tag)}></fl-rows>` : html`<p class="well soft">None of these.</p>`}
      ${this.#many()}
      ${this.#saving()}
      <div class="row"><button type="button" class="quiet" @click=${this.#open}>${icons.plus} Another folder</button>
        <button type="button" class="quiet" @click=${() => { tagging.clear(); this._picked = new Set(); this._written = null; this.#folder = null; }}>${icons.close} Start over</button></div>
      ${inputs}</div>`;
  }
}

customElements.define('fl-tag', Tag);
