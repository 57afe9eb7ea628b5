import { css, html, nothing } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import { Tagging, ofDrop, ofFolder, ofInput, writeBeside } from '../tagging.js';
import { regain } from './focus.js';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared, vars } from './theme.js';
import { Trash } from './trash.js';
import { Watch } from './watch.js';
import { count, plain, problem, seconds, tell } from './words.js';
import './rows.js';
/**
 * @import { Found, Row } from '../tagging.js'
 * @import { Teacher } from './teacher.js'
 * @typedef {'all' | 'unsure' | 'corrected' | 'refused' | `class:${string}`} Shown
 */

/** What a browser with folders has. @typedef {{ showDirectoryPicker?: (options?: { id?: string, mode?: 'read' | 'readwrite' }) => Promise<FileSystemDirectoryHandle> }} Folders */
const folders = /** @type {Folders} */ (/** @type {unknown} */ (globalThis));

/**
 * `<fl-tag>`: a folder of photos, tagged by the model, put right by a person, and saved as a table or as side-cars
 * that photo managers read. The table is the session's, one for each project: it is there again whenever one is shown.
 *
 * - `session`: a `TransferSession` that was trained
 */
export class Tag extends Patient {
  /** @override */
  static properties = {
    session: { attribute: false }, _version: { state: true }, _picked: { state: true }, _shown: { state: true }, _sort: { state: true },
    _over: { state: true }, _error: { state: true },
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
    .filters button { max-width: 100%; overflow-wrap: anywhere; }
    .filters { display: flex; flex-wrap: wrap; gap: var(--s2); align-items: center; }
    .many { position: sticky; bottom: var(--foot, 0px); z-index: 3; }
    @container (max-width: 40rem) { .many { position: static; } }
    .many label { flex: 1 1 15rem; white-space: nowrap; }
    .save > button { flex: 0 1 auto; }
    .note { display: grid; gap: var(--s1); }
    select { max-width: 100%; }
  `];

  /** @type {Tagging | null} */
  #tagging = null;
  /** @type {{ key: string, rows: Row[] }} */
  #view = { key: '', rows: [] };
  #frame = 0;
  /** Whether there is a table. */
  #full = false;
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
    new Watch(this, ['change', 'trained']);
  }

  /** Another project has another table. @override */
  willUpdate() {
    const { session } = this;
    if (this._shown.startsWith('class:') && !session?.classes.some(({ id }) => this._shown === `class:${id}`)) this._shown = 'all';
    const tagging = session && this.isConnected ? Tagging.of(session) : null;
    if (tagging === this.#tagging) return;
    this.#leave();
    this.#tagging = tagging;
    this._picked = new Set();
    this._shown = 'all';
    this._error = null;
    if (!tagging || !session) return;
    // What was thrown away is gone before anything else is done: no photo gets a class that goes in a moment.
    Trash.of(session).empty().catch((error) => problem(this, error));
    tagging.addEventListener('change', this.#change);
    tagging.show();
  }

  /** The table has come in place of what was pressed. @override */
  updated() {
    const full = Boolean(this.#tagging?.rows.length);
    if (full && !this.#full) regain(this.renderRoot, '.filters button');
    this.#full = full;
  }

  #leave() {
    this.#tagging?.removeEventListener('change', this.#change);
    this.#tagging?.hide();
    this.#tagging = null;
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    this.#leave();
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    this.requestUpdate();
  }

  /** Rows that have an answer, as plain data. */
  records() {
    return this.#tagging?.records() ?? [];
  }

  /** How many have their answer. */
  get done() {
    return this.#tagging?.done ?? 0;
  }

  /**
   * Tag photos. @param {Found[]} found @param {FileSystemDirectoryHandle | null} [folder] where they are, to write beside them
   * @param {Tagging | null} [tagging] the table that was shown when they were asked for
   */
  add(found, folder = null, tagging = this.session && Tagging.of(this.session)) {
    if (!tagging) return;
    this._error = null;
    try {
      const { other, again } = tagging.add(found);
      tagging.note({ folder, written: null });
      if (again) tell(this, `${count(again, 'photo')} left out: in the table already.`);
      else if (other) tell(this, `${count(other, 'file')} left out: not photos.`);
    } catch (error) {
      this._error = error;
    }
  }

  async #open() {
    const tagging = /** @type {Tagging} */ (this.#tagging);
    try {
      if (!folders.showDirectoryPicker) {
        /** @type {HTMLInputElement} */ (this.renderRoot.querySelector('#folder')).click();
        return;
      }
      const folder = await folders.showDirectoryPicker({ id: 'fl-tag' });
      tagging.note({ doing: 'Reading the folder' });
      this.add(await ofFolder(folder, (n) => this.#found(tagging, n)), folder, tagging);
    } catch (error) {
      problem(this, error);
    } finally {
      tagging.note({ doing: '' });
    }
  }

  /** @param {DragEvent} event */
  async #drop(event) {
    event.preventDefault();
    this._over = false;
    const tagging = this.#tagging;
    if (!event.dataTransfer || !tagging) return;
    const [item] = event.dataTransfer.items;
    const single = event.dataTransfer.items.length === 1
      ? /** @type {any} */ (item).getAsFileSystemHandle?.() : null; // before anything is awaited
    try {
      const found = await ofDrop(event.dataTransfer, (n) => this.#found(tagging, n));
      const folder = await single;
      this.add(found, folder?.kind === 'directory' ? folder : null, tagging);
    } catch (error) {
      problem(this, error);
    } finally {
      tagging.note({ doing: '' });
    }
  }

  /** A folder is looked through. @param {Tagging} tagging @param {number} n files up to now */
  #found(tagging, n) {
    tagging.note({ doing: `Reading the folder: ${count(n, 'file')}` });
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
    const tagging = /** @type {Tagging} */ (this.#tagging);
    const sidecars = tagging.sidecars().filter(({ text }) => text !== null);
    if (!sidecars.length) {
      tell(this, 'No photo has a tag yet.');
      return;
    }
    tagging.note({ doing: 'Packing' });
    try {
      const { strToU8, zip } = await import('fflate');
      const files = Object.fromEntries(sidecars.map(({ path, text }) => [path, strToU8(/** @type {string} */ (text))]));
      const packed = await new Promise((resolve, reject) => {
        zip(files, { level: 6 }, (error, data) => (error ? reject(error) : resolve(data)));
      });
      this.#save(new Blob([packed], { type: 'application/zip' }), 'tags-xmp.zip');
    } catch (error) {
      problem(this, error);
    } finally {
      tagging.note({ doing: '' });
    }
  }

  /** Side-cars into the folder itself. */
  async #beside() {
    const tagging = /** @type {Tagging} */ (this.#tagging);
    const sidecars = tagging.sidecars();
    tagging.note({ written: null });
    try {
      const asked = /** @type {any} */ (tagging.folder);
      const allowed = asked?.requestPermission ? await asked.requestPermission({ mode: 'readwrite' }) === 'granted' : Boolean(asked);
      const folder = allowed ? asked : await folders.showDirectoryPicker?.({ id: 'fl-tag', mode: 'readwrite' });
      if (!folder) return;
      const written = await writeBeside(folder, sidecars, (done, all) => tagging.note({ doing: `Writing ${done} of ${all}` }));
      tagging.note({ written });
    } catch (error) {
      problem(this, error);
    } finally {
      tagging.note({ doing: '' });
    }
  }

  #progress() {
    const { done, rows, paused, later, left } = /** @type {Tagging} */ (this.#tagging);
    if (done >= rows.length) return nothing;
    const wait = later || !this.session?.trained ? 'goes on when it has learnt' : `about ${done < 3 ? 'a moment' : seconds(left)} left`;
    return html`<div class="top">
      <div class="row"><p class="grow number"><strong>${done} of ${count(rows.length, 'photo')}</strong> <span class="soft">${paused ? 'paused' : wait}</span></p>
        <button type="button" @click=${() => { const t = /** @type {Tagging} */ (this.#tagging); if (t.paused) t.resume(); else t.pause(); }}>${paused ? 'Go on' : 'Pause'}</button></div>
      <div class="bar" role="progressbar" aria-label="Photos tagged" aria-valuemin="0" aria-valuemax=${rows.length} aria-valuenow=${done} ${vars({ '--share': done / rows.length, '--color': 'var(--accent)' })}></div>
    </div>`;
  }

  /** What has happened to the model since, and what it did to the table. */
  #since() {
    const tagging = /** @type {Tagging} */ (this.#tagging);
    const lost = [...tagging.lost].map(([name, n]) => `${count(n, 'photo')} had the tag "${name}"`).join(', ');
    return html`
      ${lost ? html`<div class="note" role="status"><div class="row"><p class="grow">${lost}. ${tagging.lost.size > 1 ? 'Those classes are gone, and the tags with them' : 'That class is gone, and the tag with it'}.</p>
        <button type="button" @click=${() => tagging.seen()}>OK</button></div></div>` : nothing}
      ${tagging.stale ? html`<div class="note" role="status"><div class="row"><p class="grow">It has learnt more since it saw these photos.</p>
        <button type="button" title="What you put right stays" @click=${() => tagging.again()}>Ask again</button></div></div>` : nothing}`;
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
    const { doing, written, batches } = /** @type {Tagging} */ (this.#tagging);
    return html`<section class="stack" aria-label="Save">
      <div class="row save">
        <button type="button" class="primary" @click=${this.#csv}>${icons.download} Table (CSV)</button>
        <button type="button" @click=${this.#json}>JSON</button>
        <button type="button" ?disabled=${Boolean(doing)} @click=${this.#zip}>${icons.tag} Tags for photo managers (zip)</button>
        ${folders.showDirectoryPicker && batches === 1 ? html`<button type="button" ?disabled=${Boolean(doing)} @click=${this.#beside}>${icons.folder} Write tags beside the photos</button>` : nothing}
      </div>
      <p class="soft small">Photos stay as they are. Tags for photo managers are small .xmp files beside them.</p>
      ${doing ? html`<p class="note" role="status">${doing} …</p>` : nothing}
      ${written ? html`<div class="note ${written.written || written.removed ? 'good' : 'bad'}" role="status"><p>${count(written.written, 'tag')} written beside the photos.</p>
        ${written.removed ? html`<p>${count(written.removed, 'tag')} of before taken away: of these photos it is not sure any more.</p>` : nothing}
        ${written.kept.length ? html`<p>${count(written.kept.length, 'file')} left alone, since another program made or changed ${written.kept.length > 1 ? 'them' : 'it'}: ${written.kept.slice(0, 3).join(', ')}${written.kept.length > 3 ? ' …' : ''}</p>` : nothing}
        ${written.missing.length ? html`<p>${count(written.missing.length, 'photo')} not in that folder. Choose the one that the photos came from.</p>` : nothing}</div>` : nothing}
    </section>`;
  }

  /** @override */
  render() {
    const { session } = this;
    const tagging = this.#tagging;
    if (!session || !tagging) return nothing;
    if (!session.trained && !tagging.rows.length) return html`<p class="card">There is nothing to tag with yet. Train first.</p>`;
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
        ${tagging.doing ? html`<p class="soft" role="status">${tagging.doing} …</p>` : nothing}${inputs}</div>${wrong}`;
    }
    const rows = this.#rows();
    return html`<div class="stack ${this._over ? 'over' : ''}" @dragover=${drag} @dragleave=${leave} @drop=${this.#drop}>
      ${this.#progress()}${this.#since()}${wrong}${this.#filters()}
      ${rows.length ? keyed(tagging, html`<fl-rows .rows=${rows} .classes=${session.classes} .picked=${this._picked} .version=${this._version}
        @fl-pick=${(/** @type {CustomEvent<Set<number>>} */ event) => { this._picked = event.detail; }}
        @fl-correct=${(/** @type {CustomEvent<{ ids: number[], tag: string | null }>} */ event) => this.#correct(event.detail.ids, event.detail.tag)}></fl-rows>`) : html`<p class="well soft">None of these.</p>`}
      ${this.#many()}
      ${this.#saving()}
      <div class="row"><button type="button" class="quiet" @click=${this.#open}>${icons.plus} Another folder</button>
        <button type="button" class="quiet" @click=${() => { tagging.clear(); this._picked = new Set(); }}>${icons.close} Start over</button></div>
      ${inputs}</div>`;
  }
}

customElements.define('fl-tag', Tag);
