import { Trash } from './trash.js';
import { css, html, nothing } from 'lit';
import './dialog.js';
import './menu.js';
import { Keys, regain } from './focus.js';
import { icons } from './icons.js';
import { Patient } from './patient.js';
import { shared, vars } from './theme.js';
import { Watch } from './watch.js';
import { FULL, aborted, bytes, count, plain, problem, tell } from './words.js';
/**
 * @import { FlDialog } from './dialog.js'
 * @import { Project } from '../types.js'
 * @import { Session } from './session.js'
 */

/** How long a deleted project can be had back. */
const KEEP_MS = 12_000;

/** `Today 14:05`, `3 May`. @param {number} at */
const when = (at) => {
  const then = new Date(at);
  const today = new Date().toDateString() === then.toDateString();
  return today ? `Today ${then.toLocaleTimeString('en', { hour: '2-digit', minute: '2-digit', hour12: false })}`
    : then.toLocaleDateString('en', { day: 'numeric', month: 'short', year: 'numeric' });
};

/**
 * `<fl-projects>`: the projects of this browser: open, begin, rename, copy, delete, save as a file, open a file; and how
 * much room they take. `show()`.
 */
export class FlProjects extends Patient {
  /** @override */
  static properties = {
    session: { attribute: false }, list: { state: true }, counts: { state: true }, usage: { state: true }, renaming: { state: true },
    busy: { state: true }, gone: { state: true }, wrong: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    .list { display: grid; gap: var(--s2); margin: var(--s4) 0; }
    li { display: flex; align-items: center; gap: var(--s2); border: 1px solid var(--line); border-radius: var(--r2); background: var(--card); }
    li.now { border-color: var(--accent); }
    .open { flex: 1; min-width: 0; display: grid; justify-content: start; justify-items: start; grid-template-columns: minmax(0, 1fr); gap: 0; padding: var(--s2) var(--s4); border-color: transparent; background: transparent;
      text-align: start; }
    .open b { max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
    form { display: flex; flex: 1; min-width: 0; gap: var(--s2); padding: var(--s2); }
    form input { flex: 1; width: 100%; }
    .dots { display: inline-flex; gap: 0.25rem; vertical-align: middle; }
    .dots .dot { width: 0.625rem; height: 0.625rem; }
    .bar { margin: var(--s2) 0; }
    .room { margin-top: var(--s5); }
  `];

  #timer = 0;
  #keys = new Keys();
  /** The project that was dealt with last: its row has the keys. */
  #last = '';

  constructor() {
    super();
    /** @type {Session | null} */
    this.session = null;
    /** @type {Project[]} */
    this.list = [];
    /** @type {Record<string, number>} */
    this.counts = {};
    /** @type {{ used: number, quota: number, persisted: boolean } | null} */
    this.usage = null;
    this.renaming = '';
    this.busy = '';
    /** The id of the project that was deleted and can be had back. */
    this.gone = '';
    /** @type {unknown} */
    this.wrong = null;
    new Watch(this, ['change', 'saved']);
  }

  get #dialog() {
    return /** @type {FlDialog | null} */ (this.renderRoot.querySelector('fl-dialog'));
  }

  /** What is told here is told in the window. @returns {Element} */
  get #inside() {
    return this.renderRoot.querySelector('.all') ?? this;
  }

  async show() {
    await this.updateComplete; // this part may have come only now
    this.wrong = null;
    this.renaming = '';
    await this.#read();
    await this.#dialog?.show();
  }

  async #read() {
    const store = this.session?.store;
    if (!store) return;
    try {
      this.list = await store.projects();
      const counted = await Promise.all(this.list.map(async ({ id }) => [id, (await store.examples(id).catch(() => [])).length]));
      this.counts = Object.fromEntries(counted);
      this.usage = await store.usage();
    } catch (error) {
      this.wrong = error;
    }
  }

  /** @param {string} busy @param {() => Promise<unknown>} work @returns {Promise<boolean>} whether it was done */
  async #do(busy, work) {
    if (this.busy) return false;
    this.busy = busy;
    this.wrong = null;
    try {
      await work();
      return true;
    } catch (error) {
      if (!aborted(error)) this.wrong = error;
      return false;
    } finally {
      this.busy = '';
      this.#read();
    }
  }

  /** @param {string} id */
  async #open(id) {
    const { session } = this;
    if (!session) return;
    if (id === session.project.id) this.#dialog?.close();
    else if (await this.#do('Opening…', async () => {
      await Trash.of(session).empty();
      await session.load(id);
    })) this.#dialog?.close();
  }

  async #begin() {
    const { session } = this;
    const names = new Set(this.list.map(({ name }) => name));
    let n = 2;
    while (names.has(`My project ${n}`)) n++;
    const name = names.has('My project') ? `My project ${n}` : 'My project';
    const done = await this.#do('Opening…', async () => {
      if (session) await Trash.of(session).empty();
      await session?.create(name);
    });
    if (done) this.#dialog?.close();
  }

  /** @param {SubmitEvent} event @param {Project} project */
  async #rename(event, project) {
    event.preventDefault();
    const name = new FormData(/** @type {HTMLFormElement} */ (event.target)).get('name');
    this.renaming = '';
    const text = `${name ?? ''}`.trim().slice(0, 80);
    const { session } = this;
    if (!session || !text || text === project.name) return;
    await this.#do('Saving…', async () => (
      project.id === session.project.id ? session.rename(text) : session.store?.update(project.id, { name: text })));
  }

  /** @param {Project} project */
  async #delete(project) {
    await this.#forget();
    const at = this.list.findIndex(({ id }) => id === project.id);
    this.#last = (this.list[at + 1] ?? this.list[at - 1])?.id ?? '';
    this.gone = project.id;
    this.#wait();
    tell(this.#inside, `${project.name} deleted`, { label: 'Undo', act: () => {
      if (this.gone !== project.id) {
        tell(this.#dialog?.open ? this.#inside : this, `It was too late: ${project.name} is gone.`, { bad: true });
        return;
      }
      clearTimeout(this.#timer);
      this.gone = '';
      this.#last = project.id;
    } });
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    addEventListener('pagehide', this.#left);
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener('pagehide', this.#left);
  }

  #left = () => {
    this.#forget().catch(() => {});
  };

  /** It can be had back for a while, in the window or, once that is closed, on the page. */
  #wait() {
    clearTimeout(this.#timer);
    if (this.gone) this.#timer = setTimeout(() => this.#forget().catch((error) => problem(this, error)), KEEP_MS);
  }

  /** @override */
  willUpdate() {
    this.#keys.before(this.shadowRoot);
  }

  /** Rows come and go: one of them has the keys. @override */
  updated() {
    if (!this.#keys.gone(Boolean(this.busy))) return;
    regain(this.renderRoot, `[data-id='${this.#last}'] .open`);
    regain(this.renderRoot, '.open');
  }

  /** What was deleted goes for good. */
  async #forget() {
    clearTimeout(this.#timer);
    const { gone, session } = this;
    if (!gone || !session?.store) return;
    this.gone = '';
    this.list = this.list.filter(({ id }) => id !== gone);
    await session.store.remove(gone);
    await this.#read();
  }

  async #export() {
    await this.#do('Packing…', async () => {
      if (this.session) await Trash.of(this.session).empty();
      const file = await this.session?.export('project');
      if (!file) return;
      const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(file), download: file.name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    });
  }

  /** @param {Event} event */
  async #import({ target }) {
    const input = /** @type {HTMLInputElement} */ (target);
    const file = input.files?.[0];
    const { session } = this;
    if (!file || !session) return;
    const done = await this.#do('Unpacking…', async () => {
      await Trash.of(session).empty();
      const made = await session.importProject(file, { onProgress: (done, all) => { this.busy = `Unpacking ${done} of ${count(all, 'photo')}…`; } });
      if (made.id !== session.project.id) await session.load(made.id);
    });
    input.value = '';
    if (!done) return;
    tell(this, `${session.project.name} is open`);
    this.#dialog?.close();
  }

  /** @param {Project} project */
  #row(project) {
    const { id, name, classes, updated } = project;
    const now = id === this.session?.project.id;
    if (this.renaming === id) {
      return html`<li><form @submit=${(/** @type {SubmitEvent} */ event) => this.#rename(event, project)}>
        <input name="name" type="text" aria-label="Name of the project" maxlength="80" autocomplete="off" .value=${name}>
        <button class="primary">Save</button></form></li>`;
    }
    return html`
      <li class=${now ? 'now' : ''} data-id=${id}>
        <button class="open" ?disabled=${Boolean(this.busy)} aria-current=${now ? 'true' : 'false'} @click=${() => this.#open(id)}>
          <b>${name}</b>
          <span class="soft small number">${count(this.counts[id] ?? 0, 'photo')} · ${when(updated)}${now ? ' · open now' : ''}
            <span class="dots">${classes.slice(0, 8).map(({ color }) => html`<i class="dot" ${vars({ '--color': color })}></i>`)}</span></span>
        </button>
        <fl-menu label="More for ${name}">
          <button @click=${() => this.#edit(id)}>${icons.pen} Rename</button>
          ${now ? html`<button @click=${this.#export}>${icons.download} Save as a file</button>`
    : html`<button @click=${() => this.#delete(project)}>${icons.trash} Delete</button>`}
        </fl-menu>
      </li>`;
  }

  /** @param {string} id */
  async #edit(id) {
    this.renaming = this.#last = id;
    await this.updateComplete;
    /** @type {HTMLInputElement | null} */ (this.renderRoot.querySelector('form input'))?.select();
  }

  #room() {
    const { usage } = this;
    if (!usage?.quota) return nothing;
    const share = usage.used / usage.quota;
    return html`
      <div class="room small soft">
        <p class="number">${bytes(usage.used)} of ${bytes(usage.quota)} used on this device.</p>
        <div class="bar" ${vars({ '--share': share, '--color': share > FULL ? 'var(--bad)' : 'var(--good)' })}></div>
        <p>${usage.persisted ? 'The browser keeps it until you delete it.'
    : 'A browser short of space may clear it: save what matters as a file.'}</p>
        ${share > FULL ? html`<p class="note bad">Nearly full. Save projects as files, then delete what you do not need.</p>` : nothing}
      </div>`;
  }

  /** @override */
  render() {
    const kept = Boolean(this.session?.store);
    return html`
      <fl-dialog heading="Your projects" @close=${this.#wait}>
        <div class="all">
          <p class="small soft">All of it stays in this browser, on this device.</p>
          ${this.wrong ? html`<p class="note bad" role="alert">${plain(this.wrong)}</p>` : nothing}
          <ul class="list">${this.list.filter(({ id }) => id !== this.gone).map((project) => this.#row(project))}</ul>
          <div class="row">
            ${kept ? html`<button class="primary" ?disabled=${Boolean(this.busy)} @click=${this.#begin}>${icons.plus} New project</button>` : nothing}
            <button ?disabled=${Boolean(this.busy)} @click=${() => /** @type {HTMLElement | null} */ (this.renderRoot.querySelector('.file'))?.click()}>
              ${icons.upload} Open a file</button>
            <button ?disabled=${Boolean(this.busy)} @click=${this.#export}>${icons.download} Save as a file</button>
            <span role="status" class="soft">${this.busy}</span>
          </div>
          ${this.#room()}
          <input class="file" hidden type="file" accept=".zip,application/zip" aria-label="A project's file" @change=${this.#import}>
        </div>
      </fl-dialog>`;
  }
}

customElements.define('fl-projects', FlProjects);
