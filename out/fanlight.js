// Fanlight, Apache-2.0
class FanlightError extends Error {
constructor(code, reason, { expected, received, where, next } = {}) {
const detail = { where, expected, received, next };
super(Object.entries(detail).reduce((all, [key, value]) => (value === undefined ? all
: `${all}\n  ${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`.slice(0, 999)
), `${code}  ${reason}`));
this.name = 'FanlightError';
this.code = code;
this.reason = reason;
this.expected = expected;
this.received = received;
this.where = where;
this.next = next;
}
}

const fail = (code, reason, detail) => {
throw new FanlightError(code, reason, detail);
};

const said = (error) => error?.message ?? String(error);
const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array };

const count = (shape) => shape.reduce((a, b) => a * b, 1);

const like = (form) => (v) => typeof v === 'string' && form.test(v);
const text = like(/./);
const whole = (low, high) => (v) => Number.isInteger(v) && v >= low && v <= high;
const size = whole(0, 2 ** 32);
const file = {
path: like(/^\w[\w.-]*(\/\w[\w.-]*)*$/),
bytes: size,
sha256: like(/^[0-9a-f]{64}$/),
};
const tensor = {
name: text,
dtype: (v) => Object.hasOwn(ARRAYS, v),
shape: [(v) => text(v) || size(v)],
offset: size,
bytes: size,
};
const RULES = {
fanlight: whole(1, 1),
memory: { pages: whole(1, 65536) },
inputs: [tensor],
outputs: [tensor],
weights: [{
...file, offset: size, encoding: (v) => v === undefined || v === 'f16',
}],
modules: [{ ...file, simd: text }],
kernels: [{ name: text }],
};

function checkManifest(m, where) {
const need = (ok, part, received, expected) => ok || fail(
'E-WEB-007', `${part} is wrong.`, { where, expected, received, next: 'build the bundle again' });
const check = (rule, value, part) => {
const list = Array.isArray(rule);
const leaf = typeof rule === 'function';
need(leaf ? rule(value) : Object(value) === value && list === Array.isArray(value), part, value);
if (list) for (const item of value) check(rule[0], item, `${part}[]`);
else if (!leaf) for (const key of Object.keys(rule)) check(rule[key], value[key], `${part}.${key}`);
};
if (m?.fanlight > 1) {
fail('E-WEB-008', 'The bundle is newer than the runtime.',
{ where, expected: 1, received: m.fanlight, next: 'use the fanlight.js of the bundle' });
}
check(RULES, { dims: {}, ...m }, 'manifest');
const { inputs, outputs, weights, memory, modules, dims = {}, task } = m;
const fits = (place, align, part) => need(place.offset % align === 0
&& place.offset + place.bytes <= memory.pages * 65536, `manifest.${part}`, place, 'a place in memory');
for (const shard of weights) {
need(!shard.encoding || shard.bytes % 16 === 0, 'manifest.weights[].bytes', shard.bytes, 'groups of 16');
fits({ ...shard, bytes: shard.bytes * (shard.encoding ? 2 : 1) }, 1, 'weights');
}
for (const { choices = [], threads, bytes } of modules) {
if (threads) {
check({ flags: whole(9, bytes - 1), control: size }, threads, 'manifest.modules[].threads');
fits({ offset: threads.control, bytes: 256 }, 64, 'control');
}
check([{ name: text, offset: size, bit: whole(0, 31) }], choices, 'manifest.modules[].choices');
for (const choice of choices) fits({ ...choice, bytes: 4 }, 4, 'choices');
}
for (const name of Object.keys(dims)) {
check({ offset: size, min: size, max: size }, dims[name], `manifest.dims.${name}`);
fits({ ...dims[name], bytes: 4 }, 4, 'dims');
}
for (const spec of [...inputs, ...outputs]) {
fits(spec, ARRAYS[(spec.dtype)].BYTES_PER_ELEMENT, spec.name);
for (const d of spec.shape) need(size(d) || Object.hasOwn(dims, d), 'manifest.dims', d);
}
const names = [...inputs, ...outputs].map(({ name }) => name);
for (const role of task?.kind === 'classify' ? ['image', 'scores', 'top_scores', 'top_indices'] : []) {
need(names.includes(task[role]), `manifest.task.${role}`, task[role]);
}
return { ...m, dims };
}

