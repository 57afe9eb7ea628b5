// Start the service worker (see sw.js) when the page has nothing else to do: this visit goes on as it
// is, and the next one is isolated and needs no network.
const start = () => (
  navigator.serviceWorker?.register(new URL('sw.js', import.meta.url)).catch(() => {}));
if (document.readyState === 'complete') start();
else addEventListener('load', start);
