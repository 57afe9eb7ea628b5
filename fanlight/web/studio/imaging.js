/** The worker that checks and decodes photos: `{ id, tag, args }` -> `{ id, value }` or `{ id, refusal }`. */
import { work } from './work.js';

const port = /** @type {MessagePort} */ (/** @type {unknown} */ (globalThis));
port.onmessage = async (/** @type {MessageEvent} */ event) => {
  const { id, tag, args } = event.data;
  const said = await work(tag, args);
  const given = 'value' in said ? [said.value].flat().filter((one) => one instanceof ImageBitmap) : [];
  port.postMessage({ id, ...said }, given);
};
port.postMessage({ id: 0 }); // it has started
