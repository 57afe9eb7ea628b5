import { css, html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import './menu.js';
import { PHOTOS, brings, dropped, pasted, prepare } from './drops.js';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared, vars } from './theme.js';
import { aborted, count, grouped, plain, problem, tell } from './words.js';
/**
 * @import { Added, ClassInfo, Example, Origin } from '../types.js'
 * @import { Session } from './session.js'
 */

/** Characters of a name. */
export const LONGEST = 80;
/** With fewer photos a class is hardly learnt. */
const FEW = 10;

/** Why a class cannot be called so; '' where it can. @param {string} name @param {ClassInfo[]} others */
export const wrongName = (name, others) => {
  if (!name.trim()) return 'A class needs a name.';
  if (name.trim().length > LONGEST) return `A name has at most ${LONGEST} characters.`;
  const same = name.trim().toLowerCase();
  return others.some((one) => one.name.trim().toLowerCase() === same) ? 'Another class has this name already.' : '';
};

/** How far photos are that are being added, in words. @param {{ done: number, count: number }} adding count: 0 while nobody knows */
export const howFar = ({ done, count: all }) => (
  all ? `Adding ${grouped(done)} of ${grouped(all)}` : done ? `Adding ${grouped(done)}` : 'Looking for photos');

/**
 * `<fl-class>`: a class with its name, colour and photos. Events for `<fl-collect>`: `fl-add` (detail: photos,
 * source), `fl-camera` (open or close it here), `fl-all`, `fl-remove`, `fl-move` (detail: ids), `fl-stop`, `fl-seen`.
 */
