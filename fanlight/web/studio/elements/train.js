import { css, html, nothing } from 'lit';
import { MEASURED, counts, measure, percent, rightOf } from './figures.js';
import { regain } from './focus.js';
import { icons } from './icons.js';
import { keepSettings, settingsOf, settle } from './keeping.js';
import { timeLeft } from './left.js';
import { Patient } from './patient.js';
import { shared, vars } from './theme.js';
import { Trash, shownClasses, shownExamples } from './trash.js';
import { Watch } from './watch.js';
import { aborted, count, plain, seconds, tell } from './words.js';
import './confusion.js';
import './settings.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { Report, Run, Settings } from '../types.js'
 * @import { Teacher } from './teacher.js'
 * @typedef {{ phase: 'prepare' | 'learn', done: number, count: number, epochs: number, history: Record<string, number[]>, rounds: number, ms: number, control: AbortController }} Work
 * rounds: that this training has done itself; ms: from the end of the first of them to the end of the last
 */

/** The curves, and the library that draws them, come with the first training. */
const draw = () => import('./curves.js').catch(() => {});

/** Fewer photos than this of a class are worth a word. */
const FEW = 10;
/** So many photos of each class, put aside, say something. */
const FEW_ASIDE = 5;

/**
 * `<fl-train>`: one button that teaches, what can be set, how it goes, and how good it is then.
 *
 * - `session`: a `TransferSession`
 */
export class Train extends Patient {
  /** @override */
  static properties = { session: { attribute: false }, _work: { state: true }, _run: { state: true }, _report: { state: true }, _error: { state: true }, _told: { state: true } };

  /** @override */
  static styles = [shared, css`
    :host { container-type: inline-size; display: grid; gap: var(--s5); grid-template-columns: minmax(0, 1fr); }
    .start { display: grid; gap: var(--s3); }
    .start .primary { min-width: 11rem; }
    .start > .row { gap: var(--s3) var(--s4); }
    .summary { flex: 1 1 14rem; }
    details { border-top: 1px solid var(--line); }
    summary { display: inline-flex; align-items: center; gap: var(--s2); min-height: var(--touch); color: var(--soft); cursor: pointer; list-style: none; }
    summary::-webkit-details-marker { display: none; }
    summary svg { width: 1.125rem; height: 1.125rem; transition: transform var(--quick); }
    details[open] summary svg { transform: rotate(180deg); }
    fl-settings { padding: var(--s3) 0 var(--s2); }
    .work { display: grid; gap: var(--s4); }
    .state { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: var(--s2) var(--s3); align-items: center; }
    .state .bar { grid-column: 1 / -1; height: 0.625rem; }
    .state .bar::before { transition: none; }
    .stage { font-size: 1.125rem; font-weight: 600; }
    .result { display: grid; grid-template-columns: minmax(0, 1fr); gap: var(--s5); }
    .verdict { display: flex; flex-wrap: wrap; align-items: center; gap: var(--s2) var(--s4); }
    .big { font-size: clamp(2.25rem, 8cqi, 3.25rem); font-weight: 700; line-height: 1.1; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
    .verdict > p + p { flex: 1 1 16rem; }
    .classes { display: grid; gap: var(--s3); }
    .classes li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: var(--s1) var(--s3); }
    .classes .bar { grid-column: 1 / -1; }
    .parts { display: grid; gap: var(--s5); grid-template-columns: minmax(0, 1fr); }
    .parts > section { display: grid; gap: var(--s3); align-content: start; grid-template-columns: minmax(0, 1fr); }
    @container (min-width: 56rem) { .parts { grid-template-columns: minmax(14rem, 1fr) minmax(0, 2fr); } }
  `];

  constructor() {
    super();
    /** @type {Teacher | null} */
    this.session = null;
    /** What is being done. @type {Work | null} */
    this._work = null;
    /** @type {Run | null} */
    this._run = null;
    /** @type {Report | null} */
    this._report = null;
    /** @type {unknown} */
    this._error = null;
    /** Whether how it learnt is shown. */
    this._told = false;
    new Watch(this, ['change', 'trained', 'saved', 'trash'], () => this.#look());
  }

  /** Show what the session has learnt, whoever taught it. */
  #look() {
    if (this._work) return;
    this._run = this.session?.project.runs.at(-1) ?? null;
    this._report = this.session?.report ?? null;
  }

  /** @override @param {PropertyValues} changed */
  willUpdate(changed) {
    if (!changed.has('session')) return;
    this.#look();
    this._error = null;
  }

  /** Whether a training goes on. */
  get busy() {
    return this._work !== null;
  }

