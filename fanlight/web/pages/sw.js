// The service worker of a page built with --isolate. It keeps the page's own files of one build, so that
// later visits need no network, and adds the headers of cross-origin isolation, which shared memory needs
// and many static hosts cannot send. The model's files are kept by the runtime, by their hash.
/**
 * @typedef {{ waitUntil: (work: Promise<unknown>) => void }} Life
 * @typedef {Life & { request: Request, respondWith: (answer: Promise<Response>) => void }} Asked
 * @typedef {{ scope: string, waiting?: Worker, unregister: () => Promise<boolean> }} Registration
 * @typedef {{ registration: Registration, skipWaiting: () => Promise<void>, clients: { matchAll: () => Promise<unknown[]> }, addEventListener: (name: string, handle: (event: any) => void) => void }} Scope
 */
// A hash of this build and its files; site.py fills them in.
const [VERSION, SHELL] = /** @type {[string, string[]]} */ (['', []]);
const worker = /** @type {Scope} */ (/** @type {unknown} */ (globalThis));
const OURS = `fanlight-page ${worker.registration.scope} `;
const kept = caches.open(OURS + VERSION);
/** Kept when the site has left this worker behind. */
const LEFT = new URL('sw.js?left', worker.registration.scope).href;

/** The response, as an isolated page needs it. @param {Response} response */
function isolated(response) {
  const { status, statusText, body } = response;
  if (!status) return response; // another origin's, which nobody may look into
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  // A constructed response, so that one that was redirected may answer a navigation.
  return new Response([101, 204, 205, 304].includes(status) ? null : body, { status, statusText, headers });
}

/** Keep all files or none. */
async function install() {
  const cache = await kept;
  try {
    const files = await Promise.all(SHELL.map(async (path) => {
      // Past every HTTP cache: the files of two builds must not mix.
      const request = new Request(path, { cache: 'reload' });
      const response = await fetch(request);
      if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
      return /** @type {const} */ ([request, isolated(response)]);
    }));
    await Promise.all(files.map(([request, response]) => cache.put(request, response)));
  } catch (error) {
    await caches.delete(OURS + VERSION);
    throw error;
  }
}

worker.addEventListener('install', (/** @type {Life} */ event) => event.waitUntil(install()));

// From register.js, where a page can do nothing with this build's predecessor any more.
worker.addEventListener('message', ({ data }) => data === 'begin' && worker.skipWaiting());

worker.addEventListener('activate', (/** @type {Life} */ event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.map((name) => (
    name.startsWith(OURS) && name !== OURS + VERSION && caches.delete(name))))));
});

/** @param {string} url */
const named = (url) => (new URL(url).pathname.endsWith('/') ? new URL('index.html', url).href : url);

/**
 * Where the site was built again without --isolate, nothing would ever replace this worker. So it looks,
 * while the kept page is shown, whether the network's page still starts it, and remembers if not.
 * @param {Request} request
 */
async function look({ url }) {
  const cache = await kept;
  if (!await cache.match(named(url), { ignoreSearch: true })) return; // not a page of ours
  const response = await fetch(url, { cache: 'no-cache' });
  if (!response.ok) return; // an error of the server is no build
  const page = await response.text();
  if (!page.includes('register.js')) await cache.put(LEFT, new Response());
}

/**
 * The network's page instead of the kept one, and no worker or kept file from then on.
 * @param {Request} request
 */
async function leave(request) {
  const cache = await kept;
  const response = await cache.match(LEFT) && await fetch(request);
  if (!response || !response.ok) return undefined;
  await worker.registration.unregister();
  // One by one: who holds a cache that is deleted can still read it.
  await Promise.all((await cache.keys()).map((key) => cache.delete(key)));
  await caches.delete(OURS + VERSION);
  return response;
}

/**
 * Whether a new build waits and this is its moment: no page but the one that is loaded (again) is open,
 * so none can meet files of two builds.
 */
async function turn() {
  const { waiting } = worker.registration;
  if (!waiting || (await worker.clients.matchAll()).length > 1) return false;
  waiting.postMessage('begin');
  return true;
}

/** @param {Request} request */
async function answer(request) {
  if (request.mode === 'navigate') {
    // The browser asks again at once, and the new worker answers. (Without an icon, a browser would
    // look for one.)
    if (await turn()) {
      return new Response('<!doctype html><link rel="icon" href="data:,">', {
        headers: { Refresh: '0', 'Content-Type': 'text/html' } });
    }
    const page = await leave(request).catch(() => undefined); // no network: the kept one
    if (page) return page;
  }
  return await (await kept).match(named(request.url), { ignoreSearch: true })
    ?? isolated(await fetch(request));
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
