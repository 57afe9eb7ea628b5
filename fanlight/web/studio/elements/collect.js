import { LitElement, css, html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { howFar } from './class_card.js';
import { brings, dropped, pasted, prepare } from './drops.js';
import { icons } from './icons.js';
import { shared, vars } from './theme.js';
import { Trash, shownClasses, shownExamples } from './trash.js';
import { groups } from './twins.js';
import { Watch } from './watch.js';
import { aborted, count, problem, tell } from './words.js';
/**
 * @import { FlClass } from './class_card.js'
 * @import { FlDialog } from './dialog.js'
 * @import { FlGallery } from './gallery.js'
 * @import { Added, ClassInfo, Example, Origin, Pair } from '../types.js'
 * @import { Session } from './session.js'
 */

/** A class with so many times fewer photos than another is pointed out. */
const UNEVEN = 3;
/** After the last change, before photos that look alike are looked for. */
const CALM_MS = 1200;
/** Between two shows of how far it is. */
const TELL_MS = 250;
/** After it was asked to look at photos, before it is said that it has not begun: the model may be on its way. */
const SOON_MS = 1000;
/** In place of a class: each photo is of the class that its folder names. */
const FOLDERS = '';
/** @param {File} file */
const isZip = ({ name, type }) => /\.zip$/i.test(name) || type === 'application/zip';

/** `<fl-collect>`: the classes of a project and their photos. */
export class FlCollect extends LitElement {
  /** @override */
  static properties = {
    session: { attribute: false }, filming: { state: true }, adding: { state: true }, refused: { state: true }, features: { state: true },
    pairs: { state: true }, loose: { state: true }, over: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    .classes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); align-items: start; gap: var(--s3); }
    .balance { display: flex; gap: 2px; height: 0.625rem; overflow: hidden; border-radius: 1rem; background: var(--well); }
    .balance i { flex: var(--n) 0 0; min-width: 4px; background: var(--color); transition: flex var(--quick); forced-color-adjust: none; }
    .ways { display: flex; flex-wrap: wrap; gap: var(--s2); }
    .add { flex: 1 1 12rem; border-style: dashed; background: transparent; color: var(--soft); }
    .add:hover { color: var(--ink); }
    .bar { flex: 1; }
    .to { display: grid; gap: var(--s2); margin-top: var(--s3); }
    .to button { justify-content: flex-start; text-align: start; overflow-wrap: anywhere; }
    .veil { position: fixed; z-index: 30; inset: var(--s4); display: grid; place-items: end center; padding: var(--s5); border: 3px dashed var(--accent);
      border-radius: var(--r3); pointer-events: none; }
    .veil span { padding: var(--s2) var(--s4); border-radius: 10rem; background: var(--accent); color: var(--on-accent); font-weight: 600; }
  `];

  #calm = 0;
  #soon = 0;
  /** When progress was shown last. */
  #told = 0;
  /** What is being added, by class. @type {Map<string, Set<{ done: number, count: number, stop: AbortController }>>} */
  #adds = new Map();
  /** The class that was worked on last: what is pasted goes there. */
  #last = '';
  /** Whose classes are shown. */
  #project = '';
  /** Whether somebody works here, and not at another step. */
  #here = true;

  constructor() {
    super();
    /** @type {Session | null} */
    this.session = null;
    /** The id of the class whose camera is on. */
    this.filming = '';
    /** @type {Record<string, { done: number, count: number } | null>} */
    this.adding = {};
    /** @type {Record<string, Added['refused']>} */
    this.refused = {};
    this.features = { done: 0, count: 0 };
    /** @type {Pair[]} */
    this.pairs = [];
    /** What was dropped beside the classes, until somebody says where it belongs. @type {{ files: File[], source: Origin } | null} */
    this.loose = null;
    this.over = false;
    new Watch(this, ['change', 'trash', 'features'], (event) => this.#heard(event));
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    for (const type of ['dragover', 'dragleave', 'drop']) document.addEventListener(type, this.#drag);
    window.addEventListener('paste', this.#paste, true);
    window.addEventListener('pointerdown', this.#near, true);
    window.addEventListener('focusin', this.#near, true);
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    for (const type of ['dragover', 'dragleave', 'drop']) document.removeEventListener(type, this.#drag);
    window.removeEventListener('paste', this.#paste, true);
    window.removeEventListener('pointerdown', this.#near, true);
    window.removeEventListener('focusin', this.#near, true);
    clearTimeout(this.#calm);
    clearTimeout(this.#soon);
    this.#soon = 0;
    this.#stop();
  }

  /** Another project begins without what was said of the last. @override @param {Map<PropertyKey, unknown>} changed */
  willUpdate(changed) {
    const project = this.session?.project?.id ?? '';
    if (!changed.has('session') && project === this.#project) return;
    this.#project = project;
    this.#stop();
    this.adding = {};
    this.loose = null;
    this.filming = '';
    this.pairs = [];
    this.refused = {};
    this.features = { done: 0, count: 0 };
    this.#alike();
  }

  /** @param {Event} event */
  #heard(event) {
    if (event.type === 'features') return this.#featured(/** @type {CustomEvent} */ (event).detail);
    if (event.type !== 'trash') this.#alike();
    this.#begins();
    return true;
  }

  /** Photos may wait for the model, of whose download not even the first bytes have come: say that they wait. */
  #begins() {
    this.#soon ||= setTimeout(() => {
      this.#soon = 0;
      const { waiting = 0, examples = [] } = this.session ?? {};
      if (!waiting || performance.now() < this.#told + SOON_MS) return;
      this.#featured({ done: examples.length - waiting, count: examples.length });
    }, SOON_MS);
  }

  /** There is one for each photo: a few of them a second are enough to see. @param {{ done: number, count: number }} features */
  #featured(features) {
    const now = performance.now();
    const last = features.done >= features.count;
    if (!last && now < this.#told + TELL_MS) return false;
    this.#told = now;
    this.features = features;
    if (last) this.#alike();
    return true;
  }

  /** Look for photos that look alike, once it is calm. */
  #alike() {
    clearTimeout(this.#calm);
    this.#calm = setTimeout(async () => {
      const { session } = this;
      if (!session || !session.examples.length) {
        this.pairs = [];
        return;
      }
      try {
        const pairs = await session.duplicates();
        if (session === this.session) this.pairs = pairs;
      } catch (error) {
        if (!aborted(error)) this.pairs = []; // it is a hint, and no more
      }
    }, CALM_MS);
  }

  /**
   * Photos of a class, or of the classes that their folders name.
   * @param {string} to the class, or FOLDERS @param {unknown} photos files, or what was gathered of a drop @param {Origin} source
   * @returns {Promise<Added | null>} null: it came to nothing, which was told
   */
  async #taken(to, photos, source) {
    const { session } = this;
    if (!session) return null;
    const project = session.project?.id;
    // How many there are nobody knows of a folder or a zip file before it was looked into.
    const known = Array.isArray(photos) && !photos.some(isZip) ? photos.length : 0;
    const one = { done: 0, count: known, stop: new AbortController() };
    const all = this.#adds.get(to) ?? new Set();
    this.#adds.set(to, all.add(one));
    this.#count(to);
    try {
      // A class that was thrown away takes no photo: it would take it along.
      if (session.classes.length > shownClasses(session).length) await Trash.of(session).empty();
      return await session.add(to === FOLDERS ? null : to, photos, { source, signal: one.stop.signal, onProgress: (done, count) => {
        Object.assign(one, { done, count: count ?? known });
        this.#count(to);
      } });
    } catch (error) {
      if (session.project?.id === project) problem(this, error);
      else tell(this, 'Another project was opened while photos came in. The rest of them were left out.', { bad: true });
      return null;
    } finally {
      all.delete(one);
      this.#count(to);
    }
  }

  /** @param {string} to @param {unknown} photos @param {Origin} source */
  async #add(to, photos, source) {
    this.#last = to;
    this.refused = { ...this.refused, [to]: [] };
    const taken = await this.#taken(to, photos, source);
    if (taken) this.refused = { ...this.refused, [to]: [...this.refused[to] ?? [], ...taken.refused] };
  }

  /** What is on its way to a class, taken together. @param {string} to */
  #count(to) {
    const all = [...this.#adds.get(to) ?? []];
    const sum = (/** @type {'done' | 'count'} */ of) => all.reduce((total, one) => total + one[of], 0);
    this.adding = { ...this.adding, [to]: all.length ? { done: sum('done'), count: all.every((one) => one.count) ? sum('count') : 0 } : null };
  }

  /** @param {string} [to] the class; default: all of them */
  #stop(to) {
    for (const [id, all] of this.#adds) if (to === undefined || id === to) for (const { stop } of all) stop.abort();
  }

  /** A name that is free. */
  #free() {
    const names = new Set(this.session?.classes.map(({ name }) => name));
    let n = names.size + 1;
    while (names.has(`Class ${n}`)) n++;
    return `Class ${n}`;
  }

  /** @returns {Promise<ClassInfo | null>} */
  async #addClass() {
    const { session } = this;
    if (!session) return null;
    try {
      return await session.addClass(this.#free());
    } catch (error) {
      problem(this, error);
      return null;
    }
  }

  async #newClass() {
    const made = await this.#addClass();
    await this.updateComplete;
    const card = this.#card(made?.id ?? '');
    await card?.updateComplete;
    /** @type {HTMLElement | null | undefined} */ (card?.renderRoot.querySelector('.name'))?.focus();
  }

  /** @param {string} id */
  #card(id) {
    return /** @type {FlClass[]} */ ([...this.renderRoot.querySelectorAll('fl-class')]).find(({ info }) => info.id === id);
  }

  /** Folders become classes, or go to those of their names. @param {unknown} photos */
  async #folders(photos) {
    const taken = await this.#taken(FOLDERS, photos, 'file');
    if (!taken) return;
    const { added, refused } = taken;
    const [first] = refused;
    if (first && !added.length) problem(this, first.error);
    else tell(this, `${count(added.length, 'photo')} added${first ? `, ${count(refused.length, 'file')} could not be used` : ''}`);
  }

  /** @param {Event} event */
  #chosen({ target }) {
    const input = /** @type {HTMLInputElement} */ (target);
    const files = [...input.files ?? []];
    input.value = '';
    if (files.length) this.#folders(files);
  }

  /** Of single photos somebody has to say what they show. @param {File[]} files @param {Origin} source */
  async #ask(files, source) {
    await import('./dialog.js');
    this.loose = { files, source };
    await this.updateComplete;
    await /** @type {FlDialog | null} */ (this.renderRoot.querySelector('.ask'))?.show();
  }

  /** @param {string | null} to */
  async #answer(to) {
    const { loose } = this;
    /** @type {FlDialog | null} */ (this.renderRoot.querySelector('.ask'))?.close();
    if (loose && to === null && loose.files.some(isZip)) {
      await this.#folders(loose.files);
      return;
    }
    const id = to ?? (await this.#addClass())?.id;
    if (loose && id) await this.#add(id, loose.files, loose.source);
  }

  #drag = async (/** @type {Event} */ anything) => {
    const event = /** @type {DragEvent} */ (anything);
    // What a card or another part of the page took is not meant for this one; neither is anything while a window is open.
    if (event.defaultPrevented || !this.session || !brings(event) || !this.checkVisibility()) {
      this.over = false;
      return;
    }
    event.preventDefault();
    prepare();
    this.over = event.type === 'dragover';
    if (event.type !== 'drop' || !event.dataTransfer) return;
    const { files, folders } = dropped(event.dataTransfer);
    if (folders) await this.#folders(folders);
    if (files.length) await this.#ask(files, 'file');
  };

  #near = (/** @type {Event} */ event) => {
    this.#here = event.composedPath().includes(this);
  };

  /** Another step may want to have what is pasted; it is for this one where this one was used last, or is all there is to do. */
  #paste = (/** @type {Event} */ anything) => {
    const { clipboardData } = /** @type {ClipboardEvent} */ (anything);
    const files = pasted(clipboardData?.files ?? []);
    if (!files.length || !this.session || !(this.#here || !this.session.trained)) return;
    anything.preventDefault();
    anything.stopImmediatePropagation();
    if (shownClasses(this.session).some(({ id }) => id === this.#last)) this.#add(this.#last, files, 'paste');
    else this.#ask(files, 'paste');
  };

  /** Open the camera at a class, or close it. @param {string} id */
  async #film(id) {
    this.filming = this.filming === id ? '' : id;
    this.#last = id;
    if (this.filming) await import('./camera_view.js').catch((error) => {
      this.filming = '';
      problem(this, error);
    });
    await this.updateComplete;
    const card = this.#card(id);
    await card?.updateComplete;
    if (this.filming) card?.scrollIntoView({ block: 'nearest', behavior: 'instant' });
    else /** @type {HTMLElement | null | undefined} */ (card?.renderRoot.querySelector('.ways button'))?.focus({ preventScroll: true });
  }

  /** The keys go to a class. @param {string} id */
  async #focus(id) {
    await this.updateComplete;
    const card = this.#card(id);
    await card?.updateComplete;
    card?.scrollIntoView({ block: 'nearest' });
    /** @type {HTMLElement | null | undefined} */ (card?.renderRoot.querySelector('input.name'))?.focus({ preventScroll: true });
  }

  /** @param {ClassInfo} info @param {number} n */
  #remove(info, n) {
    const { session } = this;
    if (!session) return;
    if (this.filming === info.id) this.filming = '';
    this.#stop(info.id);
    const shown = shownClasses(session);
    const at = shown.findIndex(({ id }) => id === info.id);
    const next = (shown[at + 1] ?? shown[at - 1])?.id ?? ''; // the keys go to its neighbour
    const trash = Trash.of(session);
    trash.put({ classes: [info.id] }).catch((error) => problem(this, error));
    tell(this, n ? `${info.name} and its ${count(n, 'photo')} removed` : `${info.name} removed`, trash.way(() => this.#focus(info.id)));
    this.#focus(next);
  }

  /** @param {string[]} ids */
  #delete(ids) {
    const { session } = this;
    if (!session) return;
    const trash = Trash.of(session);
    trash.put({ examples: ids }).catch((error) => problem(this, error));
    tell(this, `${count(ids.length, 'photo')} deleted`, trash.way());
  }

  /** @param {string[]} ids @param {string} to */
  async #move(ids, to) {
    try {
      await this.session?.move(ids, to);
    } catch (error) {
      problem(this, error);
    }
  }

  /** In the window of photos, which comes after the page can be used. @param {(gallery: FlGallery) => unknown} act */
  async #photos(act) {
    try {
      await import('./gallery.js');
      const gallery = /** @type {FlGallery | null} */ (this.renderRoot.querySelector('fl-gallery'));
      if (gallery) await act(gallery);
    } catch (error) {
      problem(this, error);
    }
  }

  /** How the photos are shared out, and a word where that is uneven. @param {ClassInfo[]} classes @param {Map<string, Example[]>} by */
  #balance(classes, by) {
    const counts = classes.map((info) => ({ info, n: by.get(info.id)?.length ?? 0 }));
    const some = counts.filter(({ n }) => n);
    if (some.length < 2) return nothing;
    const least = some.reduce((a, b) => (b.n < a.n ? b : a));
    const most = some.reduce((a, b) => (b.n > a.n ? b : a));
    return html`
      <div class="balance" role="img" aria-label=${some.map(({ info, n }) => `${info.name}: ${count(n, 'photo')}`).join(', ')}>
        ${some.map(({ info, n }) => html`<i title="${info.name}: ${n}" ${vars({ '--n': n, '--color': info.color })}></i>`)}
      </div>
      ${most.n >= UNEVEN * least.n && most.n > 10 ? html`<p class="soft small">${least.info.name} could use more photos:
        ${most.info.name} has ${Math.round(most.n / least.n)} times as many.</p>` : nothing}`;
  }

  /** @override */
  render() {
    const { session, features } = this;
    if (!session) return nothing;
    const classes = shownClasses(session);
    const examples = shownExamples(session);
    /** @type {Map<string, Example[]>} the newest first */
    const by = new Map(classes.map(({ id }) => [id, []]));
    for (let i = examples.length - 1; i >= 0; i--) by.get(examples[i].class)?.push(examples[i]);
    const adding = this.adding[FOLDERS];
    const alike = new Set(groups(this.pairs, examples).flatMap((set) => set.map(({ id }) => id)));
    return html`
      <div class="stack">
        ${this.#balance(classes, by)}
        ${adding ? html`<div class="row small number">
          <span role="status">${howFar(adding)}</span>
          <div class="bar" ${vars({ '--share': adding.count ? adding.done / adding.count : 0 })}></div>
          <button class="quiet" @click=${() => this.#stop(FOLDERS)}>Stop</button></div>` : nothing}
        <div class="${features.done < features.count ? 'row' : 'hidden-text'} small soft number" role="status">
          ${features.done < features.count ? html`<span>${features.done} of ${count(features.count, 'photo')} ready</span>
            <div class="bar" ${vars({ '--share': features.done / features.count })}></div>` : nothing}
        </div>
        <div class="classes">
          ${repeat(classes, ({ id }) => id, (info) => html`
            <fl-class .session=${session} .info=${info} .items=${by.get(info.id) ?? []} .twins=${alike} .removable=${classes.length > 1}
              .filming=${this.filming === info.id} .adding=${this.adding[info.id] ?? null} .refused=${this.refused[info.id] ?? []}
              @focusin=${() => { this.#last = info.id; }}
              @fl-camera=${() => this.#film(info.id)}
              @fl-add=${(/** @type {CustomEvent} */ { detail }) => this.#add(info.id, detail.photos, detail.source)}
              @fl-stop=${() => this.#stop(info.id)}
              @fl-seen=${() => { this.refused = { ...this.refused, [info.id]: [] }; }}
              @fl-move=${(/** @type {CustomEvent} */ { detail }) => this.#move(detail, info.id)}
              @fl-delete=${(/** @type {CustomEvent} */ { detail }) => this.#delete(detail)}
              @fl-open=${(/** @type {CustomEvent} */ { detail }) => this.#photos((gallery) => gallery.open(by.get(info.id) ?? [], detail))}
              @fl-all=${() => this.#photos((gallery) => gallery.show({ only: info.id }))}
              @fl-remove=${() => this.#remove(info, by.get(info.id)?.length ?? 0)}></fl-class>`)}
        </div>
        <div class="ways">
          <button class="add big" @click=${this.#newClass}>${icons.plus} Another class</button>
          <button class="quiet" title="Each folder becomes a class" @click=${() => /** @type {HTMLElement | null} */ (this.renderRoot.querySelector('.folders'))?.click()}>
            ${icons.folder} From folders</button>
          <input class="folders" hidden type="file" webkitdirectory multiple aria-label="Folders" @change=${this.#chosen}>
        </div>
        ${alike.size ? html`<button class="quiet small" @click=${() => this.#photos((gallery) => gallery.show({ alike: true }))}>
          ${icons.twins} ${count(alike.size, 'photo')} look alike. Have a look</button>` : nothing}
      </div>
      <fl-gallery .session=${session} .pairs=${this.pairs}></fl-gallery>
      ${this.loose ? html`<fl-dialog class="ask" heading="What do these photos show?" @close=${() => { this.loose = null; }}>
        <p class="soft">${count(this.loose.files.length, 'file')} from here go to:</p>
        <div class="to">
          ${classes.map((info) => html`<button class="big" @click=${() => this.#answer(info.id)}>
            <i class="dot" ${vars({ '--color': info.color })}></i> ${info.name}</button>`)}
          <button class="big" @click=${() => this.#answer(null)}>${this.loose.files.some(isZip)
      ? html`${icons.folder} A class for each folder in it` : html`${icons.plus} A new class`}</button>
        </div>
      </fl-dialog>` : nothing}
      ${this.over ? html`<div class="veil"><span>Drop photos, or a folder for each class</span></div>` : nothing}`;
  }
}

customElements.define('fl-collect', FlCollect);
