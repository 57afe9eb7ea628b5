import { FanlightError, load, said } from './fanlight.js';
/**
 * @import { Model } from './fanlight.js'
 * @import { ImageSource, InlineBundle, Prediction } from './types.js'
 */

const SHELL = `
<div class="stage">
  <div class="view">
    <p class="empty">Choose, drop or paste a photo</p>
    <img alt="Your photo" hidden>
    <video muted playsinline hidden aria-label="Camera"></video>
    <span class="live" hidden>Live</span>
  </div>
  <div class="tools">
    <button type="button" class="pick">Choose a photo</button>
    <button type="button" class="camera" aria-pressed="false">Use the camera</button>
    <input type="file" accept="image/*" aria-label="Photo" hidden>
  </div>
  <div class="samples" role="group" aria-label="Sample photos" hidden></div>
</div>
<div class="answers">
  <label class="loading"><span>Getting the model ready</span><progress></progress></label>
  <div class="error" role="alert" hidden><p></p><p></p></div>
  <ol aria-label="Answers"></ol>
  <p class="note"></p>
</div>
<p class="spoken" aria-live="polite"></p>`;

/**
 * `<fanlight-classifier src="folder/" top="5">`: pick, drop, paste or film, and read what it is.
 * `loading="lazy"` fetches nothing of the model before a visitor touches it; `target-ms` and `max-bytes`
 * are what a folder of tiers is chosen by. Its `<img>` children become sample photos. Events, which bubble: `fanlight-ready` (detail: the
 * model), `fanlight-result` (detail: { results, ms }), `fanlight-error` (detail: the error).
 */
export class FanlightClassifier extends HTMLElement {
  static observedAttributes = ['src'];

  /** The text of the style sheet. */
  static css = async () => (await fetch(new URL('./element.css', import.meta.url))).text();

  /** A bundle in memory that takes the place of `src`. @type {InlineBundle | undefined} */
  static bundle;

  /**
   * Settles when the model is loaded; undefined before `load` has begun. Another one after each new beginning.
   * @type {Promise<Model> | undefined}
   */
  ready;

  /** The milliseconds of the latest answers, and the latest errors: for a report. @type {number[]} */
  times = [];
  /** @type {unknown[]} */
  errors = [];

  #root = this.attachShadow({ mode: 'open' });
  /** @type {AbortController | undefined} */
  #life;
  /** @type {MediaStream | undefined} */
  #stream;
  /** @type {{ stop: () => void } | undefined} */
  #watching;
  /** `ready`, unless it has failed: then the next who needs the model begins again. @type {Promise<Model> | undefined} */
  #loading;
  #turn = 0;
  #ms = 0;
  #spoken = 0;

