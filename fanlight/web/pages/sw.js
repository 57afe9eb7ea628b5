// The service worker of a page built with --offline or --isolate. It keeps the files of one build, each
// under its hash, so that later visits need no network, and adds the headers of cross-origin isolation,
// which shared memory needs and many static hosts cannot send (docs/adr/0010-service-worker.md).
/**
 * @typedef {{ waitUntil: (work: Promise<unknown>) => void }} Life
 * @typedef {Life & { request: Request, respondWith: (answer: Promise<Response>) => void }} Asked
 * @typedef {{ postMessage: (message: string) => void }} Client
 * @typedef {Life & { data: unknown, source: Client }} Told
 * @typedef {{ scope: string, active?: Worker, waiting?: Worker, unregister: () => Promise<boolean>, update: () => Promise<unknown> }} Registration
 * @typedef {{ registration: Registration, skipWaiting: () => Promise<void>, clients: { matchAll: () => Promise<(Client & { visibilityState?: string })[]> }, addEventListener: (name: string, handle: (event: any) => void) => void }} Scope
 * @typedef {{ url: string, key: string, hash: string, bytes: number, model: boolean, spare: string }} Entry
 */
// Of each file of this build path, SHA-256, bytes, and what it is of: 0 the page, 1 the model, 2 one of
// several models, of which a page uses one (its first folder). shell.py fills them in.
const FILES = /** @type {[string, string, number, 0 | 1 | 2][]} */ ([]);
const worker = /** @type {Scope} */ (/** @type {unknown} */ (globalThis));
const { scope } = worker.registration;
const STORE = `fanlight-page ${scope}`;
// One store for all builds: a file that did not change is there already.
const opened = caches.open(STORE);
/** Kept when the site has left this worker behind; with words in it, when this build cannot be mended. */
const LEFT = new URL('sw.js?left', scope).href;
/** Kept: which of several models is used here. */
const USED = new URL('sw.js?used', scope).href;
/** A download of more than this is kept piece by piece, and goes on where it broke off. */
const PIECE = 1 << 20;
/** Downloads at the same time. */
const HANDS = 4;
/** Ends what is fetched behind the page: a newer build is complete, or this worker has left. */
const over = new AbortController();

/** What this build has. The key of a file is where the runtime would keep it, too: see keep.js. */
const files = new Map(FILES.map(([path, hash, bytes, model]) => {
  const { href: url } = new URL(path, scope);
  return [url, { url, key: new URL(hash, url).href, hash, bytes, model: !!model, spare: model > 1 ? path.split('/')[0] : '' }];
}));
/** Whether this worker keeps nothing: then it has left, or the browser has dropped all. */
let left = opened.then(async (store) => !(await store.keys()).length);

/** @param {BufferSource} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The response, as an isolated page needs it. @param {Response} response @param {BodyInit | null} [content] */
function isolated(response, content) {
  const { status, statusText, body } = response;
  if (!status) return response; // another origin's, which nobody may look into
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  // A constructed response, so that one that was redirected may answer a navigation.
  if (content === undefined) {
    return new Response([101, 204, 205, 304].includes(status) ? null : body, { status, statusText, headers });
  }
  // What is kept came whole and decoded, however it travelled.
  for (const name of ['Content-Encoding', 'Content-Length', 'Content-Range', 'Vary']) headers.delete(name);
  return new Response(content, { headers });
}

/** The key of a piece. @param {Entry} entry @param {number} index */
const piece = ({ key }, index) => `${key}?piece=${index}`;

/** @param {Entry} entry */
async function dropPieces({ key }) {
  const store = await opened;
  for (const { url } of await store.keys()) if (url.startsWith(`${key}?piece=`)) await store.delete(url);
}

/**
 * Fetch a file. Where an earlier download broke off, only what is missing, if the host gives parts.
 * @param {Entry} entry @param {RequestCache} cache @param {AbortSignal} [signal]
 * @returns {Promise<[Response, Blob]>} the host's answer, and the whole file
 */
