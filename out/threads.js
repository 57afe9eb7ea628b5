import { FanlightError, said } from './fanlight.js';

const TURN = 16, FIRST = 17, LAST = 18, BASE = 20, PATIENCE = 21, STOP = 22, ARRIVED = 32;
const NEWS = 100;
const START_MS = 10_000;
const MOST = 31;
const LOSSES = 3;

function helper() {
globalThis.onmessage = ({ data: { module, memory, control, thread } }) => {
const words = new Int32Array(memory.buffer, control, 64);
const { exports } = new WebAssembly.Instance(module, { fanlight: { memory } });
let turn = Atomics.load(words, 16);
globalThis.postMessage('ready');
for (;;) {
for (let i = 0; i < 1e4 && Atomics.load(words, 16) === turn; i++);
Atomics.wait(words, 16, turn);
if (turn === Atomics.load(words, 16)) continue;
turn = Atomics.load(words, 16);
const count = turn & 31;
if (thread >= count) continue;
try {
(exports.run)(words[17], words[18], thread, count);
} catch {
Atomics.store(words, 22, 1);
Atomics.notify(words, 32);
}
}
};
}

const start = (url, options) => new Worker(url, { name: 'fanlight-helper', ...options });
const WAYS = [
() => {
const url = URL.createObjectURL(new Blob([`(${helper})()`], { type: 'text/javascript' }));
setTimeout(() => URL.revokeObjectURL(url), 6e4);
return start(url);
},
() => start(new URL('./threads.js', import.meta.url), { type: 'module' }),
];
if (self.name === 'fanlight-helper') helper();

class Team {
#helpers = [];
#core;
#alone;
#control;
#words;
#losses = 0;
#sizing = Promise.resolve();
#spoilt = false;

constructor(core, control) {
this.#core = core;
this.#alone = core.walk;
this.#control = control;
this.#words = this.#prepared();
}

#prepared() {
const words = new Int32Array(this.#core.memory.buffer, this.#control, 64);
words.fill(0, 1);
words[PATIENCE] = NEWS;
return words;
}

resize(threads, spare) {
this.#sizing = this.#sizing.catch(() => {}).then(() => this.#resize(threads, spare));
return this.#sizing;
}

async #resize(threads, spare) {
const core = this.#core;
try {
while (!this.#spoilt && this.#helpers.length < threads - 1) {
const memory = core.memory;
const helper = await this.#hire(this.#helpers.length + 1);
if (memory === core.memory && !this.#spoilt) this.#helpers.push(helper);
else helper.terminate();
}
} finally {
if (this.#spoilt) return;
while (!spare && this.#helpers.length >= threads) this.#helpers.pop()?.terminate();
const count = Math.min(threads, this.#helpers.length + 1);
core.info.threads = count;
core.walk = count > 1 ? (first, last) => this.#walk(first, last, count) : this.#alone;
}
}

async #hire(thread) {
const { module, memory } = this.#core;
let problem;
for (const way of WAYS) {
let worker;
try {
const made = worker = way();
await new Promise((resolve, reject) => {
made.onmessage = resolve;
made.onerror = (event) => {
event.preventDefault();
reject(new Error(event.message || 'it was not allowed to start'));
};
setTimeout(() => reject(new Error('it did not start in time')), START_MS);
made.postMessage({ module, memory, control: this.#control, thread });
});
return made;
} catch (error) {
worker?.terminate();
problem = error;
}
}
throw problem;
}

#walk(first, last, count) {
const words = this.#words;
words[FIRST] = first;
words[LAST] = last;
words[BASE] = Atomics.load(words, ARRIVED);
Atomics.store(words, TURN, ((words[TURN] & ~31) + 32) | count);
Atomics.notify(words, TURN);
try {
this.#core.run(first, last, 0, count);
if (Atomics.load(words, STOP)) throw stopped();
} catch (error) {
this.#leave(count);
throw error;
}
}

#leave(count) {
const core = this.#core;
this.#spoilt = true;
core.info.threads = 1;
for (const helper of this.#helpers.splice(0)) helper.terminate();
core.walk = () => {
this.#move(count);
throw stopped();
};
if (++this.#losses >= LOSSES) core.say('threads', 'one thread: the others got lost');
try {
this.#move(count);
} catch {
core.changed();
}
}

#move(count) {
const core = this.#core;
const { pages, weights } = core.manifest.memory;
try {
const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
const { exports } = new WebAssembly.Instance(core.module, { fanlight: { memory } });
new Uint8Array(memory.buffer).set(new Uint8Array(core.memory.buffer, 0, weights.offset + weights.bytes));
core.memory = memory;
core.run = (exports.run);
} catch (error) {
throw new FanlightError('E-WEB-004', 'The browser gave no new memory after a thread got lost.', {
expected: `${pages * 65536} bytes`, received: said(error), next: 'close other pages and call again' });
}
core.walk = this.#alone;
this.#spoilt = false;
this.#words = this.#prepared();
(this.#losses < LOSSES ? this.resize(count, false) : Promise.reject()).catch(() => {}).then(core.changed);
}
}

const stopped = () => new FanlightError('E-WEB-021', 'A thread of the model stopped.',
{ next: 'call again: the model goes on' });

export async function hire(core, threads, spare = false) {
const { control } = (core.file.threads);
core.team ??= new Team(core, control);
await core.team.resize(Math.max(1, Math.min(threads, MOST, navigator.hardwareConcurrency || 1)), spare);
}
