import { FanlightClassifier } from './element.js';
/** @import { Model } from './fanlight.js' */

const element = /** @type {FanlightClassifier} */ (document.querySelector('fanlight-classifier'));

// A photo dropped beside the element is meant for it; a browser would leave the page to show it.
for (const type of ['dragover', 'drop']) {
  document.addEventListener(type, (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    const file = /** @type {DragEvent} */ (event).dataTransfer?.files[0];
    if (type === 'drop' && file) element.classify(file).catch(() => {});
  });
}

/** What `build --isolate` brings comes with the second visit. */
const soon = !crossOriginIsolated && document.querySelector('script[src="register.js"]');

/** @param {Model} model */
function tell({ info }) {
  const line = /** @type {HTMLElement} */ (document.getElementById('engine'));
  const threads = soon ? 'one thread: more may help from the next visit on' : info.reasons.threads;
  const choice = info.choice ? ` Chosen: ${info.choice}.` : '';
  line.textContent = `${(info.bytes / 1e6).toFixed(1)} MB, WebAssembly with ${
    [info.simd, ...info.variants].join(', ')} SIMD, ${
    info.worker ? 'in a worker of its own' : 'on the main thread'}${info.cached ? ', from the cache' : ''}. ${
    threads[0].toUpperCase()}${threads.slice(1)}.${choice}`;
}

element.addEventListener('fanlight-ready', (event) => {
  tell(/** @type {CustomEvent<Model>} */ (event).detail);
});
// What is found out about this device comes later.
document.getElementById('about')?.addEventListener('toggle', async () => {
  element.ready?.then(tell, () => {});
  await import('./diagnostics.js');
  const report = /** @type {HTMLElement} */ (document.querySelector('fanlight-diagnostics'));
  /** @type {import('./diagnostics.js').FanlightDiagnostics} */ (report).refresh();
});
element.addEventListener('fanlight-result', () => {
  element.ready?.then(tell);
  setTimeout(() => element.ready?.then(tell), 3000);
});
