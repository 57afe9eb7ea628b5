/** By the remainders of all 256 bytes. */
const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** The CRC-32 of zip files and of PNG. @param {Uint8Array} bytes @returns {number} 0 to 2**32 - 1 */
export const crc32 = (bytes) => {
  let value = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) value = (value >>> 8) ^ REMAINDERS[(value ^ bytes[i]) & 255];
  return ~value >>> 0;
};
