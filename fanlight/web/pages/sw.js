// The service worker of a page built with --isolate. It keeps the page's own files of one build, so that
// later visits need no network, and adds the headers of cross-origin isolation, which shared memory needs
// and many static hosts cannot send. The model's files are kept by the runtime, by their hash.
/**
 * @typedef {{ waitUntil: (work: Promise<unknown>) => void }} Life
 * @typedef {{ request: Request, respondWith: (answer: Promise<Response>) => void }} Asked
 * @typedef {{ registration: { scope: string }, addEventListener: (name: string, handle: (event: any) => void) => void }} Scope
 */
// A hash of this build and its files; site.py fills them in.
const [VERSION, SHELL] = /** @type {[string, string[]]} */ (['', []]);
const worker = /** @type {Scope} */ (/** @type {unknown} */ (globalThis));
const OURS = `fanlight-page ${worker.registration.scope} `;
const kept = caches.open(OURS + VERSION);

worker.addEventListener('install', (/** @type {Life} */ event) => {
  // Past every HTTP cache: the files of two builds must not mix.
  event.waitUntil(kept.then((cache) => cache.addAll(SHELL.map((path) => (
    new Request(path, { cache: 'reload' }))))));
});

worker.addEventListener('activate', (/** @type {Life} */ event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.map((name) => (
    name.startsWith(OURS) && name !== OURS + VERSION && caches.delete(name))))));
});

/** @param {Request} request */
async function answer(request) {
  const { pathname } = new URL(request.url);
  const file = pathname.endsWith('/') ? `${pathname}index.html` : request;
  const response = await (await kept).match(file, { ignoreSearch: true }) ?? await fetch(request);
  const { status, statusText, body } = response;
  if (!status) return response; // another origin's, which nobody may look into
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  // A constructed response, so that one that was redirected may answer a navigation.
  return new Response([101, 204, 205, 304].includes(status) ? null : body, { status, statusText, headers });
}

worker.addEventListener('fetch', (/** @type {Asked} */ event) => {
  const { request } = event;
  // What stands on another site is none of our business; nor is what Chromium asks of its cache only.
  if (request.method === 'GET' && new URL(request.url).origin === location.origin
      && (request.cache !== 'only-if-cached' || request.mode === 'same-origin')) {
    event.respondWith(answer(request));
  }
});