async function download(entry, cache, signal) {
  const store = await opened;
  /** @type {Blob[]} */
  const pieces = [];
  for (let part; (part = await store.match(piece(entry, pieces.length)));) pieces.push(await part.blob());
  const start = pieces.reduce((sum, { size }) => sum + size, 0);
  const response = await fetch(entry.url, { cache, signal, headers: start ? { Range: `bytes=${start}-` } : {} });
  const goesOn = response.status === 206
    && response.headers.get('Content-Range')?.startsWith(`bytes ${start}-`);
  if (!goesOn) {
    if ([200, 206, 416].includes(response.status)) {
      pieces.length = 0; // from the start
      await dropPieces(entry);
    }
    if (response.status !== 200) throw new Error(`${entry.url}: HTTP ${response.status}`);
  }
  if (!response.body || entry.bytes <= PIECE) return [response, await response.blob()];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  let parts = [];
  let size = 0;
  let room = true;
  const reader = response.body.getReader();
  for (let done = false; !done;) {
    const { done: end, value } = await reader.read();
    done = end;
    if (value) {
      parts.push(value);
      size += value.length;
    }
    if (size >= PIECE || done && size) {
      const blob = new Blob(parts);
      if (!done && room) {
        await store.put(piece(entry, pieces.length), new Response(blob)).catch((error) => {
          if (entry.model) throw error; // the runtime fetches it itself
          room = false; // a page wants the file all the same
        });
      }
      pieces.push(blob);
      parts = [];
      size = 0;
    }
  }
  return [response, new Blob(pieces)];
}

/** A host that has another build than this one. */
class Other extends Error {}

/** A file came that cannot be kept: the storage is full. A page can be given it all the same. */
class Full extends Error {
  /** @param {Response} answer @param {unknown} cause */
  constructor(answer, cause) {
    super('there is no room', { cause });
    this.answer = answer;
  }
}

/** @param {Entry} entry @param {Response} response @param {ArrayBuffer} content that has its hash */
async function put(entry, response, content) {
  const answer = isolated(response, content);
  try {
    await (await opened).put(entry.key, answer.clone());
  } catch (error) {
    throw new Full(answer, error);
  }
  return answer;
}

/**
 * Fetch a file and keep it, unless somebody has done so meanwhile: a fill, a page that asks, or the worker of
 * the next build, which shares the store. Of files with one hash one is fetched at a time, so that nobody
 * fetches what another one brings, and pieces are of one download.
 * @param {Entry} entry @param {AbortSignal} [signal] @returns {Promise<Response>}
 */
async function bring(entry, signal) {
  const work = async () => await here(entry) || fetchWhole(entry, signal);
  return navigator.locks ? navigator.locks.request(`${STORE} ${entry.hash}`, { signal }, work) : work();
}

/**
 * Fetch a file and keep it, if it is the one of this build. What the browser has in its own cache will do;
 * a download that breaks off goes on once.
 * @param {Entry} entry @param {AbortSignal} [signal] @returns {Promise<Response>}
 */
async function fetchWhole(entry, signal) {
  for (const other of files.values()) {
    const copy = other.hash === entry.hash && other.key !== entry.key && await kept(other);
    const content = copy && await copy.clone().arrayBuffer();
    if (content && await sha256(content) === entry.hash) return put(entry, copy, content);
  }
  let problem;
  for (const cache of /** @type {RequestCache[]} */ (['default', 'reload'])) {
    try {
      signal?.throwIfAborted();
      const [response, blob] = await download(entry, cache, signal);
      const content = await blob.arrayBuffer();
      if (await sha256(content) === entry.hash) {
        await dropPieces(entry);
        return await put(entry, response, content);
      }
      await dropPieces(entry);
      problem = new Other(`${entry.url} is not the file of this build`);
    } catch (error) {
      problem = error;
      if (error instanceof Full) break;
    }
  }
  throw problem;
}

/**
 * A file as it is kept, if it is whole. Of the model's files the runtime makes sure itself.
 * @param {Entry} entry
 */
async function kept({ key, hash, model }) {
  const store = await opened;
  const response = await store.match(key);
  if (!response || model) return response;
  // Each time: a page is small, and disks fail.
  if (await sha256(await response.clone().arrayBuffer()) === hash) return response;
  await store.delete(key);
  return undefined;
}

