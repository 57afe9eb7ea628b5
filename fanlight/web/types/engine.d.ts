/** One bundle in one WASM memory, ready to run, on whatever thread this is. */
export class Engine {
    /**
     * @param {string | InlineBundle} source @param {LoadOptions} [options]
     * @param {Manifest} [given] the manifest, where it was read already
     */
    static open(source: string | InlineBundle, options?: LoadOptions, given?: Manifest): Promise<Engine>;
    /** @param {Core} core */
    constructor(core: Core);
    core: Core;
    manifest: Manifest;
    /** @type {About} */
    about: About;
    /** Do not settle any more: nobody has the model. Files that came for it are still kept. */
    close(): Promise<void>;
    /**
     * One call of WASM per item; the outputs are copies that the caller owns.
     * @param {Record<string, Value>} inputs @returns {Record<string, Tensor>}
     */
    run(inputs: Record<string, Value>): Record<string, Tensor>;
    /** What only some bundles do, see steps.js. @param {string} tag @param {unknown[]} args */
    part(tag: string, args: unknown[]): Promise<any>;
    /** All outputs for a picture. @param {Picture} picture @returns {Promise<Record<string, Tensor>>} */
    see(picture: Picture): Promise<Record<string, Tensor>>;
    /** @param {Picture} picture @param {number} top @returns {Promise<Prediction[]>} */
    classify(picture: Picture, top: number): Promise<Prediction[]>;
    /**
     * Time each kernel. A browser's clock is coarse, so many rounds are added up.
     * @param {Record<string, Value>} inputs @returns {KernelTime[]}
     */
    profile(inputs: Record<string, Value>): KernelTime[];
    #private;
}
import type { Core } from './types.js';
import type { Manifest } from './types.js';
import type { About } from './types.js';
import type { Value } from './types.js';
import type { Tensor } from './types.js';
import type { Picture } from './types.js';
import type { Prediction } from './types.js';
import type { KernelTime } from './types.js';
import type { InlineBundle } from './types.js';
import type { LoadOptions } from './types.js';
