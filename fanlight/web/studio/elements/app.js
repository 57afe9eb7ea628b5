import { LitElement, css, html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import './collect.js';
import './status.js';
import './toast.js';
import { TransferSession } from '../session.js';
import { icons } from './icons.js';
import { turn } from './patient.js';
import { keepForOffline } from '../shell.js';
import { shared } from './theme.js';
import { Trash, shownClasses, shownExamples } from './trash.js';
import { Watch } from './watch.js';
import { FULL, aborted, problem } from './words.js';
/**
 * @import { Progress } from '../../runtime/types.js'
 * @import { FlAbout } from './about.js'
 * @import { FlProjects } from './projects.js'
 * @import { FlToast } from './toast.js'
 * @import { Session } from './session.js'
 * @typedef {'collect' | 'train' | 'try' | 'keep'} Step
 * @typedef {Session & { dispose: () => void }} Own
 */

/** What stays written until something is done about it: storage, a newer Studio, another tab. */
const LASTING = ['E-STUDIO-030', 'E-STUDIO-031', 'E-STUDIO-033'];
/** Between two looks at how full the storage is. */
const USAGE_MS = 5000;
/** The page may take so long to come to a step. */
const GO_MS = 1000;
/** After the last thing that the visitor waits for, before more is fetched. */
const IDLE_MS = 3000;
/** Errors that a report of a fault tells of: the latest. */
const ERRORS = 5;

/** @type {[Step, string, keyof typeof icons][]} */
const STEPS = [['collect', 'Collect', 'photos'], ['train', 'Train', 'spark'], ['try', 'Try', 'eye'], ['keep', 'Keep', 'gift']];

/**
 * `<fanlight-studio src="./">`: the whole of Studio. `src` is the folder of a studio.json, or of a bundle that trains;
 * or `session` is given by a script. Its steps are elements of their own, each with the property `session`. Event:
 * `fanlight-ready`, when the first step is shown with a session.
 */
export class FanlightStudio extends LitElement {
  /**
   * Opens the session of `src`; a page in one file has a way of its own.
   * @type {(source: URL, options: { signal: AbortSignal, onProgress: (progress: Progress) => void }) => Promise<any>}
   */
  static open = (source, options) => TransferSession.open(source, options);

  /** @override */
  static properties = {
    src: {}, heading: {}, session: { attribute: false }, progress: { state: true }, trouble: { state: true }, newer: { state: true }, room: { reflect: true },
    online: { state: true }, offline: { state: true }, install: { state: true }, full: { state: true }, seen: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    :host { --foot: 0px; min-height: 100vh; min-height: 100dvh; }
    .page { max-width: 92rem; margin: 0 auto; padding: var(--s3) clamp(0.75rem, 2.5vw, 2rem) var(--s6); }
    .top { display: flex; align-items: center; gap: var(--s2) var(--s3); min-height: var(--touch); margin-bottom: var(--s4); }
    .mark { display: flex; align-items: center; gap: var(--s3); flex: none; font-weight: 650; letter-spacing: -0.01em; }
    .mark svg { width: 2.75rem; height: 1.6rem; stroke: #fff; stroke-width: 2.5; }
    .mark .pane { fill: var(--glow); stroke: none; }
    .project { display: flex; align-items: center; min-width: 0; flex: 1; gap: var(--s1); padding-left: var(--s3); border-left: 1px solid var(--line); }
    .project input[type='text'] { flex: 0 1 auto; width: auto; min-width: 4rem; border-color: transparent; background: transparent; text-overflow: ellipsis; }
    .project input[type='text']:hover { border-color: var(--edge); }
    .project input[type='text']:focus { border-color: var(--accent); background: var(--card); outline-offset: 0; }
    .top button { flex: none; }
    .state { display: flex; align-items: center; gap: var(--s1); color: var(--soft); font-size: 0.875rem; white-space: nowrap; }
    .state .wide { display: flex; }
    .state svg { width: 1.25rem; height: 1.25rem; }
    .hello { margin: var(--s2) 0 var(--s5); }
    .hello h1 { font-size: clamp(1.5rem, 3.2vw, 2.125rem); line-height: 1.2; letter-spacing: -0.02em; text-wrap: balance; }
    .hello p { margin-top: var(--s1); color: var(--soft); font-size: 1.0625rem; }

    main.steps { display: grid; grid-template-columns: minmax(0, 1fr); gap: var(--s5); align-items: start; }
    .step { scroll-margin-top: var(--s3); min-width: 0; }
    .step:focus, #tag:focus { outline: none; }
    .step > h2 { display: flex; align-items: center; gap: var(--s2); margin-bottom: var(--s3); }
    .n { display: grid; place-items: center; width: 1.75rem; height: 1.75rem; border-radius: 50%; background: var(--well); color: var(--soft);
      font-size: 0.9375rem; font-weight: 650; letter-spacing: 0; }
    .n svg { width: 1.125rem; height: 1.125rem; stroke-width: 2.5; }
    @media (forced-colors: active) { .now .n { border: 2px solid Highlight; } }
    .now .n { background: var(--accent); color: var(--on-accent); }
    .done .n { background: var(--good-wash); color: var(--good); }
    .soon { display: grid; gap: var(--s2); }
    .blank { height: 11.3rem; border: 1px solid var(--line); border-radius: var(--r3); background: var(--card); }
    .blank + .blank { margin-top: var(--s3); }
    .blank.low { height: 3.25rem; border-style: dashed; background: transparent; }

    @media (min-width: 44rem) {
      main.steps { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: var(--s5) var(--s4); }
      .collect, .keep { grid-column: 1 / -1; }
    }
    @media (min-width: 68rem) {
      main.steps { grid-template: 'collect train try' auto 'collect keep keep' 1fr / minmax(0, 1.35fr) minmax(0, 1fr) minmax(0, 1fr); gap: var(--s5); }
      .collect { grid-area: collect; } .train { grid-area: train; } .try { grid-area: try; } .keep { grid-area: keep; }
    }
    nav.foot {
      position: fixed; z-index: 10; right: 0; bottom: 0; left: 0; display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; border-top: 1px solid var(--line);
      background: var(--card); padding-bottom: env(safe-area-inset-bottom);
    }
    nav.foot button { flex-direction: column; gap: 0; min-height: 3.5rem; padding: var(--s1); border: 0; border-radius: 0; background: transparent;
      color: var(--soft); font-size: 0.8125rem; }
    nav.foot button.now { color: var(--accent); font-weight: 650; }
    nav.foot button.done { color: var(--good); }
    nav.foot :focus-visible { outline-offset: -3px; }
    @media (min-width: 68rem) { nav.foot { display: none; } }
    @media (max-width: 67.99rem) { :host(:not([room='tag'])) { --foot: 3.5rem; } .page { padding-bottom: 6.5rem; } }
    @media (max-width: 48rem) { .state span, .state .wide, .mark span, .wide { display: none; } .project { padding-left: var(--s2); } .top { gap: var(--s2); } }
    @media (max-width: 30rem) { .top button.quiet { padding: 0 var(--s2); } }
    .about { margin-top: var(--s5); text-align: center; }
    .skip { position: absolute; z-index: 60; top: var(--s2); left: var(--s2); padding: var(--s2) var(--s4); border-radius: var(--r2); background: var(--accent);
      color: var(--on-accent); }
    .skip:not(:focus) { clip-path: inset(50%); }
  `];

  #asked = false;
  #looked = -USAGE_MS;
  #preparing = false;
  /** The project's name while it is being typed. @type {string | null} */
  #typing = null;
  #kept = false;
  /** What went wrong lately. @type {unknown[]} */
  #errors = [];
  /** @type {AbortController | null} */
  #opening = null;
  /** The session that was opened here, and is closed here; one that a script gave is the script's. @type {Own | null} */
  #own = null;
  /** @type {IntersectionObserver | null} */
  #watcher = null;
  /** When the visitor went to a step, which may be one that the page is too short for. */
  #went = -Infinity;

  constructor() {
    super();
    /** @type {string | null} */
    this.src = null;
    this.heading = 'Studio';
    /** @type {Session | null} */
    this.session = null;
    /** @type {Progress | null} */
    this.progress = null;
    /** @type {any} */
    this.trouble = null;
    /** @type {(() => Promise<boolean>) | null} */
    this.newer = null;
    /** @type {'teach' | 'tag'} */
    this.room = 'teach';
    this.online = navigator.onLine;
    /** Whether all that a visit without network needs is kept. */
    this.offline = false;
    /** The browser's offer to install the page as an app. @type {{ prompt: () => Promise<unknown> } | null} */
    this.install = null;
    /** The share of what the browser grants that is used. */
    this.full = 0;
    /** The step in sight, where they stand one below the other. @type {Step} */
    this.seen = 'collect';
    new Watch(this, ['change', 'trash', 'training', 'trained', 'features', 'saved', 'problem'], (event) => this.#heard(event));
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    for (const type of ['online', 'offline', 'fanlight-update', 'fanlight-offline', 'beforeinstallprompt', 'appinstalled', 'pagehide']) {
      window.addEventListener(type, this.#page);
    }
    for (const type of ['dragover', 'drop']) window.addEventListener(type, this.#stay);
    if (this.src !== null && !this.session) this.#open();
    customElements.whenDefined('fl-tag').then(() => this.requestUpdate());
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    for (const type of ['online', 'offline', 'fanlight-update', 'fanlight-offline', 'beforeinstallprompt', 'appinstalled', 'pagehide']) {
      window.removeEventListener(type, this.#page);
    }
    for (const type of ['dragover', 'drop']) window.removeEventListener(type, this.#stay);
    this.#opening?.abort();
    this.#watcher?.disconnect();
    this.#watcher = null;
  }

  /** A file that nobody takes must not make the browser leave the page. @param {Event} event */
  #stay = (event) => {
    if (/** @type {DragEvent} */ (event).dataTransfer?.types.includes('Files')) event.preventDefault();
  };

  /** @param {Event} event */
  #page = (event) => {
    const { type } = event;
    if (type === 'online' || type === 'offline') this.online = navigator.onLine;
    else if (type === 'fanlight-offline') this.offline = true;
    else if (type === 'appinstalled') this.install = null;
    else if (type === 'pagehide') {
      if (this.session) Trash.of(this.session).empty().catch(() => {});
    } else {
      event.preventDefault();
      if (type === 'fanlight-update') this.newer = /** @type {CustomEvent} */ (event).detail.accept;
      else this.install = /** @type {any} */ (event);
    }
  };

  async #open() {
    this.#opening?.abort();
    const opening = this.#opening = new AbortController();
    const { signal } = opening;
    this.trouble = null;
    try {
      const source = new URL(this.src || './', document.baseURI);
      const session = await FanlightStudio.open(source, {
        signal, onProgress: (/** @type {Progress} */ progress) => { if (!signal.aborted) this.progress = progress; },
      });
      if (signal.aborted) { // another one is wanted by now, or none
        session?.dispose();
        return;
      }
      this.session = this.#own = session;
      this.trouble = session?.problem;
    } catch (error) {
      if (!aborted(error) && opening === this.#opening) {
        this.#note(error);
        this.trouble = error;
      }
    }
  }

  /** Close a session that was opened here, with what was thrown away in it. @param {Own} session */
  async #close(session) {
    this.#own = null;
    await Trash.of(session).empty().catch((error) => this.#failed(error));
    session.dispose();
  }

  /** @param {unknown} error */
  #note(error) {
    if (!aborted(error)) this.#errors = [...this.#errors, error].slice(-ERRORS);
  }

  /** What could not be done is said at the foot of the page. @param {unknown} error */
  #failed(error) {
    this.#note(error);
    problem(this.renderRoot.querySelector('.page') ?? this, error);
  }

  /** @param {Event} event */
  #heard(event) {
    if (event.type === 'problem') {
      const { detail } = /** @type {CustomEvent} */ (event);
      if (LASTING.includes(detail?.code) || detail === this.session?.problem) {
        this.#note(detail);
        this.trouble = detail;
      } else this.#failed(detail);
    }
    if (event.type === 'change') this.#prepare();
    // It was of another project, or was trained again.
    if (this.trouble?.code === 'E-STUDIO-034' && !this.session?.problem) this.trouble = null;
    // What it learns with is there: it is used, and the rest may come while nobody waits for anything.
    const { done, count } = /** @type {CustomEvent} */ (event).detail ?? {};
    if (event.type === 'trained' || (event.type === 'features' && done === count)) this.#keep();
    return event.type !== 'features'; // many, and the app shows none of it
  }

  /** @override @param {Map<PropertyKey, unknown>} changed */
  updated(changed) {
    if (changed.has('src') && changed.get('src') !== undefined && this.src !== null && this.isConnected) {
      if (this.session === this.#own) this.session = null;
      this.#open();
    }
    if (this.#own && this.session !== this.#own) this.#close(this.#own);
    if (changed.has('session') && this.session) {
      this.#prepare();
      this.dispatchEvent(new Event('fanlight-ready'));
      if (this.session.examples.length) this.#keep(); // a later visit
    }
    this.#look();
  }

  /** Once: keep what a visit without network needs, after all that the visitor waits for. */
  #keep() {
    if (this.#kept) return;
    this.#kept = true;
    setTimeout(() => {
      (globalThis.requestIdleCallback ?? setTimeout)(async () => {
        while (/** @type {any} */ (this.session)?.busy) await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
        keepForOffline();
      });
    }, IDLE_MS);
  }

  /** Which step is in sight. */
  #look() {
    const steps = this.renderRoot.querySelectorAll('.step');
    if (this.#watcher || !steps.length) return;
    const within = new Set();
    this.#watcher = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) within[isIntersecting ? 'add' : 'delete'](target.id);
      if (performance.now() > this.#went + GO_MS) this.seen = STEPS.find(([step]) => within.has(step))?.[0] ?? this.seen; // of several side by side, the first
    }, { rootMargin: '-40% 0px -55%' });
    for (const step of steps) this.#watcher.observe(step);
  }

  /** A new project has two classes; with the first photos the browser is asked to keep them. */
  async #prepare() {
    const { session } = this;
    if (!session || this.#preparing) return;
    this.#preparing = true;
    try {
      if (!session.classes.length && !session.examples.length) {
        for (const n of [1, 2]) await session.addClass(`Class ${n}`);
      }
      if (session.examples.length && !this.#asked) {
        this.#asked = true;
        await session.store?.persist();
      }
      if (!session.examples.length || performance.now() < this.#looked + USAGE_MS) return;
      this.#looked = performance.now();
      const usage = await session.store?.usage();
      this.full = usage?.quota ? usage.used / usage.quota : 0;
    } catch (error) {
      if (session === this.session) this.#failed(error);
    } finally {
      this.#preparing = false;
      if (session !== this.session) this.#prepare();
    }
  }

  /** @param {Event} event */
  async #rename({ target }) {
    const input = /** @type {HTMLInputElement} */ (target);
    const name = input.value.trim().slice(0, 80);
    const { session } = this;
    if (!session || !name) {
      input.value = session?.project.name ?? '';
      return;
    }
    try {
      await session.rename(name);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** An offer can be taken up once: where the visitor says no, the browser may make another one. */
  async #install() {
    const offer = this.install;
    this.install = null;
    try {
      await offer?.prompt();
    } catch (error) {
      this.#failed(error);
    }
  }

  async #projects() {
    try {
      await import('./projects.js');
      await /** @type {FlProjects | null} */ (this.renderRoot.querySelector('fl-projects'))?.show();
    } catch (error) {
      this.#failed(error);
    }
  }

  async #about() {
    try {
      await import('./about.js');
      await /** @type {FlAbout | null} */ (this.renderRoot.querySelector('fl-about'))?.show(this.#errors);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** @returns {Record<Step, boolean>} what is done */
  get #done() {
    const { session } = this;
    if (!session) return { collect: false, train: false, try: false, keep: false };
    const some = new Set(shownExamples(session).filter(({ held }) => !held).map((one) => one.class));
    const collect = shownClasses(session).length > 1 && shownClasses(session).every(({ id }) => some.has(id));
    return { collect, train: session.trained && !session.untaught, try: false, keep: false };
  }

  /** @param {Step | 'tag'} step */
  #go(step) {
    if (step !== 'tag') this.seen = step;
    this.#went = performance.now();
    const section = /** @type {HTMLElement | null} */ (this.renderRoot.querySelector(`#${step}`));
    section?.scrollIntoView({ behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
    section?.focus({ preventScroll: true });
  }

  #header() {
    const { session } = this;
    const kept = Boolean(session?.store) && session?.store?.keeps !== false;
    const tag = customElements.get('fl-tag') && session;
    return html`
      <header class="top">
        <div class="mark"><svg viewBox="0 0 64 36" role="img" aria-label=${this.heading}><path class="pane" d="M2 34a30 30 0 0 1 60 0z"/><path
          d="M22 34a10 10 0 0 1 20 0M32 24V4M25 27 11 13M39 27 53 13"/></svg><span aria-hidden="true">${this.heading}</span></div>
        <div class="project">
          ${session ? html`
            <input type="text" aria-label="Name of the project" maxlength="80" autocomplete="off" spellcheck="false"
              size=${Math.max(8, Math.min(32, session.project.name.length))} .value=${live(this.#typing ?? session.project.name)}
              @input=${(/** @type {Event} */ { target }) => { this.#typing = /** @type {HTMLInputElement} */ (target).value; }} @blur=${() => { this.#typing = null; }}
              @change=${this.#rename} @keydown=${(/** @type {KeyboardEvent} */ event) => {
                if (event.key !== 'Enter') return;
                event.preventDefault(); // else the button would be pressed
                /** @type {HTMLElement | null} */ (this.renderRoot.querySelector('.project button'))?.focus();
              }}>
            <button class="quiet" aria-label="Your projects" title="Your projects" aria-haspopup="dialog"
              @click=${this.#projects}>${icons.folder}
              <span class="wide">Projects</span></button>` : nothing}
        </div>
        <div class="state">
          ${this.online ? nothing : html`${icons.offline}<span role="status">Offline${this.offline ? ', and that is fine' : ''}</span>`}
          ${kept && this.online ? html`<i class="wide">${icons.shield}</i><span title="Photos and models stay in this browser">${this.offline
    ? 'Saved here, works offline' : 'Saved on this device'}</span>` : nothing}
        </div>
        ${this.install ? html`<button class="quiet" aria-label="Install" @click=${this.#install}>${icons.download}<span class="wide">Install</span></button>` : nothing}
        ${tag ? html`<button class=${this.room === 'tag' ? '' : 'quiet'} aria-label="Tag photos" aria-pressed=${this.room === 'tag'} @click=${() => { this.room = this.room === 'tag' ? 'teach' : 'tag'; }}>
          ${icons.tag}<span class="wide">Tag photos</span></button>` : nothing}
      </header>`;
  }

  /** @param {Step} step @param {string} name @param {number} n @param {unknown} inside */
  #step(step, name, n, inside) {
    const done = this.#done;
    const next = !done.collect ? 'collect' : !done.train ? 'train' : 'try';
    const state = done[step] ? 'done' : next === step ? 'now' : '';
    return html`
      <section class="step ${step} ${state}" id=${step} tabindex="-1" aria-labelledby="${step}-name">
        <h2 id="${step}-name" aria-current=${next === step ? 'step' : 'false'}><span class="n" aria-hidden="true">${done[step] ? icons.check : n}</span> ${name}</h2>
        ${inside}
      </section>`;
  }

  #teach() {
    const { session } = this;
    const blank = html`<div class="blank"></div>`;
    // A step that cannot be taken yet says what it is for, and no more: there is one thing to do at a time.
    const begun = session && (session.trained || shownExamples(session).length > 0);
    return html`
      <main class="steps" id="main" aria-busy=${!session} ?hidden=${this.room !== 'teach'}>
        ${this.#step('collect', 'Collect', 1, session ? html`<fl-collect .session=${session}></fl-collect>` : html`${blank}${blank}<div class="blank low"></div>`)}
        ${this.#step('train', 'Train', 2, !session ? blank : begun ? html`<fl-train .session=${session}></fl-train>` : html`
          <div class="card soon"><button class="big" aria-disabled="true" @click=${() => this.#go('collect')}>${icons.spark} Train</button>
            <p class="soft">First add photos to both classes.</p></div>`)}
        ${this.#step('try', 'Try', 3, !session ? blank : session.trained ? html`<fl-try .session=${session}></fl-try>`
    : html`<p class="card soft">Then show it something new, and see what it says.</p>`)}
        ${this.#step('keep', 'Keep', 4, !session ? blank : session.trained ? html`<fl-keep .session=${session}></fl-keep>`
    : html`<p class="card soft">Take it with you: as a web page, or as a file.</p>`)}
      </main>`;
  }

  #foot() {
    const done = this.#done;
    return html`
      <nav class="foot" aria-label="Steps" ?hidden=${this.room !== 'teach'}>
        ${STEPS.map(([step, name, icon]) => html`<button class=${this.seen === step ? 'now' : done[step] ? 'done' : ''}
          aria-current=${this.seen === step ? 'step' : 'false'} @click=${() => this.#go(step)}>${done[step] ? icons.check : icons[icon]}${name}</button>`)}
      </nav>`;
  }

  /** @override */
  render() {
    const { session, trouble } = this;
    const fresh = !session || (!session.examples.length && !session.trained);
    return html`
      <a class="skip" href="#main" @click=${(/** @type {Event} */ event) => { event.preventDefault(); this.#go(this.room === 'tag' ? 'tag' : 'collect'); }}>To the photos</a>
      <div class="page" @fl-tell=${(/** @type {CustomEvent} */ { detail }) => /** @type {FlToast | null} */ (this.renderRoot.querySelector('fl-toast.foot'))?.show(detail)}>
        ${this.#header()}
        <fl-status .ready=${Boolean(session)} .progress=${this.progress} .trouble=${trouble} .newer=${this.newer}
          .again=${!session || (trouble && trouble === session.problem && trouble.code !== 'E-STUDIO-034') ? 'Try again' : trouble?.code === 'E-STUDIO-033' ? 'Go on' : ''}
          @fl-again=${this.#again}></fl-status>
        ${this.full > FULL ? html`<p class="note bad">The space for this page is nearly full. Save projects as files, then delete what you do not need.</p>` : nothing}
        ${fresh && this.room === 'teach' ? html`<div class="hello"><h1>Show it examples. It learns to tell them apart.</h1>
          <p>Your photos never leave this device.</p></div>` : html`<h1 class="hidden-text">${this.heading}</h1>`}
        ${this.#teach()}
        ${this.room === 'tag' && session ? html`<main id="tag" tabindex="-1"><fl-tag .session=${session}></fl-tag></main>` : nothing}
        <footer class="about"><button class="quiet small soft" aria-haspopup="dialog" @click=${this.#about}>About this Studio</button></footer>
        <fl-projects .session=${session}></fl-projects>
        <fl-about .session=${session} heading="About ${this.heading}"></fl-about>
      </div>
      ${this.#foot()}
      <fl-toast class="foot"></fl-toast>`;
  }

  async #again() {
    const { session } = this;
    if (!session) {
      await this.#open();
      return;
    }
    this.trouble = null;
    try {
      // Where another tab has removed it, with the one that was used last, or a new one.
      const left = (await session.store?.projects() ?? []).filter(({ version }) => version <= 1);
      const next = left.find(({ id }) => id === session.project.id) ?? left[0];
      if (next) await session.load(next.id);
      else await session.create('My project');
      this.trouble = session.problem;
    } catch (error) {
      this.trouble = error;
    }
  }
}

// In a task of its own, after those of all the scripts that it needs.
turn().then(() => customElements.define('fanlight-studio', FanlightStudio));