/** Whether a file needs no download: the runtime may keep it, too. @param {Entry} entry */
const here = async (entry) => await kept(entry) ?? (entry.model && await caches.match(entry.key));

/**
 * Keep all of some files. What has come stays, even if the rest does not come.
 * @param {boolean} model the model's, too @param {AbortSignal} [signal]
 */
async function fill(model, signal) {
  const used = await (await (await opened).match(USED))?.text();
  const queue = [...files.values()].filter((entry) => (
    entry.spare ? model && entry.spare === used : model || !entry.model));
  /** @type {unknown} */
  let problem;
  await Promise.all(Array.from({ length: HANDS }, async () => {
    for (let entry; !problem && (entry = queue.shift());) {
      try {
        if (!await here(entry)) await bring(entry, signal);
      } catch (error) {
        problem = error;
      }
    }
  }));
  if (problem) throw problem;
  if (!signal?.aborted) left = Promise.resolve(false);
}

/** Of several models this one is used: drop what is kept of the others. @param {string} used */
async function use(used) {
  const store = await opened;
  await store.put(USED, new Response(used));
  for (const { key, spare } of files.values()) if (spare && spare !== used) await store.delete(key);
}

// The first time, the model is on its way to the page already: it comes with 'fill'. A later build is not
// ready before all of it is there.
worker.addEventListener('install', (/** @type {Life} */ event) => {
  const { active } = worker.registration;
  event.waitUntil(fill(!!active).then(() => active?.postMessage('over')));
});

/** @type {Promise<void>} */
let filled = Promise.resolve();
/**
 * What pages ask for, one after the other: several tabs may ask at once, also for other models.
 * @param {string | undefined} used
 */
const fillNext = (used) => {
  const work = async () => {
    if (used) await use(used);
    // The next visit may be one of the build that waits, which begins when this one has nothing to do.
    if (worker.registration.waiting) over.abort();
    await fill(true, over.signal);
  };
  filled = filled.then(work, work);
  return filled;
};

let everyone = false;
worker.addEventListener('message', (/** @type {Told} */ event) => {
  // From register.js: a page can do nothing with this build's predecessor any more, or was told to begin.
  if (event.data === 'begin' || event.data === 'accept') {
    everyone = event.data === 'accept';
    worker.skipWaiting();
  }
  if (event.data === 'over') over.abort(); // from the next build, which is complete
  // The page has loaded: now there is time for what a visit without network would miss. After a space,
  // which of several models it uses.
  const [task, used] = String(event.data).split(' ');
  if (task === 'fill') {
    const { source } = event; // the first time, no page belongs to this worker yet
    event.waitUntil(fillNext(used).then(
      () => source.postMessage('fanlight-offline'), () => source.postMessage('fanlight-partly')));
  }
});

/** Drop what is of other builds, and pieces: all is whole. */
async function tidy() {
  const store = await opened;
  const keys = new Set([...files.values()].map(({ key }) => key));
  for (const request of await store.keys()) {
    const { url } = request;
    if (url !== USED && !keys.has(url)) await store.delete(request);
  }
  for (const name of await caches.keys()) if (name.startsWith(`${STORE} `)) await caches.delete(name);
}

worker.addEventListener('activate', (/** @type {Life} */ event) => {
  event.waitUntil(tidy().then(async () => {
    if (!everyone) return;
    for (const client of await worker.clients.matchAll()) client.postMessage('fanlight-reload');
  }));
});

/** What a URL stands for: a file of this build, or none. @param {string} url */
const named = (url) => {
  const { origin, pathname } = new URL(url);
  return files.get(origin + pathname + (pathname.endsWith('/') ? 'index.html' : ''));
};

/** Whether this is the page, which alone tells of the build; a photo, say, does not. @param {string} url */
const isPage = (url) => !!named(url) && named(url) === named(scope);

/**
 * Whether the network's page still starts this worker, which is remembered if not.
 * @param {string} url of the page @returns {Promise<boolean | undefined>} undefined: an error of the server is no build
 */
async function starts(url) {
  const store = await opened;
  const response = await fetch(url, { cache: 'no-cache' });
  if (!response.ok) return undefined;
  const begun = (await response.text()).includes('register.js');
  if (begun) await store.delete(LEFT);
  else await store.put(LEFT, new Response());
  return begun;
}