const hex = (value, digits) => value.toString(16).padStart(digits, '0');

const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;

function digest(bytes) {
const primes = [2];
for (let n = 3; primes.length < 64; n += 2) if (primes.every((p) => n % p)) primes.push(n);
const round = primes.map((p) => fraction(Math.cbrt(p)));
const state = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
const rest = bytes.length % 64;
const tail = new Uint8Array(rest < 56 ? 64 : 128);
tail.set(bytes.subarray(bytes.length - rest));
tail[rest] = 128;
new DataView(tail.buffer).setBigUint64(tail.length - 8, BigInt(bytes.length) * 8n);
const w = new Int32Array(64);
const turn = (v, n) => (v >>> n) | (v << (32 - n));
for (const part of [bytes.subarray(0, bytes.length - rest), tail]) {
const view = new DataView(part.buffer, part.byteOffset, part.length);
for (let at = 0; at < part.length; at += 64) {
let [a, b, c, d, e, f, g, h] = state;
for (let i = 0; i < 64; i++) {
const x = w[i - 15], y = w[i - 2];
w[i] = i < 16 ? view.getInt32(at + 4 * i) : w[i - 16] + w[i - 7]
+ (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
const t = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + round[i] + w[i];
const u = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
h = g; g = f; f = e; e = (d + t) | 0;
d = c; c = b; b = a; a = (t + u) | 0;
}
[a, b, c, d, e, f, g, h].forEach((value, i) => { state[i] = (state[i] + value) | 0; });
}
}
return state.map((value) => hex(value >>> 0, 8)).join('');
}

async function sha256(bytes) {
if (!globalThis.crypto?.subtle) return digest(bytes);
const { buffer } = bytes;
const plain = buffer instanceof ArrayBuffer ? (bytes) : bytes.slice();
const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', plain));
return Array.from(hash, (byte) => hex(byte, 2)).join('');
}

async function get(url, cache, signal, read) {
let received;
try {
const response = await fetch(url, { cache, signal });
if (response.ok) return await read(response);
received = `HTTP ${response.status}`;
} catch (error) {
signal?.throwIfAborted();
received = said(error);
}
return fail('E-WEB-005', 'A file of the bundle could not be fetched.',
{ where: url, received, next: 'check the network, and that the whole bundle was uploaded' });
}

async function pour(stream, target, arrived) {
const reader = stream.getReader();
for (let at = 0; ;) {
const { done, value } = await reader.read();
if (done) return at === target.length;
if (at + value.length > target.length) return reader.cancel().then(() => false);
target.set(value, at);
at += value.length;
arrived(value.length);
}
}

const decode = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

const HERE = 'this page';

const STORE = 'fanlight-v1';

async function readManifest(source, signal) {
if (typeof source !== 'string') return checkManifest(source.manifest, HERE);
const body = await get(source, 'no-cache', signal, (response) => response.text());
let manifest;
try {
manifest = JSON.parse(body);
} catch (error) {
fail('E-WEB-007', 'The manifest is not JSON.', { where: source, received: said(error) });
}
return checkManifest(manifest, source);
}

class Files {
#loaded = 0;
#hashed = Promise.resolve();
store = STORE;
fresh = [];

constructor(source, { cache = true, onProgress }, signal, total) {
const remote = typeof source === 'string';
this.source = source;
this.signal = signal;
this.base = remote ? new URL('./', source).href : '';
this.stored = cache && remote && globalThis.caches
? caches.has(STORE).catch(() => undefined) : undefined;
this.arrived = (bytes) => onProgress?.({ loaded: this.#loaded += bytes, total });
}

async bring({ path, bytes, sha256: expected, encoding }, target) {
const { source, base } = this;
const stored = await this.stored;
const remote = typeof source === 'string';
const key = base + expected;
let received;
for (const from of remote ? ['cache', 'default', 'reload'] : ['memory']) {
let response;
if (!remote) {
const content = source.files[path];
const { type } = Object(content);
response = new Response(type === 'text/base64' ? decode(await new Response(content).text()) : content);
} else if (from !== 'cache') {
response = await get(base + path, (from), this.signal, (it) => it);
} else if (stored) {
response = await caches.match(key, { cacheName: STORE }).catch(() => undefined);
}
if (!response) continue;
let own = 0;
try {
const full = !bytes || await pour((response.body), target, (count) => {
own += count;
this.arrived(count);
});
received = full ? await (this.#hashed = this.#hashed.then(() => sha256(target))) : 'another size';
} catch (error) {
received = said(error);
}
this.signal.throwIfAborted();
if (received === expected) {
if (from !== 'cache') this.fresh.push([key, target, encoding]);
return;
}
this.arrived(-own);
}
fail('E-WEB-006', 'A file of the bundle is not the one that was built.', {
where: base + path, expected: `${bytes} bytes, SHA-256 ${expected}`, received,
next: 'upload the whole bundle again',
});
}
}
let canvas;

async function portable(source) {
if (source instanceof Blob || source instanceof ImageData) return source;
try {
if (source instanceof HTMLImageElement) await source.decode();
return await createImageBitmap(source);
} catch (error) {
return fail('E-WEB-017', 'There is no picture in what was given.',
{ expected: 'a loaded img, video, canvas, bitmap, ImageData or Blob', received: `${Object(source).constructor?.name}: ${said(error)}` });
}
}

async function pixels(picture, manifest, input) {
let bitmap = picture;
if (picture instanceof Blob) {
bitmap = await createImageBitmap(picture).catch((error) => fail('E-WEB-016',
'This file is not an image that the browser can read.', {
received: `${picture.type || 'unknown type'}, ${picture.size} bytes: ${said(error)}`,
next: 'choose another file',
}));
}
let { width, height } = (bitmap);
const shape = manifest.inputs.find(({ name }) => name === input)?.shape ?? [];
const [tall, wide] = shape.map((d) => (
typeof d === 'string' ? manifest.dims[d] : { min: d, max: d }));
const scale = Math.min(1, tall.max / height, wide.max / width);
const fit = (size, { min, max }) => Math.min(max, Math.max(min, Math.floor(size * scale)));
const [h, w] = [fit(height, tall), fit(width, wide)];

if (bitmap instanceof ImageData) {
if (h === height && w === width && bitmap.colorSpace === 'srgb'
&& bitmap.data instanceof Uint8ClampedArray) {
return { data: onWhite(bitmap.data.slice()), shape: [h, w, 4] };
}
bitmap = await createImageBitmap(bitmap);
}
canvas ??= new OffscreenCanvas(w, h);
if (canvas.width !== w) canvas.width = w;
if (canvas.height !== h) canvas.height = h;
const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
if (!context) return fail('E-WEB-004', 'The browser gave no canvas of this size.', { received: [h, w] });
context.imageSmoothingQuality = 'high';
context.fillStyle = '#fff';
context.fillRect(0, 0, w, h);
try {
context.drawImage((bitmap), 0, 0, w, h);
return { data: context.getImageData(0, 0, w, h).data, shape: [h, w, 4] };
} catch (error) {
return fail('E-WEB-017', 'The browser does not let this page read the input.',
{ received: said(error), next: 'serve the picture with CORS' });
} finally {
(bitmap).close();
}
}

function onWhite(data) {
for (let i = 3; i < data.length; i += 4) {
const alpha = data[i] / 255;
if (alpha < 1) for (let c = i - 3; c <= i; c++) data[c] = 255 + (data[c] - 255) * alpha;
data[i] = 255;
}
return data;
}
const takes = (...body) => WebAssembly.validate(new Uint8Array([
0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0,
10, body.length + 10, 1, body.length + 8, 0, 32, 0, 32, 1, 32, 2, ...body, 11]));

const USABLE = {
relaxed: () => takes(253, 133, 2),
plain: () => takes(253, 228, 1, 253, 228, 1),
};

const room = (bytes, make) => {
try {
return make();
} catch (error) {
return fail('E-WEB-004', 'The browser gave no memory for this model.',
{ expected: `${bytes} bytes`, received: said(error), next: 'close other pages' });
}
};

const refused = (where) => (error) => fail('E-WEB-018', 'The WASM engine refused the module.', {
where, received: said(error), next: "does the Content-Security-Policy allow 'wasm-unsafe-eval'?" });

const ISOLATE = 'the page is not cross-origin isolated: send COOP and COEP headers, or build with --isolate';

const mayWait = () => !globalThis.document;

async function gather(source, options, signal, given) {
const { simd = 'auto', threads = 'auto' } = options;
if (!globalThis.WebAssembly) {
fail('E-WEB-002', 'This browser has no WebAssembly.', { next: 'use a current browser' });
}
const manifest = given ?? await readManifest(source, signal);
const { modules, weights, memory: { pages } } = manifest;
const file = modules.find((m) => (simd === 'auto' || m.simd === simd)
&& Object.hasOwn(USABLE, m.simd) && USABLE[m.simd]());
if (!file) {
return fail('E-WEB-003', 'This browser can run no module of this bundle.', {
expected: `WebAssembly with SIMD: ${modules.map((m) => m.simd).join(' or ')}`,
next: 'use a current browser' });
}
let alone = threads === 1 ? 'as asked' : !file.threads ? 'its module is for one'
: !mayWait() ? 'no worker' : navigator.hardwareConcurrency < 2 ? 'one core'
: !globalThis.crossOriginIsolated ? ISOLATE : '';
const make = (shared) => new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
let memory;
if (!alone) {
try {
memory = make(true);
structuredClone(memory);
} catch (error) {
memory = undefined;
alone = said(error);
}
}
const shared = !!memory;
const own = memory ?? room(pages * 65536, () => make(false));
const bytes = [file, ...weights].reduce((sum, { bytes: n }) => sum + n, 0);
const files = new Files(source, options, signal, bytes);
const code = room(bytes, () => new Uint8Array(file.bytes));
const [{ module, instance: { exports } }] = await Promise.all([
files.bring(file, code).then(() => {
const flagged = code.slice();
if (shared && file.threads) flagged[file.threads.flags] = 3;
return WebAssembly.instantiate(flagged, { fanlight: { memory: own } }).catch(refused(file.path));
}),
...weights.map((shard) => files.bring(
shard, new Uint8Array(own.buffer, shard.offset + (shard.encoding ? shard.bytes : 0), shard.bytes))),
]);
try {
for (const { offset, bytes: n, encoding } of weights) {
if (encoding) (exports).expand(offset, n / 2);
}
} catch (error) {
refused(file.path)(error);
}
const info = {
backend: 'wasm',
simd: file.simd,
variants: [],
threads: 1,
bytes,
why: '',
reasons: {
simd: `${file.simd} SIMD, ${simd === 'auto' ? 'the first that runs here' : 'as asked'}`,
threads: alone ? `one thread: ${alone}` : 'one thread so far',
},
worker: false,
cached: !files.fresh.length,
};
return { manifest, file, module, memory: own, shared, exports, info, files };
}

class Engine {
#settled;

constructor(core) {
const { inputs, outputs, dims, task } = core.manifest;
this.core = core;
this.manifest = core.manifest;
this.#settled = !mayWait();
setTimeout(() => core.calls || this.#settle(), 200);
this.about = { inputs, outputs, dims, labels: task?.labels ?? null, info: core.info };
}

static async open(source, options = {}, given) {
const { signal, threads = 'auto', variants = 'auto' } = options;
const aborter = new AbortController();
const stop = () => aborter.abort(signal?.reason);
signal?.addEventListener('abort', stop);
const { manifest, file, module, memory, shared, exports, info, files } = await gather(
source, options, aborter.signal, given,
).catch((error) => {
aborter.abort();
throw signal?.aborted ? signal.reason : error;
}).finally(() => signal?.removeEventListener('abort', stop));
const { choices = [] } = file;
const core = ({
manifest, file, module, memory, info, run: exports.run, calls: 0, asked: 1,
kept: new Promise((resolve) => setTimeout(resolve, 400)).then(() => import('./keep.js'))
.then(({ keep }) => keep(files, manifest)).catch(() => {}),
free: {
threads: shared && threads === 'auto',
variants: mayWait() && variants === 'auto' && choices.length > 0,
},
walk: (first, last) => core.run(first, last, 0, 1),
choose: (names) => {
for (const { name, offset, bit } of choices) {
const words = new Int32Array(core.memory.buffer, offset, 1);
words[0] = (words[0] & ~(1 << bit)) | (+names.includes(name) << bit);
}
info.variants = names;
},
say: (part, words) => {
info.reasons[part] = words;
info.why = Object.values(info.reasons).join('; ');
},
changed() {},
});
if (variants !== 'auto') {
const expected = choices.map(({ name }) => name);
const received = [...variants].find((name) => !expected.includes(name));
if (received) fail('E-WEB-001', 'variants is wrong.', { expected, received });
core.choose(variants);
}
if (shared && threads !== 'auto') {
const problem = await import('./threads.js').then(({ hire }) => hire(core, threads)).catch(said);
core.asked = info.threads;
core.say('threads', `${info.threads} threads, ${problem
?? (info.threads < threads ? 'one per core' : 'as asked')}`);
}
core.say('simd', info.reasons.simd);
return new Engine(core);
}

#view({ name, dtype, offset, bytes }, elements) {
const Type = ARRAYS[dtype];
if (elements * Type.BYTES_PER_ELEMENT > bytes) {
fail('E-WEB-007', 'A tensor is larger than its place in memory.', { where: name });
}
return new Type(this.core.memory.buffer, offset, elements);
}

#accept(inputs) {
const { inputs: specs, dims } = this.manifest;
const expected = specs.map(({ name }) => name);
const received = Object.keys(Object(inputs));
if (String([...received].sort()) !== String([...expected].sort())) {
fail('E-WEB-010', 'These are not the names of the inputs.', { expected, received });
}
const sizes = {};
let items = 0;
const writes = specs.map((spec) => {
const { data = inputs[spec.name], shape } = Object(inputs[spec.name]);
const where = `input "${spec.name}"`;
const want = ARRAYS[spec.dtype].name;
const type = Object(data).constructor?.name ?? '';
if (type.replace('Clamped', '') !== want) {
fail('E-WEB-012', 'An input has the wrong dtype.', { where, expected: want, received: type });
}
const given = Array.from(shape ?? spec.shape.map((d) => (
typeof d === 'string' ? data.length / count((spec.shape.filter((e) => e !== d))) : d)));
const n = spec.batched ? given[0] : 1;
const fits = given.length === spec.shape.length && given.every((d, i) => {
const size = spec.shape[i];
if (!Number.isInteger(d)) return false;
if (typeof size === 'string') sizes[size] ??= d;
return spec.batched && !i || d === (sizes[size] ?? size);
});
if (!fits || n < 1 || data.length !== count(given) || (items ||= n) !== n) {
fail('E-WEB-011', 'An input has the wrong shape.', {
where,
expected: spec.batched ? ['items', ...spec.shape.slice(1)] : spec.shape,
received: shape ?? `${data.length} elements and no shape`,
});
}
const each = data.length / n;
return (i) => this.#view(spec, each).set(data.subarray(i * each, (i + 1) * each));
});
for (const [name, received] of Object.entries(sizes)) {
const { min, max } = dims[name];
if (received < min || received > max) {
fail('E-WEB-013', `${name} is out of bounds.`, { expected: `${min} to ${max}`, received });
}
}
const write = (i) => {
const ints = new Int32Array(this.core.memory.buffer);
for (const name of Object.keys(sizes)) ints[dims[name].offset / 4] = sizes[name];
for (const put of writes) put(i);
};
return { items, sizes, write };
}

close() {
this.#settled = true;
this.core.team?.resize(1, false);
return this.core.kept;
}

#settle(write) {
if (this.#settled) return;
this.#settled = !!write || !Object.keys(this.manifest.dims).length;
import('./choice.js').then(({ settle }) => settle(this.core, write)).catch(() => {});
}

#steps(first, last) {
try {
this.core.walk(first, last);
} catch (error) {
if (error instanceof FanlightError) throw error;
fail('E-WEB-018', 'The WASM engine stopped the model.', { received: said(error) });
}
}

run(inputs) {
const { items, sizes, write } = this.#accept(inputs);
this.core.calls++;
const results = this.manifest.outputs.map((spec) => {
const shape = spec.shape.map((d) => (typeof d === 'string' ? sizes[d] : d));
const each = count(shape);
if (spec.batched) shape[0] = items;
else if (items > 1) shape.unshift(items);
return { spec, shape, each, data: new ARRAYS[spec.dtype](each * items) };
});
for (let i = 0; i < items; i++) {
write(i);
this.#steps(0, this.manifest.kernels.length);
for (const { spec, each, data } of results) data.set(this.#view(spec, each), i * each);
}
const { threads, variants } = this.core.free;
if (!this.#settled && (threads || variants)) setTimeout(() => this.#settle(() => write(0)), 100);
return Object.fromEntries(results.map(
({ spec: { name, dtype }, data, shape }) => [name, { data, shape, dtype }]));
}

async classify(picture, top) {
const { manifest } = this;
const { task } = manifest;
if (task?.kind !== 'classify') {
return fail('E-WEB-015', 'This bundle does not classify pictures.', { next: 'use run()' });
}
const image = await pixels(picture, manifest, task.image);
const out = this.run({ [task.image]: image });
let indices = out[task.top_indices].data;
let scores = out[task.top_scores].data;
if (top > indices.length) {
const all = out[task.scores].data;
indices = Int32Array.from(all.keys()).sort((a, b) => all[b] - all[a]);
scores = Float32Array.from(indices, (index) => all[index]);
}
return Array.from(indices.subarray(0, top), (index, i) => (
{ label: task.labels?.[index] ?? String(index), index, score: scores[i] }));
}

profile(inputs) {
const { kernels } = this.manifest;
const { write } = this.#accept(inputs);
const sums = kernels.map(() => 0);
const end = performance.now() + 300;
let rounds = -1;
for (; rounds < 3 || performance.now() < end; rounds++) {
write(0);
for (let k = 0; k < sums.length; k++) {
const start = performance.now();
this.#steps(k, k + 1);
if (rounds >= 0) sums[k] += performance.now() - start;
}
}
return kernels.map((kernel, k) => ({ ...kernel, ms: sums[k] / rounds }));
}
}
export { Engine, FanlightError, said };

const gone = new FinalizationRegistry((close) => close());

export class Model {
#call;
#close;
#waiting = 0;

constructor({ inputs, outputs, dims, labels, info }, call, close) {
this.inputs = inputs;
this.outputs = outputs;
this.dims = dims;
this.labels = labels;
this.info = info;
this.#call = call;
this.#close = close;
gone.register(this, () => close(undefined), this);
}

async #ask(tag, args, give) {
this.#waiting++;
try {
return await this.#call(tag, args, give);
} finally {
this.#waiting--;
}
}

run(inputs) {
return this.#ask('run', [inputs]);
}

async classify(source, { top = 3 } = {}) {
const picture = await portable(source);
return this.#ask('classify', [picture, top], picture instanceof ImageBitmap ? [picture] : []);
}

profile(inputs) {
return this.#ask('profile', [inputs]);
}

dispose() {
gone.unregister(this);
this.#close(new FanlightError('E-WEB-014', 'The model was disposed.', { next: 'load it again' }));
}
}

export async function load(url, options = {}) {
const {
backend, worker = (url)?.worker ?? true, onProgress, signal, ...rest
} = options;
signal?.throwIfAborted();
const { simd, threads } = rest;
const need = (known, name, expected, received) => (
received === undefined || received === 'auto' || known
|| fail('E-WEB-001', `${name} is wrong.`, { expected: `auto or ${expected}`, received }));
need(backend === 'wasm', 'backend', 'wasm', backend);
need(simd === 'relaxed' || simd === 'plain', 'simd', 'relaxed or plain', simd);
need(Number.isInteger(threads) && Number(threads) > 0, 'threads', '1, 2, ...', threads);
const source = address(url);
const ways = typeof worker === 'function' ? [worker] : worker ? [blobWorker, fileWorker] : [];
const all = { ...rest, onProgress, signal };
const manifest = typeof source === 'string' ? readManifest(source, signal) : undefined;
manifest?.catch(() => {});

let why = '';
for (const way of ways) {
let link;
let started = false;
const stop = () => link?.close(signal?.reason);
try {
link = connect(way(), onProgress);
signal?.addEventListener('abort', stop);
await link.started;
started = true;
const about = await link.call('open', [source, rest, await manifest]);
link.info = about.info;
return new Model(about, link.call, link.end);
} catch (error) {
link?.close(error);
if (started || signal?.aborted) throw error;
why = `on this thread: ${said(error)}`;
} finally {
signal?.removeEventListener('abort', stop);
}
}
let engine = await Engine.open(source, all, await manifest);
if (why) engine.core.say('worker', why);
let closed;
return new Model(engine.about, async (tag, args) => {
if (!engine) throw closed;
return engine[(tag)](...(args));
}, (reason) => {
engine?.close();
engine = undefined;
closed = reason;
});
}

const fileWorker = () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });

function blobWorker() {
const script = ['./fanlight.js', './worker.js'].map((path) => (
`import ${JSON.stringify(new URL(path, import.meta.url).href)};`)).join('');
const blob = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
setTimeout(() => URL.revokeObjectURL(blob), 6e4);
return new Worker(blob, { type: 'module' });
}

function address(url) {
if (typeof url === 'object' && 'manifest' in url) return { manifest: url.manifest, files: url.files };
try {
const full = new URL(url, globalThis.document?.baseURI ?? location.href);
if (!full.pathname.endsWith('.json')) {
if (!full.pathname.endsWith('/')) full.pathname += '/';
full.pathname += 'manifest.json';
}
return full.href;
} catch (error) {
return fail('E-WEB-001', 'This is not the address of a bundle.',
{ expected: 'the URL of a folder or of a manifest.json', received: String(url) });
}
}

function message(tag, args, give) {
if (tag !== 'run' && tag !== 'profile') return [args, give];
const own = [];
const copies = Object.entries(Object(args[0])).map(([name, given]) => {
const { data, shape } = 'data' in Object(given) ? given : { data: given };
const copy = ArrayBuffer.isView(data) ? (data).slice?.() ?? data : data;
if (copy !== data) own.push(copy.buffer);
return [name, { data: copy, shape: shape && Array.from(shape) }];
});
return [[Object.fromEntries(copies)], own];
}

function connect(worker, onProgress) {
const waiting = new Map();
let last = 0;
let closed;
const shut = (reason) => {
closed ??= { reason };
for (const { reject } of waiting.values()) reject(reason);
waiting.clear();
};
const close = (reason) => {
worker.terminate();
shut(reason);
};
worker.onmessage = ({ data: { id, progress, info, value, error } }) => {
if (info) Object.assign(link.info ?? {}, info);
if (progress) onProgress?.(progress);
if (info || progress) return;
const { resolve, reject } = waiting.get(id) ?? {};
waiting.delete(id);
if (error) reject?.(new FanlightError(...(error)));
else resolve?.(value);
};
worker.onerror = (event) => {
event.preventDefault();
close(new FanlightError('E-WEB-020',
waiting.has(0) ? 'The worker did not start.' : 'The worker stopped.', { received: event.message }));
};
const link = {
close,
end: (reason) => {
shut(reason);
worker.postMessage({ tag: 'close', args: [] });
setTimeout(close, 5e3);
},
started: new Promise((resolve, reject) => {
waiting.set(0, { resolve, reject });
}),
call: (tag, args, give = []) => new Promise((resolve, reject) => {
if (closed) {
reject(closed.reason);
return;
}
try {
const [sent, given] = message(tag, args, give);
worker.postMessage({ id: ++last, tag, args: sent }, given);
waiting.set(last, { resolve, reject });
} catch (error) {
reject(new FanlightError('E-WEB-017', 'The browser does not let this page read the input.',
{ received: said(error), next: 'serve the picture with CORS' }));
}
}),
};
return link;
}
