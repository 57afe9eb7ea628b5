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

/** @param {Model} model */
function tell({ info }) {
  const line = /** @type {HTMLElement} */ (document.getElementById('engine'));
  line.textContent = `${(info.bytes / 1e6).toFixed(1)} MB, WebAssembly with ${info.simd} SIMD, ${
    info.worker ? 'in a worker of its own' : 'on the main thread'}${info.cached ? ', from the cache' : ''}. ${
    info.reasons.threads[0].toUpperCase()}${info.reasons.threads.slice(1)}.`;
}

element.addEventListener('fanlight-ready', (event) => {
  tell(/** @type {CustomEvent<Model>} */ (event).detail);
});
// What is found out about this device comes later, and is told with the next answer.
element.addEventListener('fanlight-result', () => element.ready?.then(tell));