/** Why this worker is to leave; undefined: it is not. */
const reason = async () => (await (await opened).match(LEFT))?.text();

/**
 * Where the site was built again without a worker, nothing would ever replace this one. So it looks,
 * while the kept page is shown, whether the network's page still starts it.
 * @param {Request} request
 */
async function look({ url }) {
  if (isPage(url) && !await reason()) await starts(url);
}

/**
 * The network's page instead of the kept one, and no worker or kept file from then on. One odd page, as of a
 * login, is no reason: the next one has to say the same.
 * @param {Request} request
 */
async function leave(request) {
  const store = await opened;
  const why = await reason();
  if (why === undefined) return undefined;
  if (!why && await starts(isPage(request.url) ? request.url : scope) !== false) return undefined;
  const response = await fetch(request);
  if (!response.ok) return undefined;
  left = Promise.resolve(true); // what this page asks for still comes here
  over.abort();
  await worker.registration.unregister();
  // One by one: who holds a cache that is deleted can still read it.
  await Promise.all((await store.keys()).map((key) => store.delete(key)));
  await caches.delete(STORE);
  return response;
}

/**
 * Whether a new build waits and this is its moment: no page but the one that is loaded (again) is open,
 * so none can meet files of two builds.
 */
async function turn() {
  const { waiting, scope } = worker.registration;
  if (!waiting) return false;
  const pages = await worker.clients.matchAll();
  // One that is opened beside another is not among them yet: the other is hidden then, or may be at work.
  const { held = [] } = await navigator.locks?.query() ?? {};
  const busy = held.some(({ name }) => name === `fanlight-busy ${scope}`); // see register.js
  if (busy || pages.length > 1 || pages.some(({ visibilityState: seen }) => seen === 'hidden')) return false;
  waiting.postMessage('begin');
  return true;
}

/**
 * Before a page is shown: is all of it there? A browser may have dropped a part. What is missing is
 * fetched; where the host has only a newer build's, this one is left, for the two must not mix.
 */
async function mend() {
  const store = await opened;
  const keys = new Set((await store.keys()).map(({ url }) => url));
  if ([...files.values()].every(({ key, model }) => model || keys.has(key))) return;
  await fill(false).catch(mark);
}

/** After a failed download. @param {unknown} problem */
async function mark(problem) {
  if (problem instanceof Other) await (await opened).put(LEFT, new Response('mixed'));
}

/** @param {Request} request @returns {Promise<Response>} */
async function answer(request) {
  const navigates = request.mode === 'navigate';
  if (navigates) {
    // The browser asks again at once, and the new worker answers. (Without an icon, a browser would
    // look for one.)
    if (await turn()) {
      return new Response('<!doctype html><link rel="icon" href="data:,">', {
        headers: { Refresh: '0', 'Content-Type': 'text/html' } });
    }
    await mend();
    const page = await leave(request).catch(() => undefined); // no network: the kept one
    if (page) return page;
  }
  const entry = named(request.url);
  if (!entry || request.headers.has('Range') || await left) return isolated(await fetch(request));
  if (request.cache === 'reload') await (await opened).delete(entry.key); // the runtime found it wrong
  const found = await kept(entry);
  if (found) return found;
  if (entry.model) return isolated(await fetch(request));
  try {
    return await bring(entry);
  } catch (problem) {
    if (problem instanceof Full) return problem.answer;
    await mark(problem);
    return navigates ? await leave(request) ?? isolated(await fetch(request)) : Response.error();
  }
}

worker.addEventListener('fetch', (/** @type {Asked} */ event) => {
  const { request } = event;
  // What stands on another site is none of our business; nor is what Chromium asks of its cache only.
  if (request.method === 'GET' && new URL(request.url).origin === location.origin
      && (request.cache !== 'only-if-cached' || request.mode === 'same-origin')) {
    event.respondWith(answer(request));
    // The page first. And no event waits for it, or a new worker could not begin.
    if (request.mode === 'navigate') setTimeout(() => look(request).catch(() => {}), 1000);
  }
});
