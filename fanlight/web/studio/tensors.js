import { fail, said } from '../runtime/errors.js';
/**
 * @import { Tensor } from '../runtime/types.js'
 * @typedef {{ tensors: Record<string, Tensor>, about: Record<string, string> }} Contents
 */

// safetensors: 8 bytes that say how long the header is, the header as JSON, the numbers
// (github.com/huggingface/safetensors, "Format").
const HEADER_MOST = 1 << 24;

/** Tensors as bytes of a safetensors file. @param {Record<string, Tensor>} tensors @param {Record<string, string>} [about] */
export const packed = (tensors, about = {}) => {
  /** @type {Record<string, unknown>} */
  const header = { __metadata__: about };
  let at = 0;
  for (const [path, { data, shape, dtype }] of Object.entries(tensors)) {
    header[path] = { dtype: dtype === 'int32' ? 'I32' : 'F32', shape, data_offsets: [at, at += data.byteLength] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const from = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(from + at).fill(32, 8, from);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(from - 8), true);
  bytes.set(json, 8);
  let to = from;
  for (const { data } of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), to);
    to += data.byteLength;
  }
  return bytes;
};

/**
 * What a safetensors file holds. @param {Uint8Array} bytes @param {string} where @returns {Contents}
 */
export const unpacked = (bytes, where) => {
  try {
    const size = Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true));
    if (!(size <= HEADER_MOST && 8 + size <= bytes.length)) throw new Error('the header does not end');
    const { __metadata__: about = {}, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
    const body = bytes.subarray(8 + size);
    /** @type {Record<string, Tensor>} */
    const tensors = Object.create(null);
    for (const [path, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(entries)) {
      const count = shape.reduce((/** @type {number} */ all, /** @type {number} */ n) => all * n, 1);
      const right = (dtype === 'F32' || dtype === 'I32') && begin >= 0 && end <= body.length && end - begin === 4 * count;
      if (!right) throw new Error(`${path} is not where it should be`);
      const { buffer } = body.slice(begin, end);
      tensors[path] = dtype === 'I32' ? { data: new Int32Array(buffer), shape, dtype: 'int32' }
        : { data: new Float32Array(buffer), shape, dtype: 'float32' };
    }
    return { tensors, about };
  } catch (error) {
    return fail('E-STUDIO-032', 'What was learnt cannot be read.', { where, received: said(error) });
  }
};
