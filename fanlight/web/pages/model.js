import { load, said } from './fanlight.js';
import { tellProgress } from './progress.js';
/** @import { Manifest, Spec, Value } from './types.js' */

/** @param {string} id @returns {any} */
const at = (id) => document.getElementById(id);

/** @param {string} id @param {(string | number)[][]} rows */
function fillTable(id, rows) {
  const table = at(id);
  table.tBodies[0].replaceChildren(...rows.map((cells) => {
    const row = document.createElement('tr');
    for (const text of cells) row.insertCell().textContent = String(text);
    return row;
  }));
  table.hidden = false;
}

/**
 * Zeros of the input's shape, 64 for each free size, or as near to that as may be.
 * @param {Spec} spec @param {Manifest['dims']} dims @returns {Value}
 */
function zeros({ dtype, shape }, dims) {
  const sizes = shape.map((d) => (
    typeof d === 'string' ? Math.max(dims[d].min, Math.min(dims[d].max, 64)) : d));
  const length = sizes.reduce((a, b) => a * b, 1);
  const Type = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array }[dtype];
  return { data: new Type(length), shape: sizes };
}

/** What the report of faults tells of. @type {import('./diagnostics.js').Known & { times: number[], errors: unknown[] }} */
const known = { times: [], errors: [] };
at('about').addEventListener('toggle', async () => {
  await import('./diagnostics.js');
  const report = at('about').querySelector('fanlight-diagnostics');
  report.known = known;
  report.refresh();
});

const words = tellProgress();
try {
  const model = await load('./', { onProgress: (bytes) => { at('loading').textContent = words(bytes); } });
  const { info } = model;
  known.model = model;
  const inputs = Object.fromEntries(model.inputs.map((spec) => [spec.name, zeros(spec, model.dims)]));
  at('loading').textContent = '';
  await model.run(inputs);
  const start = performance.now();
  await model.run(inputs);
  known.times.push(performance.now() - start);
  at('state').textContent = `Ready. One run takes ${known.times[0].toFixed(1)} ms here.`;
  dispatchEvent(new CustomEvent('fanlight-ready', { detail: model }));
  at('engine').textContent = `${(info.bytes / 1e6).toFixed(1)} MB, WebAssembly with ${info.simd} SIMD, ${
    info.worker ? 'in a worker of its own' : 'on the main thread'}.`;
  fillTable('tensors', [...model.inputs.map((spec) => ['takes', spec]), ...model.outputs.map(
    (spec) => ['gives', spec])].map(([role, spec]) => {
    const { name, dtype, shape } = /** @type {Spec} */ (spec);
    return [/** @type {string} */ (role), name, dtype, shape.join(' × ')];
  }));
  at('profile').disabled = false;
  at('profile').onclick = async () => {
    const times = await model.profile(inputs);
    fillTable('kernels', times.sort((a, b) => b.ms - a.ms).map(
      ({ name, op, ms, flops }) => [name, op, ms.toFixed(3), (flops / ms / 1e6 || 0).toFixed(1)]));
  };
} catch (error) {
  known.errors.push(error);
  at('state').textContent = said(error);
  at('loading').textContent = '';
  dispatchEvent(new CustomEvent('fanlight-error', { detail: error }));
}
