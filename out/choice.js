import { said } from './fanlight.js';

const GAIN = { variants: 0.97, threads: 0.9 };
const MOST_THREADS = 4;
const SAMPLE_MS = 4, WARM_MS = 80, MOST_MS = 400;
const QUIET_MS = 30, LOOKS = 10;
const ROUNDS = 3;
const KEEP_MS = 7 * 24 * 3600e3;

const pause = (ms) => new Promise((resolve) => {
setTimeout(resolve, ms);
});

const table = (mode, ask) => new Promise((resolve, reject) => {
const opening = indexedDB.open('fanlight', 1);
opening.onupgradeneeded = () => opening.result.createObjectStore('choices');
opening.onerror = () => reject(opening.error);
opening.onblocked = () => reject();
opening.onsuccess = () => {
const base = opening.result;
try {
const request = ask(base.transaction('choices', mode).objectStore('choices'));
request.onerror = () => reject(request.error);
request.onsuccess = () => resolve(request.result);
} catch (error) {
reject(error);
}
base.close();
};
}).catch(() => undefined);

const counted = (threads) => (threads > 1 ? `${threads} threads` : 'one thread');
const told = ({ variants, threads, ms }) => (
`${[...variants, counted(threads)].join(', ')} ${ms.toFixed(ms < 10 ? 2 : 1)} ms`);

export async function settle(core, write) {
const { info, file, manifest, free, asked } = core;
const dims = Object.values(manifest.dims);
const put = write ?? (() => {
for (const { offset, min, max } of dims) {
new Int32Array(core.memory.buffer)[offset / 4] = Math.max(min, Math.min(max, 64));
}
});
const only = !write && dims.length > 0;
const cores = navigator.hardwareConcurrency || 1;
const most = free.threads ? Math.min(cores, MOST_THREADS) : 1;
const names = free.variants ? (file.choices ?? []).map(({ name }) => name) : [];

const take = async ({ variants, threads }, trial = true) => {
if (names.length) core.choose(variants);
if (!free.threads || (threads === 1 && !core.team)) return;
await (await import('./threads.js')).hire(core, threads, trial);
};
const tell = (tried, best, problem, how) => {
const found = `${how}: ${[...tried.map(told), ...problem ? [problem] : []].join('; ')}`;
info.tried = tried;
if (names.length) {
core.say('variants', `${best.variants.join(' and ') || 'no variants'}, ${most > 1 ? how : found}`);
}
if (most > 1) core.say('threads', `${counted(info.threads)}, ${found}`);
core.changed();
};
const quiet = async () => {
for (let i = 0, calls = -1; calls !== core.calls && i < LOOKS; i++) {
calls = core.calls;
await pause(QUIET_MS);
}
};
const time = async () => {
let best = Infinity;
const begin = performance.now();
for (let i = 0; i < 3 && (!i || performance.now() - begin < 10 * SAMPLE_MS); i++) {
await pause(0);
const start = performance.now();
let spent = 0;
let runs = 0;
for (; spent < SAMPLE_MS; runs++) {
put();
core.walk(0, manifest.kernels.length);
spent = performance.now() - start;
}
best = Math.min(best, spent / runs);
}
return best;
};
const measure = async (setting) => {
await quiet();
await take(setting);
const start = performance.now();
for (let before = Infinity; ;) {
const ms = await time();
const spent = performance.now() - start;
if (spent > MOST_MS || (only && core.calls) || (spent > WARM_MS && ms > 0.97 * before)) {
return { ...setting, ms: Math.min(ms, before) };
}
before = Math.min(ms, before);
}
};

const find = async () => {
if (only || (!names.length && most < 2)) {
await measure({ variants: [], threads: asked });
return;
}
const known = await table('readonly', (choices) => choices.get(file.sha256));
if (known?.cores === cores && known.most === most && known.asked === asked
&& `${known.names}` === `${names}` && Date.now() - known.at < KEEP_MS) {
await take(known.best, false);
tell(known.tried, known.best, known.problem, 'as found out before');
if (!core.calls) await measure(known.best);
return;
}
let best = await measure({ variants: [], threads: asked });
const tried = [best];
const compete = async (other, gain) => {
tried.push(other);
for (let i = 0; i < ROUNDS; i++) {
for (const one of [best, other]) {
await take(one);
one.ms = Math.min(one.ms, await time());
}
}
const wins = other.ms < gain * best.ms;
if (wins) best = other;
return wins;
};
for (const name of names) {
await compete(await measure({ variants: [...best.variants, name], threads: asked }), GAIN.variants);
}
let problem = '';
try {
for (let threads = asked + 1; threads <= most; threads++) {
const other = await measure({ ...best, threads });
if (info.threads < threads || !await compete(other, GAIN.threads) && threads > best.threads + 1) break;
}
} catch (error) {
problem = `more failed: ${said(error)}`;
}
await take(best, false);
tell(tried, best, problem, 'measured');
const found = { cores, most, asked, names, best, tried, problem, at: Date.now() };
table('readwrite', (choices) => choices.put(found, file.sha256));
};
try {
await find();
} catch (error) {
const slow = { variants: [], threads: asked };
await take(slow, false).catch(() => {});
if (names.length) core.say('variants', `no variants: ${said(error)}`);
if (most > 1) core.say('threads', `one thread: ${said(error)}`);
core.changed();
}
}