  /** Teach, by the settings of the session. @param {{ resume?: boolean }} [options] resume: go on with what was cancelled */
  async train({ resume = false } = {}) {
    const { session } = this;
    if (!session || this._work || session.missing) return;
    draw();
    const control = new AbortController();
    const before = resume && this._run ? this._run.history : {};
    const epochs = Math.max(settingsOf(session).epochs, resume && this._run ? this._run.epochs + 1 : 0);
    this._error = null;
    this._work = {
      phase: 'prepare', done: 0, count: session.examples.length, epochs, rounds: 0, ms: 0, control,
      history: Object.fromEntries(Object.entries(before).map(([name, values]) => [name, [...values]])),
    };
    /** @param {Partial<Work>} news */
    const work = (news) => { if (this._work?.control === control) this._work = { ...this._work, ...news }; };
    await this.updateComplete;
    regain(this.renderRoot, '.state button');
    let first = 0;
    let rounds = 0;
    try {
      await settle(session);
      await Trash.of(session).empty(); // nothing is learnt of what was thrown away
      const run = await session.train({}, {
        resume,
        signal: control.signal,
        onPrepare: (done, all) => work({ done, count: all }),
        onEpoch: (epoch, logs) => {
          const now = performance.now();
          if (!rounds++) first = now;
          const history = { ...this._work?.history };
          // Where it could not go on, it begins anew, and so does what is shown.
          for (const [name, value] of Object.entries(logs)) history[name] = [...(history[name] ?? []).slice(0, epoch), value];
          work({ phase: 'learn', history, rounds, ms: now - first });
        },
      });
      this._run = run;
      this._report = run.report;
    } catch (error) {
      this._run = session.project.runs.at(-1) ?? null;
      if (!aborted(error)) this._error = error;
    } finally {
      this._work = null;
    }
    await this.updateComplete;
    if (this._report && !this._error && !control.signal.aborted) tell(this, `Done. ${this.#verdict(this._report)}`);
    regain(this.renderRoot, '#result');
    regain(this.renderRoot, '.start button');
  }

  /** Stop; what was learnt until now stays. */
  cancel() {
    this._work?.control.abort();
  }

