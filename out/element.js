import { FanlightError, load, said } from './fanlight.js';

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

export class FanlightClassifier extends HTMLElement {
static observedAttributes = ['src'];

static css = async () => (await fetch(new URL('./element.css', import.meta.url))).text();

static bundle;

ready;

#root = this.attachShadow({ mode: 'open' });
#life;
#stream;
#turn = 0;
#ms = 0;
#spoken = 0;

#at(selector) {
return this.#root.querySelector(selector);
}

#tell(type, detail) {
this.dispatchEvent(new CustomEvent(`fanlight-${type}`, { detail, bubbles: true, composed: true }));
}

connectedCallback() {
if (!this.#root.firstChild) this.#build();
this.#start();
}

disconnectedCallback() {
this.#film(undefined);
this.#life?.abort();
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
if (type === 'drop') this.#offer((event).dataTransfer?.files);
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
const source = FanlightClassifier.bundle ?? this.getAttribute('src') ?? './';
this.#at('.loading').hidden = false;
const loading = load(source, {
signal,
onProgress: ({ loaded, total }) => {
this.#at('progress').value = loaded / total;
const [some, all] = [loaded, total].map((bytes) => (bytes / 1e6).toFixed(1));
this.#at('.loading span').textContent = `Getting the model ready: ${some} of ${all} MB`;
},
});
this.ready = loading;
loading.then((model) => {
signal.addEventListener('abort', () => model.dispose());
if (signal.aborted) model.dispose();
this.#at('.note').textContent = 'Ready. Photos stay on this device.';
this.#tell('ready', model);
}, (error) => signal.aborted || this.#fail(error)).finally(() => {
if (!signal.aborted) this.#at('.loading').hidden = true;
});
document.addEventListener('paste', (event) => {
if (event.clipboardData?.files.length) this.#offer(event.clipboardData.files);
}, { signal });
}

#offer(files) {
if (files?.[0]) this.classify(files[0]).catch(() => {});
else this.#fail(new FanlightError('E-WEB-016', 'No image file came.', { next: 'choose a file' }));
}

async classify(source) {
const turn = ++this.#turn;
this.#film(undefined);
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

async #answer(source, turn, live = false) {
const model = await (this.ready);
const start = performance.now();
const results = await model.classify(source, { top: Number(this.getAttribute('top')) || 5 });
const ms = performance.now() - start;
if (turn !== this.#turn) return results;
this.#ms = live && this.#ms ? this.#ms * 0.9 + ms * 0.1 : ms;
this.#show(results, live);
this.#tell('result', { results, ms });
return results;
}

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
this.#film(undefined);
return;
}
const turn = ++this.#turn;
try {
const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
if (turn === this.#turn && this.isConnected) await this.#film(stream);
else for (const track of stream.getTracks()) track.stop();
} catch (error) {
const { name } = (error);
this.#fail(error instanceof FanlightError ? error : new FanlightError('E-WEB-019',
name === 'NotAllowedError' ? 'The camera was refused.'
: name === 'NotFoundError' ? 'There is no camera.' : 'The camera cannot be used.', {
next: !navigator.mediaDevices ? 'open this page over https'
: name === 'NotAllowedError' ? 'allow it in the address bar, or choose a photo'
: 'choose a photo',
}));
}
}

async #film(stream) {
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
const turn = this.#turn;
for (const track of stream.getTracks()) track.onended = () => this.#film(undefined);
await video.play();
while (this.#stream === stream) {
await new Promise((resolve) => (video.requestVideoFrameCallback?.(resolve)
?? requestAnimationFrame(resolve)));
if (document.hidden) {
await new Promise((resolve) => {
document.addEventListener('visibilitychange', resolve, { once: true });
});
} else if (this.#stream === stream) await this.#answer(video, turn, true);
}
}

#fail(error) {
const { code = '', reason = said(error), next = '' } = (error);
this.#film(undefined);
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
