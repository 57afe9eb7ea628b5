import { css, html, nothing } from 'lit';
import { Camera } from '../camera.js';
import { ofDrop, ofInput } from '../tagging.js';
import { MEASURED, percent, rightOf } from './figures.js';
import { Frames, frameOf } from './frames.js';
import { regain } from './focus.js';
import { icons } from './icons.js';
import { keepSettings, mirrored, settingsOf } from './keeping.js';
import { Patient } from './patient.js';
import { shared, vars } from './theme.js';
import { Trash, shownClasses } from './trash.js';
import { Watch } from './watch.js';
import { aborted, count, plain, problem, tell } from './words.js';
import './aside.js';
import './bars.js';
import './heat.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { Answer } from '../types.js'
 * @import { Correction, Teacher } from './teacher.js'
 */

/** Milliseconds between two answers that are read aloud while the camera runs. */
const SPOKEN = 4000;
/** Milliseconds until a photo is asked again that came while the session learns. */
const WAIT_MS = 300;

/**
 * `<fl-try>`: what the model says of the camera's picture or of photos, how sure it is, and what it looks at.
 * What is wrong is put right with two clicks, and learnt at once.
 *
 * - `session`: a `TransferSession` that was trained
 */
export class Try extends Patient {
  /** @override */
  static properties = {
    session: { attribute: false }, _answer: { state: true }, _error: { state: true }, _photos: { state: true }, _index: { state: true },
    _camera: { state: true }, _frozen: { state: true }, _heat: { state: true }, _busy: { state: true }, _learnt: { state: true },
    _over: { state: true }, _choosing: { state: true }, _spoken: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    :host { container-type: inline-size; }
    .both { display: grid; gap: var(--s5); grid-template-columns: minmax(0, 1fr); align-items: start; }
    @container (min-width: 44rem) { .both { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
    .look { display: grid; gap: var(--s3); }
    .view { position: relative; aspect-ratio: 1; overflow: hidden; border-radius: var(--r3); background: var(--well); }
    .view > * { position: absolute; inset: 0; width: 100%; height: 100%; }
    .view img, .view video, .view canvas { object-fit: cover; }
    .mirror { transform: scaleX(-1); }
    .view.over { outline: 3px dashed var(--accent); outline-offset: -6px; }
    .view .empty { display: grid; place-content: center; justify-items: center; gap: var(--s3); padding: var(--s4); border: 2px dashed var(--line); border-radius: inherit; color: var(--soft); text-align: center; }
    .empty svg { width: 2.5rem; height: 2.5rem; }
    .view .live { inset: var(--s3) auto auto var(--s3); width: auto; height: auto; padding: 0 var(--s3); border-radius: 10rem; background: rgb(0 0 0 / 0.62); color: #fff; font-size: 0.875rem; line-height: 1.75rem; }
    .tools > button { flex: 1 1 auto; }
    .tools > .icon { flex: none; }
    .answers { display: grid; gap: var(--s4); grid-template-columns: minmax(0, 1fr); }
    .said { display: grid; gap: 0; min-height: 4.25rem; }
    .said strong { font-size: clamp(1.75rem, 7cqi, 2.5rem); line-height: 1.15; letter-spacing: -0.02em; overflow-wrap: anywhere; }
    .said .unsure { color: var(--soft); }
    .wrong { display: grid; gap: var(--s3); }
    .chips { display: flex; flex-wrap: wrap; gap: var(--s2); }
    .chips button { max-width: 100%; border-radius: 10rem; overflow-wrap: anywhere; }
    .threshold { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 var(--s3); }
    .threshold input { grid-column: 1 / -1; }
    .change { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 var(--s2); font-size: 1.125rem; }
    .note { display: grid; gap: var(--s2); justify-items: start; }
    .switch { min-height: var(--touch); }
  `];

  /** @type {Camera | null} */
  #opened = null;
  /** @type {Frames | null} */
  #frames = null;
  /** Of several photos that are asked one after the other, only the last one is shown. */
  #turn = 0;
  #url = '';
  /** Whether the last answer was asked for what it looks at. */
  #asked = false;
  #spokenAt = 0;
  /** Whose answers are shown. */
  #project = '';
  /** Counted up where what was learnt by corrections is learnt no more. */
  #era = 0;

  constructor() {
    super();
    /** @type {Teacher | null} */
    this.session = null;
    /** @type {Answer | null} */
    this._answer = null;
    /** @type {unknown} */
    this._error = null;
    /** @type {File[]} */
    this._photos = [];
    this._index = 0;
    /** @type {'off' | 'starting' | 'on'} */
    this._camera = 'off';
    /** The camera's picture that is being put right. @type {OffscreenCanvas | null} */
    this._frozen = null;
    this._heat = false;
    this._busy = '';
    /** What a correction did. @type {(Correction & { name: string, now: number, moved: string | null }) | null} */
    this._learnt = null;
    this._over = false;
    this._spoken = '';
    /** Whether the classes to choose from are shown. */
    this._choosing = false;
    new Watch(this, ['change', 'training', 'trained', 'saved'], ({ type }) => {
      if (type === 'trained') this.#anew();
    });
  }

  /** Another project begins without what was asked in the last. @override @param {PropertyValues} changed */
  willUpdate(changed) {
    const before = this.#project;
    this.#project = this.session?.project.id ?? '';
    if (!before || (before === this.#project && !changed.get('session'))) return;
    this.stop();
    this._photos = [];
    this.#anew();
  }

  /** What was said before is of another model: it cannot be taken back any more, and photos are asked again. */
  #anew() {
    this.#era++;
    const turn = ++this.#turn;
    Object.assign(this, { _answer: null, _error: null, _learnt: null, _choosing: false, _frozen: null, _spoken: '' });
    const photo = this._photos[this._index];
    // The session answers again as soon as its training has returned.
    if (photo) setTimeout(() => turn === this.#turn && this.#ask(photo, turn, false));
  }

  #paste = (/** @type {ClipboardEvent} */ event) => {
    const files = [...event.clipboardData?.files ?? []].filter(({ type }) => type.startsWith('image/'));
    if (!files.length || !this.checkVisibility()) return;
    event.preventDefault();
    this.show(files);
  };

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    document.addEventListener('paste', this.#paste);
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener('paste', this.#paste);
    this.stop();
  }

  /** Whether the session learns, and answers when it has. */
  get #waits() { return ['train', 'load', 'import'].includes(this.session?.busy ?? ''); }

  /** Start the camera; its picture is looked at for as long as it is seen. */
  async start() {
    if (this._camera !== 'off') return;
    const turn = ++this.#turn;
    Object.assign(this, { _camera: 'starting', _photos: [], _answer: null, _error: null, _learnt: null, _frozen: null, _choosing: false });
    try {
      const camera = await Camera.open({ facing: 'environment' });
      if (turn !== this.#turn || !this.isConnected) {
        camera.stop();
        return;
      }
      this.#opened = camera;
      camera.addEventListener('lost', (event) => {
        this.stop();
        this._error = /** @type {CustomEvent} */ (event).detail;
      });
      this._camera = 'on';
      await this.updateComplete;
      regain(this.renderRoot, '.tools button');
      const video = /** @type {HTMLVideoElement} */ (this.renderRoot.querySelector('video'));
      video.srcObject = camera.stream;
      await video.play();
      this.#frames = new Frames(video, this, async () => {
        if (this._choosing || this._busy || this.#waits) return;
        await this.#ask(frameOf(video, this.#mirror), ++this.#turn, true);
      });
    } catch (error) {
      this.stop();
      if (!aborted(error)) this._error = error;
    }
  }

  get #mirror() { return mirrored(this.session, this.#opened); }

  #flip() {
    keepSettings(/** @type {Teacher} */ (this.session), { mirror: !this.#mirror });
    this.requestUpdate();
  }

  async #close() {
    this.stop();
    await this.updateComplete;
    regain(this.renderRoot, '.tools button');
  }

  /** Stop the camera. */
  stop() {
    this.#turn++;
    this.#frames?.stop();
    this.#opened?.stop();
    this.#frames = this.#opened = null;
    Object.assign(this, { _camera: 'off', _frozen: null, _choosing: false });
  }

  /** Show photos, the first one at once. @param {File[]} photos */
  async show(photos) {
    if (!photos.length) return;
    this.stop();
    this._photos = photos;
    await this.#turnTo(0);
  }

  /** @param {number} index */
  async #turnTo(index) {
    const photo = this._photos[index];
    if (!photo) return;
    Object.assign(this, { _index: index, _answer: null, _error: null, _learnt: null, _choosing: false });
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(photo);
    await this.#ask(photo, ++this.#turn, false);
  }

  /** @param {OffscreenCanvas | Blob} photo @param {number} turn @param {boolean} live */
  async #ask(photo, turn, live) {
    const { session } = this;
    if (!session) return;
    try {
      const heat = this._heat;
      const answer = await session.predict(photo, { heat });
      if (turn !== this.#turn) return;
      this.#asked = heat;
      this._answer = this.#sure(answer);
      this._error = null;
      if (live && performance.now() < this.#spokenAt + SPOKEN) return;
      this.#spokenAt = performance.now();
      this._spoken = this._answer.sure ? `${this._answer.label}, ${percent(answer.results[0].score)}` : 'Not sure';
    } catch (error) {
      if (turn !== this.#turn || aborted(error)) return;
      if (this.#waits) { // it began to learn in this moment; the camera asks again by itself
        if (!live) setTimeout(() => turn === this.#turn && this.#ask(photo, turn, false), WAIT_MS);
        return;
      }
      this._answer = null;
      this._error = error;
      if (live) this.stop();
    }
  }

  /** Choose what it really is; the camera's picture stands still meanwhile. */
  #choose() {
    const video = this.renderRoot.querySelector('video');
    if (this.#opened && video) {
      this._frozen = frameOf(video, this.#mirror);
      this.#turn++;
    }
    this._choosing = true;
    this._learnt = null;
    this.requestUpdate();
    this.updateComplete.then(() => /** @type {HTMLElement | null} */ (this.renderRoot.querySelector('.chips button'))?.focus());
  }

  /** @param {string} [next] where the keys go to */
  #leave(next = '#wrong') {
    this._choosing = false;
    this._frozen = null;
    this.#focus(next);
  }

  /** Put right what it said, and teach it at once. @param {string} id of the class that it is */
  async correct(id) {
    const { session } = this;
    const photo = this._frozen ? await this._frozen.convertToBlob({ type: 'image/jpeg', quality: 0.92 }) : this._photos[this._index];
    if (!session || !photo || this._busy) return;
    this._busy = 'Learning from it';
    const era = this.#era;
    try {
      await Trash.of(session).empty(); // nothing is learnt of what was thrown away
      const done = await session.correct(photo, id);
      const answer = await session.predict(photo, { heat: this._heat });
      if (era !== this.#era) return;
      if (!this._frozen) this._answer = this.#sure(answer);
      this._learnt = {
        ...done, moved: null, name: session.classes.find((c) => c.id === id)?.name ?? '', now: answer.results.find((r) => r.class === id)?.score ?? 0,
      };
      this._spoken = `${done.learnt === false ? 'Kept for checking' : 'Learnt'}: ${this._learnt.name}`;
    } catch (error) {
      if (era === this.#era) this._error = error;
    } finally {
      this._busy = '';
      this.#leave('#undo');
    }
  }

  /** @param {string} next the button that stands where the pressed one was */
  #focus(next) {
    this.requestUpdate();
    this.updateComplete.then(() => /** @type {HTMLElement | null} */ (this.renderRoot.querySelector(next) ?? this.renderRoot.querySelector('#wrong'))?.focus());
  }

  async #undo() {
    const { session, _learnt: learnt } = this;
    if (!session || !learnt) return;
    this._busy = 'Taking it back';
    try {
      const forgotten = await learnt.undo();
      this._learnt = null;
      tell(this, forgotten === false ? 'The photo is taken back. It has learnt anew since, from it, too.' : 'Taken back: it has forgotten that photo.');
      if (this._photos[this._index]) await this.#turnTo(this._index);
    } catch (error) {
      problem(this, error);
    } finally {
      this._busy = '';
      this.#focus('#wrong');
    }
  }

  /** @param {DragEvent} event */
  async #drop(event) {
    event.preventDefault();
    this._over = false;
    if (!event.dataTransfer) return;
    try {
      const files = (await ofDrop(event.dataTransfer)).map(({ file }) => file).filter(({ type }) => type.startsWith('image/'));
      if (files.length) this.show(files);
      else tell(this, 'There are no photos in what you dropped.', { bad: true });
    } catch (error) {
      problem(this, error);
    }
  }

  /** What a correction changed, as it is. @param {NonNullable<Try['_learnt']>} learnt */
  #effect({ before, after, measured, learnt = true, name, now, ms }) {
    const better = before && after ? Math.round((after.accuracy - before.accuracy) * after.count) : 0;
    return html`<div class="note ${better < 0 ? '' : 'good'}" role="status">
      <p>${learnt ? html`<strong>Learnt in ${(ms / 1000).toFixed(1)} seconds.</strong>` : html`<strong>Kept for checking.</strong> It learns nothing from this photo: the same one is kept aside.`}${learnt ? ` It now says ${name} with ${percent(now)}.` : nothing}</p>
      ${before && after ? html`<p class="change"><span>On ${MEASURED[measured ?? 'held']}:</span>
          <span class="number">${rightOf(before)} before, <strong>${rightOf(after)} now</strong></span></p>
        <p class="small">${better > 0 ? 'Better.' : better < 0 ? 'Worse with the others. More photos of both classes will help, or take it back.' : 'As good as before with the others.'}</p>`
      : nothing}
      <button type="button" id="undo" @click=${this.#undo}>${icons.undo} Undo</button>
    </div>`;
  }

  #view() {
    const photo = this._photos[this._index];
    return html`<div class="view ${this._over ? 'over' : ''}"
      @dragover=${(/** @type {DragEvent} */ event) => { event.preventDefault(); this._over = true; }}
      @dragleave=${() => { this._over = false; }} @drop=${this.#drop}>
      ${this._camera === 'on' ? html`<video muted playsinline class=${this.#mirror ? 'mirror' : ''} aria-label="Camera"></video>`
      : photo ? html`<img src=${this.#url} alt=${photo.name}>`
      : html`<div class="empty">${this._camera === 'starting' ? html`<p>Starting the camera</p>` : html`${icons.photos}<p>Use the camera, or drop a photo here</p>`}</div>`}
      ${this._frozen ? html`<canvas id="frozen" width="320" height="320" role="img" aria-label="The picture that is put right"></canvas>` : nothing}
      ${this._heat ? html`<fl-heat .heat=${this._answer?.heat ?? null}></fl-heat>` : nothing}
      ${this._camera === 'on' && !this._frozen ? html`<span class="live">${this.#waits ? 'Waits while it learns' : 'Live'}</span>` : nothing}
    </div>`;
  }

  /** @override */
  updated() {
    const canvas = /** @type {HTMLCanvasElement | null} */ (this.renderRoot.querySelector('#frozen'));
    if (canvas && this._frozen) canvas.getContext('2d')?.drawImage(this._frozen, 0, 0);
  }

  #said() {
    const { _answer: answer, _error: error } = this;
    if (error) return html`<p class="note bad" role="alert">${plain(error)}</p>`;
    if (!answer) return html`<div class="said"><p class="soft">${this.#waits && this._photos.length ? 'It is learning: the answer comes after that.' : this._photos.length ? 'Looking' : 'Here you see what it says.'}</p></div>`;
    return html`<div class="said"><span class="soft small">It says</span>${answer.sure ? html`<strong>${answer.label}</strong>` : html`<strong class="unsure">Not sure</strong>`}</div>`;
  }

  #wrong() {
    const session = /** @type {Teacher} */ (this.session);
    if (this._busy) return html`<p class="note" role="status">${this._busy} …</p>`;
    if (this._learnt) return this.#effect(this._learnt);
    if (!this._answer) return nothing;
    if (!this._choosing) return html`<p><button type="button" id="wrong" @click=${this.#choose}>That's wrong, it is …</button></p>`;
    return html`<div class="wrong" role="group" aria-label="What it really is" @keydown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === 'Escape') this.#leave(); }}>
      <p><strong>What is it really?</strong></p>
      <div class="chips">${shownClasses(session).map(({ id, name, color }) => html`
        <button type="button" @click=${() => this.correct(id)}><span class="dot" ${vars({ '--color': color })}></span>${name}</button>`)}
        <button type="button" class="quiet" @click=${() => this.#leave()}>Cancel</button></div>
    </div>`;
  }

  /** @param {boolean} on */
  #showHeat(on) {
    this._heat = on;
    const photo = this._photos[this._index];
    if (photo) this.#ask(photo, ++this.#turn, false);
  }

  #file() {
    /** @type {HTMLInputElement} */ (this.renderRoot.querySelector('input[type=file]')).click();
  }

  /** @override */
  render() {
    const { session } = this;
    if (!session) return nothing;
    if (!session.trained) return html`<p class="card">There is nothing to try yet. Train first.</p>`;
    const { threshold } = settingsOf(session);
    return html`${session.untaught ? html`<p class="note">${session.untaught}</p>` : nothing}<div class="both">
      <section class="look" aria-label="Picture">
        ${this.#view()}
        <div class="row tools">
          ${this._camera === 'off' ? html`<button type="button" class="primary" @click=${this.start}>${icons.camera} Use the camera</button>`
          : html`<button type="button" @click=${this.#close}>${icons.stop} Stop the camera</button>
            <button type="button" class="icon" aria-label="Mirror the picture" title="Mirror" aria-pressed=${this.#mirror} ?disabled=${this._camera !== 'on'}
              @click=${this.#flip}>${icons.mirror}</button>`}
          <button type="button" @click=${this.#file}>${icons.photos} Choose photos</button>
          <input type="file" accept="image/*" multiple hidden aria-label="Photos" @change=${(/** @type {Event} */ event) => {
            const input = /** @type {HTMLInputElement} */ (event.target);
            this.show(ofInput(input.files ?? []).map(({ file }) => file));
            input.value = '';
          }}>
        </div>
        ${this._photos.length > 1 ? html`<div class="row">
          <button type="button" class="icon" aria-label="Photo before" aria-disabled=${this._index ? 'false' : 'true'} @click=${() => this.#turnTo(this._index - 1)}>${icons.left}</button>
          <span class="number soft">${this._index + 1} of ${count(this._photos.length, 'photo')}</span>
          <button type="button" class="icon" aria-label="Next photo" aria-disabled=${this._index + 1 < this._photos.length ? 'false' : 'true'} @click=${() => this.#turnTo(this._index + 1)}>${icons.right}</button>
        </div>` : nothing}
        <label class="switch"><input type="checkbox" role="switch" .checked=${this._heat} @change=${(/** @type {Event} */ event) => this.#showHeat(/** @type {HTMLInputElement} */ (event.target).checked)}> Show where it looks</label>
        ${this._heat && this._answer?.heat === null && this.#asked ? html`<p class="soft small">What learns now cannot show it. Choose another one under Train, More.</p>` : nothing}
      </section>
      <section class="answers" aria-label="Answer">
        ${this.#said()}
        <fl-bars .results=${this._answer?.results ?? []} .classes=${session.classes} .threshold=${threshold}></fl-bars>
        ${this.#wrong()}
        <div class="threshold">
          <label for="threshold">Say "not sure" below</label><span class="number">${percent(threshold)}</span>
          <input id="threshold" type="range" min="0" max="0.99" step="0.01" .value=${String(threshold)} aria-valuetext=${percent(threshold)}
            @input=${(/** @type {Event} */ event) => this.#threshold(Number(/** @type {HTMLInputElement} */ (event.target).value))}>
        </div>
        <fl-aside .session=${session}></fl-aside>
      </section>
    </div>
    <p class="hidden-text" aria-live="polite">${this._spoken}</p>`;
  }

  /** @param {number} threshold */
  #threshold(threshold) {
    keepSettings(/** @type {Teacher} */ (this.session), { threshold });
    if (this._answer) this._answer = this.#sure(this._answer);
    this.requestUpdate();
  }

  /** An answer by the threshold that is being chosen. @param {Answer} answer @returns {Answer} */
  #sure(answer) {
    const [best] = answer.results;
    const sure = best.score >= settingsOf(/** @type {Teacher} */ (this.session)).threshold;
    return { ...answer, sure, label: sure ? best.label : null };
  }
}

customElements.define('fl-try', Try);