  /** @param {string} selector @returns {any} */
  #at(selector) {
    return this.#root.querySelector(selector);
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(`fanlight-${type}`, { detail, bubbles: true, composed: true }));
  }

  connectedCallback() {
    if (!this.#root.firstChild) this.#build();
    this.#start();
  }

  disconnectedCallback() {
    this.#film();
    this.#life?.abort();
    this.#life = undefined;
  }

  attributeChangedCallback() {
    if (this.#life) this.#start();
  }

  #build() {
    this.#root.innerHTML = SHELL;
    const sheet = new CSSStyleSheet();
    this.#root.adoptedStyleSheets = [sheet];
    sheet.replaceSync(':host { visibility: hidden }');
    FanlightClassifier.css().catch(() => '').then((css) => sheet.replaceSync(css));
    const file = this.#at('input');
    this.#at('.pick').onclick = this.#at('.empty').onclick = () => file.click();
    file.onchange = () => {
      this.#offer(file.files);
      file.value = '';
    };
    this.#at('.camera').onclick = () => this.#camera();
    const view = this.#at('.view');
    for (const type of ['dragenter', 'dragover', 'dragleave', 'drop']) {
      this.addEventListener(type, (event) => {
        event.preventDefault();
        view.classList.toggle('over', type.startsWith('drage') || type === 'dragover');
        if (type === 'drop') this.#offer(/** @type {DragEvent} */ (event).dataTransfer?.files);
      });
    }
    for (const photo of this.querySelectorAll('img')) {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(photo.cloneNode());
      button.onclick = () => this.classify(photo).catch(() => {});
      this.#at('.samples').append(button);
      this.#at('.samples').hidden = false;
    }
  }

  #start() {
    this.#life?.abort();
    const { signal } = this.#life = new AbortController();
    this.ready = this.#loading = undefined;
    addEventListener('online', () => this.ready && this.load(), { signal });
    document.addEventListener('paste', (event) => {
      if (event.clipboardData?.files.length) this.#offer(event.clipboardData.files);
    }, { signal });
    if (this.getAttribute('loading') !== 'lazy' || FanlightClassifier.bundle) {
      this.load();
      return;
    }
    this.#at('.loading').hidden = true;
    this.#at('.note').textContent = 'The model comes when you choose a photo.';
    for (const type of ['pointerdown', 'click', 'dragenter']) {
      this.addEventListener(type, () => this.load(), { once: true, signal });
    }
  }

  /** Fetch the model, if that was not begun, or failed: what `loading="lazy"` leaves to the visitor. @returns {Promise<Model>} */
  load() {
    this.#loading ??= this.ready = this.#fetch();
    return this.#loading;
  }

  #fetch() {
    const { signal } = this.#life ??= new AbortController();
    const source = FanlightClassifier.bundle ?? this.getAttribute('src') ?? './';
    const bar = this.#at('.loading');
    const begin = performance.now();
    let opened = false;
    bar.hidden = false;
    this.#at('.error').hidden = true;
    this.#at('.note').textContent = '';
    /** @param {string} name */
    const number = (name) => Number(this.getAttribute(name)) || undefined;
    const loading = load(source, {
      signal,
      budget: { targetMs: number('target-ms'), maxBytes: number('max-bytes') },
      onProgress: ({ loaded, total }) => {
        bar.hidden = opened && loaded >= total; // what comes later, as the large model of a cascade
        this.#at('progress').value = loaded / total;
        const [some, all] = [loaded, total].map((bytes) => (bytes / 1e6).toFixed(1));
        const left = Math.round((performance.now() - begin) * (total / loaded - 1) / 1e3);
        this.#at('.loading span').textContent = `Getting the model ready: ${some} of ${all} MB`
          + (left > 1 && !opened ? `, ${left} s left` : '');
      },
    });
    loading.then((model) => {
      signal.addEventListener('abort', () => model.dispose());
      if (signal.aborted) model.dispose();
      this.#at('.note').textContent = 'Ready. Photos stay on this device.';
      this.#tell('ready', model);
    }, (error) => {
      if (signal.aborted) return;
      this.#loading = undefined;
      this.#fail(error);
    }).finally(() => {
      opened = true;
      if (!signal.aborted) bar.hidden = true;
    });
    return loading;
  }

  /** @param {ArrayLike<File> | null | undefined} files */
  #offer(files) {
    if (files?.[0]) this.classify(files[0]).catch(() => {});
    else this.#fail(new FanlightError('E-WEB-016', 'No image file came.', { next: 'choose a file' }));
  }

  /**
   * Show a picture and what it is. Of several calls only the last one is shown.
   * @param {ImageSource} source @returns {Promise<Prediction[]>}
   */
  async classify(source) {
    const turn = ++this.#turn;
    this.#film();
    const image = this.#at('img');
    URL.revokeObjectURL(image.src);
    if (source instanceof Blob) image.src = URL.createObjectURL(source);
    else if (source instanceof HTMLImageElement) image.src = source.currentSrc;
    image.hidden = !(source instanceof Blob || source instanceof HTMLImageElement);
    this.#at('.answers').classList.add('busy');
    try {
      return await this.#answer(source, turn);
    } catch (error) {
      if (turn === this.#turn) {
        image.hidden = true;
        this.#fail(error);
      }
      throw error;
    }
  }

  get #top() {
    return Number(this.getAttribute('top')) || 5;
  }

  /** @param {ImageSource} source @param {number} turn */
  async #answer(source, turn) {
    const model = await this.load();
    const start = performance.now();
    const results = await model.classify(source, { top: this.#top });
    if (turn === this.#turn) this.#told(results, performance.now() - start, false);
    return results;
  }

  /** @param {Prediction[]} results @param {number} ms @param {boolean} live */
  #told(results, ms, live) {
    this.#ms = live && this.#ms ? this.#ms * 0.9 + ms * 0.1 : ms;
    this.times = [...this.times.slice(-99), ms];
    this.#show(results, live);
    this.#tell('result', { results, ms });
  }

  /** @param {Prediction[]} results @param {boolean} live */
  #show(results, live) {
    this.#at('.error').hidden = true;
    this.#at('.answers').classList.remove('busy');
    const list = this.#at('ol');
    while (list.children.length > results.length) list.lastChild.remove();
    results.forEach(({ label, score }, i) => {
      let row = list.children[i];
      if (!row) {
        row = list.appendChild(document.createElement('li'));
        for (const name of ['name', 'score', 'bar']) {
          row.appendChild(document.createElement('span')).className = name;
        }
      }
      const [name, percent, bar] = row.children;
      name.textContent = label;
      percent.textContent = `${(score * 100).toFixed(score < 0.0995 ? 1 : 0)} %`;
      bar.style.setProperty('--score', String(score));
    });
    const ms = this.#ms < 10 ? this.#ms.toFixed(1) : Math.round(this.#ms);
    this.#at('.note').textContent = `Answered in ${ms} ms, on this device`;
    const now = Date.now();
    const [first, ...others] = results;
    if (!live || now > this.#spoken + 4000) {
      this.#spoken = now;
      this.#at('.spoken').textContent = `${first.label}, ${Math.round(first.score * 100)} percent.`
        + (live ? '' : ` Then ${others.slice(0, 2).map(({ label }) => label).join(', ')}.`);
    }
  }

  async #camera() {
    if (this.#stream) {
      this.#film();
      return;
    }
    const turn = ++this.#turn;
    this.load().catch(() => {}); // while the visitor is asked
    try {
      const { openCamera, watch } = await import('./video.js');
      const stream = await openCamera();
      if (turn === this.#turn && this.isConnected) await this.#film(stream, watch);
      else for (const track of stream.getTracks()) track.stop();
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * Show this stream and answer its newest frame, again and again.
   * @param {MediaStream} [stream] @param {typeof import('./video.js').watch} [watch]
   */
  async #film(stream, watch) {
    this.#watching?.stop();
    this.#watching = undefined;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = stream;
    const video = this.#at('video');
    const button = this.#at('.camera');
    video.srcObject = stream ?? null;
    video.hidden = this.#at('.live').hidden = !stream;
    button.setAttribute('aria-pressed', String(!!stream));
    button.textContent = stream ? 'Stop the camera' : 'Use the camera';
    if (!stream) return;
    this.#at('img').hidden = true;
    this.#ms = 0;
    await video.play().catch((/** @type {unknown} */ error) => {
      if (this.#stream === stream) throw error; // else something else is shown by now
    });
    const model = await this.load();
    if (this.#stream !== stream) return;
    this.#watching = watch?.(video, model, {
      top: this.#top,
      onAnswer: ({ results, ms }) => this.#told(results, ms, true),
      onProblem: (error) => this.#fail(error),
    });
  }

  /** @param {unknown} error */
  #fail(error) {
    const { code = '', reason = said(error), next = '' } = /** @type {FanlightError} */ (error);
    this.#film();
    this.errors = [...this.errors.slice(-4), error];
    this.#at('.answers').classList.remove('busy');
    this.#at('ol').replaceChildren();
    this.#at('.note').textContent = '';
    const [what, then] = this.#at('.error').children;
    what.textContent = reason;
    then.textContent = `${next} (${code})`;
    this.#at('.error').hidden = false;
    this.#tell('error', error);
  }
}

customElements.define('fanlight-classifier', FanlightClassifier);