export class FlClass extends Patient {
  /** @override */
  static properties = {
    session: { attribute: false }, info: { attribute: false }, items: { attribute: false }, twins: { attribute: false }, filming: { type: Boolean },
    adding: { attribute: false }, refused: { attribute: false }, removable: { type: Boolean }, wrong: { state: true }, over: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    :host { min-height: 11.3rem; }
    .card { position: relative; padding: var(--s3); transition: background-color var(--quick); }
    .card.over { background: var(--wash); outline: 2px dashed var(--accent); outline-offset: -2px; }
    .head { display: flex; align-items: center; gap: var(--s2); }
    input.name[type='text'] { flex: 1; width: 100%; min-width: 0; border-color: transparent; background: transparent; font-weight: 600; font-size: 1.125rem; padding: 0 var(--s2);
      text-overflow: ellipsis; }
    .empty input.name[type='text'] { border-color: var(--line); }
    input.name[type='text']:hover { border-color: var(--edge); }
    input.name[type='text']:focus { border-color: var(--accent); background: var(--card); outline-offset: 0; }
    .color { position: relative; display: grid; place-items: center; width: var(--touch); height: var(--touch); flex: none; margin-left: -0.25rem; margin-right: -0.375rem; }
    .color input { position: absolute; inset: 0; width: 100%; height: 100%; min-height: 0; padding: 0; opacity: 0; cursor: pointer; }
    .color .dot { width: 1.5rem; height: 1.5rem; pointer-events: none; }
    .color:focus-within { outline: 3px solid var(--accent); outline-offset: -4px; border-radius: var(--r1); }
    .ways { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: var(--s2); }
    @media (max-width: 22rem) { .ways button { padding: 0 var(--s1); } }
    .ways button { border-color: var(--line); background: var(--well); font-weight: 600; }
    .ways button:hover { background: var(--wash); border-color: var(--glow); }
    .empty .ways button { min-height: 4.5rem; font-size: 1.0625rem; }
    .empty .ways svg { width: 1.75rem; height: 1.75rem; color: var(--accent); }
    .hint { text-align: center; }
    @media (hover: none) { .hint.drop { display: none; } }
    .stack { margin-top: var(--s2); }
    .bar { flex: 1; }
    details ul { margin-top: var(--s2); max-height: 12rem; overflow: auto; }
    summary { cursor: pointer; padding: var(--s1) 0; }
    .dismiss { float: right; }
  `];

  /** What stands in the field while it is worked on, whatever else is shown anew meanwhile. @type {string | null} */
  #typing = null;
  #naming = false;

  constructor() {
    super();
    /** @type {Session | null} */
    this.session = null;
    /** @type {ClassInfo} */
    this.info = { id: '', name: '', color: '' };
    /** @type {Example[]} */
    this.items = [];
    /** @type {ReadonlySet<string>} */
    this.twins = new Set();
    this.filming = false;
    /** `count` is 0 while nobody knows how many there are. @type {{ done: number, count: number } | null} */
    this.adding = null;
    /** @type {Added['refused']} */
    this.refused = [];
    this.removable = true;
    this.wrong = '';
    this.over = false;
  }

  /** @param {string} name @param {unknown} [detail] */
  #say(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  /** @param {Event} event */
  #typed({ target }) {
    const { value } = /** @type {HTMLInputElement} */ (target);
    this.#typing = value;
    this.wrong = wrongName(value, this.session?.classes.filter(({ id }) => id !== this.info.id) ?? []);
  }

  /** @param {Event} event */
  async #named(event) {
    this.#typed(event);
    const input = /** @type {HTMLInputElement} */ (event.target);
    if (this.wrong || input.value.trim() === this.info.name) return;
    this.#naming = true;
    try {
      await this.session?.renameClass(this.info.id, input.value.trim());
    } catch (error) {
      this.wrong = plain(error);
    }
    this.#naming = false;
    if (this.shadowRoot?.activeElement !== input) this.#typing = null;
  }

  /** A name that cannot be is given up when the field is left. @param {FocusEvent} event */
  #left({ target }) {
    if (!this.#naming) this.#typing = null; // else it is shown until it is kept
    if (!this.wrong) return;
    /** @type {HTMLInputElement} */ (target).value = this.info.name;
    this.wrong = '';
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const input = /** @type {HTMLInputElement} */ (event.target);
    if (event.key === 'Escape') {
      this.#typing = null;
      input.value = this.info.name;
    }
    if (event.key === 'Enter' || event.key === 'Escape') {
      if (this.wrong && event.key === 'Enter') return;
      event.preventDefault(); // else the button that has the keys now would be pressed
      const next = /** @type {HTMLElement | null} */ (this.renderRoot.querySelector('.ways button:last-child'));
      if (next) next.focus();
      else input.blur();
    }
  }

  /** @param {Event} event */
  async #colored({ target }) {
    try {
      await this.session?.recolorClass(this.info.id, /** @type {HTMLInputElement} */ (target).value);
    } catch (error) {
      problem(this, error);
    }
  }

  /** The browser's own window for choosing. @param {'files' | 'folder' | 'zip'} what */
  choose(what) {
    const input = /** @type {HTMLInputElement} */ (this.renderRoot.querySelector(`input.${what}`));
    input.value = '';
    input.click();
  }

  /** @param {Event} event @param {Origin} source */
  #chosen({ target }, source) {
    const { files } = /** @type {HTMLInputElement} */ (target);
    if (files?.length) this.#say('fl-add', { photos: [...files], source });
  }

  async #paste() {
    try {
      const files = [];
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((one) => one.startsWith('image/'));
        if (type) files.push(new File([await item.getType(type)], `pasted.${type.slice(6)}`, { type }));
      }
      if (files.length) this.#say('fl-add', { photos: pasted(files), source: 'paste' });
      else tell(this, 'There is no picture to paste: copy one first.');
    } catch (error) {
      if (!aborted(error)) tell(this, 'The browser does not let this page paste by itself: press Ctrl+V here instead.', { bad: true });
    }
  }

  /** @param {DragEvent} event */
  #drag(event) {
    const { dataTransfer, type } = event;
    const photos = dataTransfer?.types.includes(PHOTOS);
    if (!dataTransfer || !(photos || brings(event))) return;
    event.preventDefault();
    event.stopPropagation();
    prepare();
    if (type === 'dragover') dataTransfer.dropEffect = photos ? 'move' : 'copy';
    this.over = type === 'dragover';
    if (type !== 'drop') return;
    if (photos) this.#say('fl-move', JSON.parse(dataTransfer.getData(PHOTOS)));
    else {
      // All that is in a folder belongs to the class that it is dropped on.
      const { files, folders } = dropped(dataTransfer);
      if (folders) this.#say('fl-add', { photos: folders, source: 'file' });
      if (files.length) this.#say('fl-add', { photos: files, source: 'file' });
    }
  }

  /** What shows photos comes with the first of them, or before: when the page is idle. @override */
  willUpdate() {
    if (this.items.length && !customElements.get('fl-grid')) import('./grid.js').catch((error) => problem(this, error));
  }

  /** What is going on, or went wrong. */
  #state() {
    const { adding, refused } = this;
    return html`
      ${adding ? html`<div class="row small number">
        <span role="status">${howFar(adding)}</span>
        <div class="bar" ${vars({ '--share': adding.count ? adding.done / adding.count : 0 })}></div>
        <button class="quiet" @click=${() => this.#say('fl-stop')}>Stop</button></div>` : nothing}
      ${refused.length ? html`<div class="note bad small" role="alert">
        <button class="quiet icon dismiss" aria-label="Close this message" @click=${() => this.#say('fl-seen')}>${icons.close}</button>
        ${refused.length === 1 ? html`<p><b>${refused[0].name}</b>: ${plain(refused[0].error)}</p>` : html`<details>
          <summary>${count(refused.length, 'file')} could not be used</summary>
          <ul class="stack">${refused.slice(0, 100).map(({ name, error }) => html`<li><b>${name}</b>: ${plain(error)}</li>`)}</ul>
        </details>`}</div>` : nothing}`;
  }

  /** @override */
  render() {
    const { info, items, filming, session } = this;
    const empty = !items.length && !filming && !this.adding;
    return html`
      <section class="card ${this.over ? 'over' : ''} ${empty ? 'empty' : ''}" aria-label="Class ${info.name}" ${vars({ '--color': info.color })}
        @dragover=${this.#drag} @dragleave=${this.#drag} @drop=${this.#drag}>
        <div class="head">
          <label class="color" title="Colour"><span class="dot"></span>
            <input type="color" aria-label="Colour of ${info.name}" .value=${info.color} @change=${this.#colored}></label>
          <input class="name" type="text" aria-label="Name of the class" maxlength=${LONGEST} autocomplete="off" spellcheck="false" enterkeyhint="done"
            aria-invalid=${Boolean(this.wrong)} aria-describedby="wrong" .value=${live(this.#typing ?? info.name)}
            @focus=${(/** @type {Event} */ { target }) => /** @type {HTMLInputElement} */ (target).select()}
            @input=${this.#typed} @change=${this.#named} @blur=${this.#left} @keydown=${this.#key}>
          ${items.length ? html`<span class="badge" aria-label=${count(items.length, 'photo')}>${grouped(items.length)}</span>` : nothing}
          <fl-menu label="More for ${info.name}">
            <button @click=${() => this.choose('folder')}>${icons.folder} A whole folder</button>
            <button @click=${() => this.choose('zip')}>${icons.zip} A zip file</button>
            <button @click=${this.#paste}>${icons.paste} Paste a picture</button>
            ${items.length ? html`<button @click=${() => this.#say('fl-all')}>${icons.photos} See all photos</button>` : nothing}
            ${this.removable ? html`<hr><button @click=${() => this.#say('fl-remove')}>${icons.trash} Remove this class</button>` : nothing}
          </fl-menu>
        </div>
        <p id="wrong" class="small note bad" role="alert" ?hidden=${!this.wrong}>${this.wrong}</p>
        <div class="stack">
          ${filming ? html`<fl-camera .session=${session} .to=${info.id} .name=${info.name} @fl-close=${() => this.#say('fl-camera')}
            @fl-files=${() => this.choose('files')}></fl-camera>` : html`
          <div class="ways">
            <button class="big" @click=${() => this.#say('fl-camera')}>${icons.camera} Camera</button>
            <button class="big" @click=${() => this.choose('files')}>${icons.photos} Photos</button>
          </div>`}
          ${this.#state()}
          ${items.length ? html`<fl-grid rows="2" side="76" .session=${session} .items=${items} .twins=${this.twins}
            label="Photos of ${info.name}"></fl-grid>` : nothing}
          ${empty ? html`<p class="hint drop soft small">or drop photos here</p>` : nothing}
          ${items.length && items.length < FEW && !this.adding ? html`<p class="hint soft small">A good start. ${FEW} or more work best.</p>` : nothing}
        </div>
        <div hidden>
          <input class="files" type="file" accept="image/*,.zip" multiple aria-label="Photos" @change=${(/** @type {Event} */ event) => this.#chosen(event, 'file')}>
          <input class="folder" type="file" webkitdirectory multiple aria-label="Folder" @change=${(/** @type {Event} */ event) => this.#chosen(event, 'file')}>
          <input class="zip" type="file" accept=".zip,application/zip" aria-label="Zip file" @change=${(/** @type {Event} */ event) => this.#chosen(event, 'zip')}>
        </div>
      </section>`;
  }
}

customElements.define('fl-class', FlClass);
