import { LitElement, css, html, nothing } from 'lit';
import { Camera, still } from '../camera.js';
import { icons } from './icons.js';
import { keepSettings, mirrored } from './keeping.js';
import { shared } from './theme.js';
import { Watch } from './watch.js';
import { aborted, count, plain, problem } from './words.js';
/** @import { Session } from './session.js' */

/** Photos a second. @type {[number, string][]} */
const RATES = [[2, 'Slow'], [5, 'Normal'], [10, 'Fast']];
/** So many may wait to be taken in; more are not taken, so that memory stays small. */
const WAITING = 40;
/** Of a countdown: seconds before it, and photos after it. */
const BEFORE = 3;
const BURST = 20;

/**
 * `<fl-camera>`: photos of a class from the camera, for as long as the button (or Space, or Enter) is held. `to` is the id of
 * the class. Events: `fl-close`; `fl-files`, where somebody would rather choose photos.
 */
export class FlCamera extends LitElement {
  /** @override */
  static properties = {
    session: { attribute: false }, to: {}, name: {}, camera: { state: true }, trouble: { state: true },
    rate: { state: true }, taken: { state: true }, left: { state: true }, holding: { state: true }, many: { state: true },
  };

  /** @override */
  static styles = [shared, css`
    :host { container-type: inline-size; }
    .view { position: relative; overflow: hidden; border-radius: var(--r2); background: #15120d; aspect-ratio: 4 / 3; max-height: 24rem; width: 100%; }
    video { width: 100%; height: 100%; object-fit: contain; }
    video.mirror { transform: scaleX(-1); }
    .view.on { outline: 4px solid #d93a2b; outline-offset: -4px; }
    .corner { position: absolute; top: var(--s2); left: var(--s2); display: flex; gap: var(--s2); padding: 0 var(--s3); border-radius: 10rem;
      background: rgb(20 16 8 / 0.7); color: #fff; line-height: 2rem; }
    .tools { position: absolute; top: var(--s2); right: var(--s2); display: flex; gap: var(--s2); }
    .tools button { border-color: transparent; background: rgb(20 16 8 / 0.7); color: #fff; }
    .tools button:hover { background: rgb(20 16 8 / 0.9); }
    .tools button[aria-pressed='true'] { background: rgb(20 16 8 / 0.7); color: #ffc27a; }
    .tools :focus-visible { outline-color: #fff; }
    .wait, .big-number { position: absolute; inset: 0; display: grid; place-items: center; color: #fff; }
    .big-number { font-size: 6rem; font-weight: 700; text-shadow: 0 2px 12px #000a; }
    .below { display: flex; flex-wrap: wrap; gap: var(--s2); margin-top: var(--s2); }
    .hold { flex: 1 1 13.5rem; padding: 0 var(--s2); user-select: none; -webkit-user-select: none; -webkit-touch-callout: none; touch-action: none; }
    .hold.on { background: #b3261a; color: #fff; }
    select { flex: 1 1 6.5rem; }
    .below .big + .big { flex: 0 1 auto; }
    @media (max-width: 30rem) { .hold { flex-basis: 100%; } .below .big + .big { flex: 1; } }
  `];

  /** @type {Blob[]} */
  #waiting = [];
  #adding = false;
  #timer = 0;
  /** The press, or the countdown, that photos are taken for: one at a time. @type {{ left: number } | null} left: how many more */
  #press = null;
  #abort = new AbortController();

  constructor() {
    super();
    /** @type {Session | null} */
    this.session = null;
    this.to = '';
    this.name = '';
    /** @type {Camera | null} */
    this.camera = null;
    /** @type {unknown} */
    this.trouble = null;
    this.rate = 5;
    this.taken = 0;
    /** Seconds left of a countdown. */
    this.left = 0;
    this.holding = false;
    this.many = false;
    new Watch(this, ['change']); // another room may say how the picture is seen
  }

  get #mirror() { return mirrored(this.session, this.camera); }

  #flip() {
    if (this.session) keepSettings(this.session, { mirror: !this.#mirror });
    this.requestUpdate();
  }

  get #video() {
    return /** @type {HTMLVideoElement | null} */ (this.renderRoot.querySelector('video'));
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    document.addEventListener('visibilitychange', this.#hidden);
    this.#open();
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener('visibilitychange', this.#hidden);
    this.#stop();
    this.#shut();
  }

  #hidden = () => {
    if (document.hidden) this.#stop();
  };

  #shut() {
    const { camera } = this;
    this.camera = null;
    camera?.stop();
  }

  /** @param {{ device?: string }} [which] */
  async #open(which) {
    this.#shut();
    this.trouble = null;
    const open = this.#abort = new AbortController();
    try {
      const camera = await Camera.open({ facing: 'user', ...which });
      if (!this.isConnected || open !== this.#abort) {
        camera.stop();
        return;
      }
      camera.addEventListener('lost', (event) => {
        if (this.camera !== camera) return;
        this.#stop();
        this.camera = null;
        this.trouble = /** @type {CustomEvent} */ (event).detail;
      });
      this.camera = camera;
      await this.updateComplete;
      const video = this.#video;
      if (video) {
        video.srcObject = camera.stream;
        await video.play();
      }
      this.many = (await Camera.list()).length > 1;
      /** @type {HTMLElement | null} */ (this.renderRoot.querySelector('.hold'))?.focus({ preventScroll: true });
    } catch (error) {
      if (open === this.#abort && !aborted(error)) this.trouble = error;
    }
  }

