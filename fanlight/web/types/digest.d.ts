/**
 * SHA-256 (FIPS 180-4), for pages where `crypto.subtle` is missing (plain http).
 * @param {Uint8Array} bytes
 */
export function digest(bytes: Uint8Array): string;
