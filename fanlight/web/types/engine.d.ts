/**
 * Bring the files of a bundle, checked and compiled: all that can be done before there is a worker.
 * @param {string | InlineBundle} source @param {LoadOptions} options
 * @param {boolean} away whether the model will run in a worker @returns {Promise<Parcel>}
 */
export function gather(source: string | InlineBundle, options: LoadOptions, away?: boolean): Promise<Parcel>;
/** One bundle in one WASM memory, ready to run, on whatever thread this is. */
export class Engine {
    /** @param {string | InlineBundle | Parcel} source @param {LoadOptions} [options] */
    static open(source: string | InlineBundle | Parcel, options?: LoadOptions): Promise<Engine>;
    /** @param {Core} core */
    constructor(core: Core);
    core: Core;
    manifest: import("./types.js").Manifest;
    /** @type {About} */
    about: About;
    /** Do not settle any more: nobody has the model. */
    close(): void;
    /**
     * One call of WASM per item; the outputs are copies that the caller owns.
     * @param {Record<string, Value>} inputs @returns {Record<string, Tensor>}
     */
    run(inputs: Record<string, Value>): Record<string, Tensor>;
    /** @param {Picture} picture @param {number} top @returns {Promise<Prediction[]>} */
    classify(picture: Picture, top: number): Promise<Prediction[]>;
    /**
     * Time each kernel. A browser's clock is coarse, so many rounds are added up.
     * @param {Record<string, Value>} inputs @returns {KernelTime[]}
     */
    profile(inputs: Record<string, Value>): KernelTime[];
    #private;
}
import type { InlineBundle } from './types.js';
import type { LoadOptions } from './types.js';
import type { Parcel } from './types.js';
import type { Core } from './types.js';
import type { About } from './types.js';
import type { Value } from './types.js';
import type { Tensor } from './types.js';
import type { Picture } from './types.js';
import type { Prediction } from './types.js';
import type { KernelTime } from './types.js';
