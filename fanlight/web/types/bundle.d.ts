/**
 * Check a manifest: it comes from the network and nothing vouches for it, so no number may reach past
 * the memory and no path out of the folder.
 * @param {any} m @param {string} where @returns {Manifest}
 */
export function checkManifest(m: any, where: string): Manifest;
/** The SHA-256 of some bytes, in hex. @param {Uint8Array} bytes */
export function sha256(bytes: Uint8Array): Promise<string>;
/**
 * Read the manifest of a bundle and check it; what names a list of bundles is for tiers.js to check.
 * @param {string | InlineBundle} source @param {AbortSignal} [signal] @returns {Promise<Manifest>}
 */
export function readManifest(source: string | InlineBundle, signal?: AbortSignal): Promise<Manifest>;
export namespace ARRAYS {
    let float32: Float32ArrayConstructor;
    let int32: Int32ArrayConstructor;
    let uint8: Uint8ArrayConstructor;
    let bool: Uint8ArrayConstructor;
}
export function count(shape: number[]): number;
export function checkNames(what: string, expected: string[], received: string[], next?: string): void;
export function checkSize(what: string, { min, max }: {
    min: number;
    max: number;
}, received: any, dim?: string): void;
/** The files of one bundle, from a folder on the web or from memory. */
export class Files {
    /**
     * @param {string | InlineBundle} source @param {LoadOptions} options @param {AbortSignal} signal
     * @param {number} total bytes that will have arrived in the end
     */
    constructor(source: string | InlineBundle, { cache, onProgress }: LoadOptions, signal: AbortSignal, total: number);
    store: string;
    /** What came from the network: its key in the store, where it landed, its encoding. @type {Fresh[]} */
    fresh: Fresh[];
    source: string | InlineBundle;
    signal: AbortSignal;
    base: string;
    stored: Promise<boolean | undefined> | undefined;
    /** @param {number} bytes */
    arrived: (bytes: number) => void | undefined;
    /**
     * Bring one file into `target`: from the cache, else the network, else the network once more past
     * every cache. Only the right SHA-256 counts; what a wrong file left in `target` is written over.
     * @param {HashedFile & { encoding?: string }} file
     * @param {Uint8Array} target which stays as it is, or as its encoding makes of it, until it is kept
     */
    bring({ path, bytes, sha256: expected, encoding }: HashedFile & {
        encoding?: string;
    }, target: Uint8Array): Promise<void>;
    #private;
}
export type Stream = ReadableStream<Uint8Array<ArrayBuffer>>;
export type Fresh = [string, Uint8Array, string?];
import type { Manifest } from './types.js';
import type { InlineBundle } from './types.js';
import type { HashedFile } from './types.js';
import type { LoadOptions } from './types.js';
