// Start the service worker (see sw.js) when the page has nothing else to do: this visit goes on as it
// is, and the next one is isolated and needs no network. Ask before a newer version begins.
const workers = navigator.serviceWorker;
/** @type {ServiceWorkerRegistration | undefined} */
let registration;
// A page of an older build may ask for files of a model that its host no longer has. Then the new build
// begins as soon as it is complete, with this page.
let failed = false;
const begin = () => failed && registration?.waiting?.postMessage('begin');

const BUSY = `fanlight-busy ${new URL('./', import.meta.url).href}`;

/**
 * Hold up newer versions, in every tab, while some work goes on that a reload would lose.
 * @template T @param {Promise<T>} work @returns {Promise<T>}
 */
export const busy = async (work) => {
  if (navigator.locks) navigator.locks.request(BUSY, { mode: 'shared' }, () => work).catch(() => {});
  return work;
};

/**
 * Begin with the version that waits: every open tab of this page loads again, for files of two versions
 * must not mix.
 * @returns whether it begins: not while a tab is `busy`
 */
export const accept = async () => {
  /** @param {unknown} lock */
  const go = async (lock) => {
    if (lock) registration?.waiting?.postMessage('accept');
    return !!(lock && registration?.waiting);
  };
  return navigator.locks ? navigator.locks.request(BUSY, { ifAvailable: true }, go) : go(true);
};

/**
 * Fetch and keep what a visit without network would miss. The event `fanlight-offline` tells that all of it
 * is there, `fanlight-partly` that it is not: no network, or no room. What has come stays.
 * @param {string} [tier] the one in use, of a folder of tiers: others but the smallest are not kept
 */
export const keepAll = async (tier) => (
  (await workers?.ready)?.active?.postMessage(tier ? `fill ${tier}` : 'fill'));

/**
 * A newer version is complete and waits. A page that asks in its own way takes `fanlight-update`
 * (detail: { accept }) and prevents its default, which is a line at the end of the page.
 */
function ask() {
  const detail = { accept };
  if (!dispatchEvent(new CustomEvent('fanlight-update', { cancelable: true, detail }))) return;
  if (document.querySelector('fanlight-update')) return;
  const line = document.body.appendChild(document.createElement('fanlight-update'));
  const text = document.createElement('p');
  text.textContent = 'A new version is ready.';
  text.role = 'status';
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Reload';
  button.onclick = async () => {
    if (!await accept()) text.textContent = 'Another tab is at work: reload when it is done.';
  };
  line.append(text, button);
}

/** @param {ServiceWorker | null} made */
const watch = (made) => {
  let complete = false;
  made?.addEventListener('statechange', () => {
    begin();
    if (made.state === 'installed' && workers.controller) ask();
    // What has come stays, and the rest may come a little later.
    if (made.state === 'redundant' && !complete) later();
    complete = true;
  });
};

const start = () => workers?.register(new URL('sw.js', import.meta.url)).then((found) => {
  registration = found;
  begin();
  if (found.waiting && workers.controller) ask();
  watch(found.installing);
  found.onupdatefound = () => watch(found.installing);
  return found.update(); // to register again looks for nothing
}).catch(() => {});

let tries = 0;
const later = () => tries++ < 3 && setTimeout(start, 4000 * tries);
addEventListener('online', start);

/** After a first visit's page has come: the start of a worker takes from it where there are few cores. */
const AFTER_MS = 2500;
const soon = () => setTimeout(start, workers?.controller ? 0 : AFTER_MS);
if (document.readyState === 'complete') soon();
else addEventListener('load', soon);

// A page that stays open for days.
let looked = Date.now();
addEventListener('visibilitychange', () => {
  if (document.hidden || Date.now() < looked + 36e5) return;
  looked = Date.now();
  registration?.update().catch(() => {});
});

workers?.addEventListener('controllerchange', () => failed && location.reload());
workers?.addEventListener('message', ({ data }) => {
  if (data === 'fanlight-reload') location.reload();
  if (['fanlight-offline', 'fanlight-partly'].includes(data)) dispatchEvent(new CustomEvent(data));
});
addEventListener('fanlight-error', (event) => {
  failed = /** @type {CustomEvent} */ (event).detail?.code === 'E-WEB-005';
  begin();
});
addEventListener('fanlight-ready', (event) => {
  failed = false;
  const { info } = /** @type {CustomEvent} */ (event).detail ?? {};
  // After the runtime has kept what it fetched. Not where a visitor wants to save data.
  const { saveData } = /** @type {any} */ (navigator).connection ?? {};
  if (!saveData) setTimeout(keepAll, 3000, info?.tier);
});