  /** Which photos the report is of. */
  #which() {
    return this._run?.measured ?? (this.session ? measure(this.session, this._run?.settings) : 'all');
  }

  /** @param {Report} report */
  #verdict(report) {
    const which = this.#which();
    return `Right on ${rightOf(report)} ${MEASURED[which]}.`;
  }

  /** @param {Settings} settings */
  #plan(settings) {
    const session = /** @type {Teacher} */ (this.session);
    const classes = shownClasses(session);
    const examples = shownExamples(session);
    const own = counts(classes, examples);
    const photos = [...own.values()].reduce((a, b) => a + b, 0);
    const few = classes.filter(({ id }) => (own.get(id) ?? 0) < FEW).map(({ name }) => name);
    const kept = examples.filter(({ held }) => held).length;
    return html`<strong>${count(classes.length, 'class', 'classes')}, ${count(photos, 'photo')}</strong>${
      kept ? html`, and ${kept} put aside` : nothing}${
      kept && this._report && this._run?.measured !== 'held' ? ': train again to measure on them' : nothing}${settings.augment.copies && settings.head !== 'neighbours' ? html`, each with ${settings.augment.copies} altered` : nothing}.
      ${few.length && few.length <= 3 ? html`<br><span class="soft">More photos of ${few.join(', ')} will help: ${FEW} or more of each.</span>`
      : html`<br><span class="soft">Nothing leaves this device.</span>`}`;
  }

  #start() {
    const session = /** @type {Teacher} */ (this.session);
    const lacks = session.missing || (shownClasses(session).length < 2 ? 'Add a second class.' : '');
    const { head, unfreeze } = settingsOf(session);
    const was = this._run?.settings;
    // Another head, or other classes, would begin anew.
    const stopped = this._run?.stopped === 'cancelled' && was?.head === head && was.unfreeze === unfreeze && !session.untaught;
    return html`<section class="card start" aria-label="Train">
      <div class="row">
        ${stopped && !lacks ? html`
          <button type="button" class="primary big" @click=${() => this.train({ resume: true })}>Go on</button>
          <button type="button" class="big" @click=${() => this.train()}>Start again</button>` : html`
          <button type="button" class="primary big" aria-describedby="plan" ?disabled=${Boolean(lacks)} @click=${() => this.train()}>${icons.spark} ${session.trained ? 'Train again' : 'Train'}</button>`}
        <p class="summary" id="plan">${lacks ? html`<strong>${lacks}</strong>`
          : stopped ? html`<strong>Stopped after ${count(/** @type {Run} */ (this._run).epochs, 'round')}.</strong><br><span class="soft">It keeps what it has learnt until now.</span>`
          : session.untaught ? html`<strong>${session.untaught}</strong>`
          : this.#plan(settingsOf(session))}</p>
      </div>
      ${this._error ? html`<p class="note bad" role="alert">${plain(this._error)}</p>` : nothing}
      <details>
        <summary>${icons.down} More</summary>
        <fl-settings .settings=${settingsOf(session)} .session=${session} @fl-settings=${(/** @type {CustomEvent<Partial<Settings>>} */ event) => this.#keep(event.detail)}></fl-settings>
      </details>
    </section>`;
  }

  /** @param {Partial<Settings>} changes */
  #keep(changes) {
    keepSettings(/** @type {Teacher} */ (this.session), changes);
    this.requestUpdate();
  }

  /** @param {Work} work */
  #progress(work) {
    const learnt = work.history.loss?.length ?? 0;
    const stage = {
      prepare: work.count ? `Looking at photo ${Math.min(work.done + 1, work.count)} of ${work.count}` : 'Getting ready',
      learn: `Round ${Math.min(learnt + 1, work.epochs)} of ${work.epochs}`,
    }[work.phase];
    const share = { prepare: work.count ? work.done / work.count : 0, learn: learnt / work.epochs }[work.phase];
    return html`<section class="card work" aria-label="Training">
      <div class="state">
        <p><span class="stage number">${stage}</span><br><span class="soft number left">${timeLeft(work.rounds, work.ms, Math.max(0, work.epochs - learnt)) || 'The page stays usable.'}</span></p>
        <button type="button" @click=${this.cancel}>${icons.stop} Stop</button>
        <div class="bar" role="progressbar" aria-label=${stage} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)} ${vars({ '--share': share, '--color': 'var(--accent)' })}></div>
      </div>
      ${work.phase === 'prepare' && !learnt ? nothing : html`<fl-curves .history=${work.history} .epochs=${work.epochs}></fl-curves>`}
    </section>`;
  }

  /** @param {Report} report */
  #result(report) {
    const session = /** @type {Teacher} */ (this.session);
    const which = this.#which();
    return html`<section class="result" id="result" tabindex="-1" aria-label="How good it is">
      <div class="verdict">
        <p class="big">${percent(report.accuracy)}</p>
        <p>${this.#verdict(report)}${which === 'all' ? html`<br><span class="soft">It has seen these before. To measure honestly, put some photos aside.</span>`
          : which === 'held' && report.perClass.some(({ count: n }) => n < FEW_ASIDE) ? html`<br><span class="soft">So few say little: put ${FEW_ASIDE} or more of each class aside.</span>`
          : this._run ? html`<br><span class="soft">Learnt in ${seconds(this._run.seconds)}${this._run.stopped === 'early' ? ', and stopped by itself' : ''}.</span>` : nothing}</p>
      </div>
      <div class="parts">
        <section>
          <h3>Each class</h3>
          <ul class="classes">${report.perClass.map(({ class: id, count: n, accuracy }) => {
            const { name = 'a class that is gone', color = '#888' } = session.classes.find((c) => c.id === id) ?? {};
            return html`<li><span class="break">${name}</span><span class="number">${n ? html`${percent(accuracy)} <span class="soft small">of ${n}</span>` : html`<span class="soft small">no photos to check</span>`}</span>
              <span class="bar" ${vars({ '--share': n ? accuracy : 0, '--color': color })}></span></li>`;
          })}</ul>
        </section>
        <section>
          <h3>What it mixes up</h3>
          <fl-confusion .report=${report} .session=${session}></fl-confusion>
        </section>
      </div>
      ${this._run?.history.loss?.length ? html`<details ?open=${this._told} @toggle=${(/** @type {Event} */ { target }) => {
        draw();
        this._told = /** @type {HTMLDetailsElement} */ (target).open;
      }}><summary>${icons.down} How it learnt</summary>
        ${this._told ? html`<fl-curves .history=${this._run.history} .epochs=${this._run.epochs}></fl-curves>` : nothing}</details>` : nothing}
    </section>`;
  }

  /** @override */
  render() {
    if (!this.session) return nothing;
    return html`
      ${this._work ? this.#progress(this._work) : this.#start()}
      ${!this._work && this.session.trained && this._report?.count ? this.#result(this._report) : nothing}`;
  }
}

customElements.define('fl-train', Train);
