// Start the service worker (see sw.js) when the page has nothing else to do: this visit goes on as it
// is, and the next one is isolated and needs no network.
const workers = navigator.serviceWorker;
const start = () => workers?.register(new URL('sw.js', import.meta.url)).catch(() => {});
if (document.readyState === 'complete') start();
else addEventListener('load', start);

// A page of an older build may ask for files of a model that its host no longer has. Then the new build,
// whose worker takes over as soon as it is complete, begins instead.
let failed = false;
let replaced = false;
const again = () => {
  if (failed && replaced) location.reload();
};
addEventListener('fanlight-error', (event) => {
  failed ||= /** @type {CustomEvent} */ (event).detail?.code === 'E-WEB-005';
  again();
});
workers?.addEventListener('controllerchange', () => {
  replaced = true;
  again();
});
