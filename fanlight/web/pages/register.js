// Start the service worker (see sw.js) when the page has nothing else to do: this visit goes on as it
// is, and the next one is isolated and needs no network.
const workers = navigator.serviceWorker;
/** @type {ServiceWorkerRegistration | undefined} */
let registration;
// A page of an older build may ask for files of a model that its host no longer has. Then the new build
// begins as soon as it is complete, with this page.
let failed = false;
const begin = () => failed && registration?.waiting?.postMessage('begin');

const start = () => workers?.register(new URL('sw.js', import.meta.url)).then((found) => {
  registration = found;
  begin();
  found.addEventListener('updatefound', () => found.installing?.addEventListener('statechange', begin));
  return found.update(); // to register again looks for nothing
}).catch(() => {});
if (document.readyState === 'complete') start();
else addEventListener('load', start);

workers?.addEventListener('controllerchange', () => failed && location.reload());
addEventListener('fanlight-error', (event) => {
  failed = /** @type {CustomEvent} */ (event).detail?.code === 'E-WEB-005';
  begin();
});
addEventListener('fanlight-ready', () => {
  failed = false;
});