  /** The next of the cameras. */
  async #turn() {
    const all = await Camera.list().catch(() => []); // then the one that the browser takes
    const at = all.findIndex(({ deviceId }) => deviceId === this.camera?.device);
    await this.#open({ device: all[(at + 1) % all.length]?.deviceId });
  }

  #start() {
    if (this.holding || !this.camera || this.left) return;
    this.#begin(Infinity);
  }

  /** @param {number} most photos */
  #begin(most) {
    this.holding = true;
    this.#press = { left: most };
    this.#take(this.#press);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.holding = false;
    this.#press = null;
    this.left = 0;
  }

  /** One photo, and the next when its time comes, as long as it is for the press of now. @param {{ left: number }} press */
  async #take(press) {
    const begun = performance.now();
    const video = this.#video;
    if (!video) return;
    if (video.videoWidth && this.#waiting.length < WAITING) {
      try {
        const photo = await still(video, this.#mirror);
        this.taken++;
        press.left--;
        this.#waiting.push(photo);
        this.#add();
      } catch (error) {
        this.#stop();
        problem(this, error);
        return;
      }
    }
    if (press !== this.#press) return; // it was let go meanwhile, and perhaps pressed again
    if (press.left <= 0) this.#stop();
    else this.#timer = setTimeout(() => this.#take(press), Math.max(0, 1000 / this.rate - (performance.now() - begun)));
  }

  /** What was taken goes to the session, all that waits at a time. */
  async #add() {
    if (this.#adding || !this.session) return;
    this.#adding = true;
    const { session, to } = this;
    let on = 0; // photos on their way
    try {
      while (this.#waiting.length) {
        on = this.#waiting.length;
        const { refused } = await session.add(to, this.#waiting.splice(0), { source: 'camera' });
        on = 0;
        if (!refused.length) continue;
        // Those that wait are other photos, and may be right.
        this.taken -= refused.length;
        this.#stop();
        problem(this, refused[0].error);
      }
    } catch (error) { // no photo can be kept now
      this.#stop();
      this.taken = Math.max(0, this.taken - on - this.#waiting.length);
      this.#waiting = [];
      problem(this, error);
    } finally {
      this.#adding = false;
    }
  }

  /** Three, two, one, and both hands are free. */
  #countdown() {
    if (this.left || this.holding) {
      this.#stop();
      return;
    }
    this.left = BEFORE;
    const tick = () => {
      this.left--;
      if (this.left) this.#timer = setTimeout(tick, 1000);
      else this.#begin(BURST);
    };
    this.#timer = setTimeout(tick, 1000);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button) return;
    /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
    this.#start();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== ' ' && event.key !== 'Enter') return;
    event.preventDefault();
    if (event.type === 'keyup') this.#stop();
    else if (!event.repeat) this.#start();
  }

  /** A press without a hand or a key, as a screen reader makes it: one photo. @param {MouseEvent} event */
  #click({ detail }) {
    if (detail || this.holding) return;
    this.#start();
    this.#stop();
  }

  /** @param {string} name */
  #say(name) {
    this.dispatchEvent(new Event(name, { bubbles: true, composed: true }));
  }

  #trouble() {
    return html`
      <div class="note bad stack" role="alert">
        <p>${plain(this.trouble)}</p>
        <div class="row">
          <button @click=${() => this.#open()}>${icons.camera} Try again</button>
          <button @click=${() => this.#say('fl-files')}>${icons.photos} Choose photos</button>
          <button class="quiet" @click=${() => this.#say('fl-close')}>Close</button>
        </div>
      </div>`;
  }

  /** @override */
  render() {
    if (this.trouble) return this.#trouble();
    const ready = Boolean(this.camera);
    return html`
      <div class="view ${this.holding ? 'on' : ''}">
        <video class=${this.#mirror ? 'mirror' : ''} muted playsinline aria-label="What the camera sees"></video>
        ${ready ? nothing : html`<div class="wait">Waiting for the camera…</div>`}
        ${this.left ? html`<div class="big-number" aria-hidden="true">${this.left}</div>` : nothing}
        ${this.taken ? html`<div class="corner number">${count(this.taken, 'photo')}</div>` : nothing}
        <div class="tools">
          <button class="icon" aria-label="Mirror the picture" title="Mirror" aria-pressed=${this.#mirror} ?disabled=${!ready}
            @click=${this.#flip}>${icons.mirror}</button>
          ${this.many ? html`<button class="icon" aria-label="Other camera" title="Other camera" @click=${this.#turn}>${icons.turn}</button>` : nothing}
          <button class="icon" aria-label="Close the camera" title="Close" @click=${() => this.#say('fl-close')}>${icons.close}</button>
        </div>
      </div>
      <div class="below">
        <button class="hold primary big ${this.holding ? 'on' : ''}" ?disabled=${!ready}
          @pointerdown=${this.#down} @pointerup=${this.#stop} @pointercancel=${this.#stop} @lostpointercapture=${this.#stop}
          @click=${this.#click} @keydown=${this.#key} @keyup=${this.#key} @blur=${this.#stop} @contextmenu=${(/** @type {Event} */ event) => event.preventDefault()}>
          ${this.holding ? 'Taking photos…' : 'Hold to take photos'}
        </button>
        <button class="big" ?disabled=${!ready} aria-pressed=${Boolean(this.left)} title="Counts down, then takes ${BURST} photos"
          @click=${this.#countdown}>${icons.timer} ${BEFORE} s</button>
        <select aria-label="How fast" @change=${(/** @type {Event} */ { target }) => { this.rate = Number(/** @type {HTMLSelectElement} */ (target).value); }}>
          ${RATES.map(([rate, name]) => html`<option value=${rate} title="${rate} a second" ?selected=${rate === this.rate}>${name}</option>`)}
        </select>
      </div>
      <p class="hidden-text" role="status">${this.left ? `${this.left}` : ''}${!this.holding && this.taken ? `${count(this.taken, 'photo')} taken for ${this.name}` : ''}</p>`;
  }
}

customElements.define('fl-camera', FlCamera);
