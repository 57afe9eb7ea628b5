/**
 * Open a bundle: the URL of its folder or manifest, or one that is already in memory.
 * Rejects with a FanlightError, or with the signal's reason when it is aborted.
 * @param {string | URL | InlineBundle} url @param {LoadOptions} [options] @returns {Promise<Model>}
 */
export function load(url: string | URL | InlineBundle, options?: LoadOptions): Promise<Model>;
/** A loaded model. Calls may overlap; they are answered in order. Made by `load`. */
export class Model {
    /** @param {About} about @param {Call} call @param {(reason: unknown) => void} close */
    constructor({ inputs, outputs, dims, labels, info }: About, call: Call, close: (reason: unknown) => void);
    inputs: import("./types.js").Spec[];
    outputs: import("./types.js").Spec[];
    dims: Record<string, {
        min: number;
        max: number;
        offset: number;
        size?: number;
    }>;
    labels: string[] | null;
    info: import("./types.js").Info;
    ask(tag: string, args: unknown[]): Promise<any>;
    /**
     * Compute all outputs. Each input is a typed array of the input's own shape, or `{ data, shape }`;
     * a batched input may have several items; one free size follows from how long the array is.
     * Where a model classifies pictures, the input may be anything that `classify` takes.
     * Rejects with a FanlightError.
     * @param {Record<string, Value | ImageSource>} inputs @returns {Promise<Record<string, Tensor>>}
     */
    run(inputs: Record<string, Value | ImageSource>): Promise<Record<string, Tensor>>;
    /**
     * Say what is in a picture, the likeliest first.
     * @param {ImageSource} source @param {{ top?: number }} [options] @returns {Promise<Prediction[]>}
     */
    classify(source: ImageSource, { top }?: {
        top?: number;
    }): Promise<Prediction[]>;
    /**
     * Milliseconds per kernel, the mean of many rounds.
     * @param {Record<string, Value>} inputs @returns {Promise<KernelTime[]>}
     */
    profile(inputs: Record<string, Value>): Promise<KernelTime[]>;
    /** Give the memory back. Calls still waiting, and later ones, reject. */
    dispose(): void;
    #private;
}
export function checkOptions(method: string, given: any, names: string[]): void;
/** The options of `load`. */
export const LOAD_OPTIONS: string[];
export type Call = (tag: string, args: unknown[]) => Promise<any>;
export type Shut = (reason: unknown) => void;
export type Link = {
    call: Call;
    close: Shut;
    end: Shut;
    started: Promise<void>;
    info?: {};
};
import type { InlineBundle } from './types.js';
import type { LoadOptions } from './types.js';
import { ARRAYS } from './bundle.js';
import { Engine } from './engine.js';
import { FanlightError } from './errors.js';
import { checkNames } from './bundle.js';
import { checkSize } from './bundle.js';
import { count } from './bundle.js';
import { fail } from './errors.js';
import { pixels } from './image.js';
import { portable } from './image.js';
import { readManifest } from './bundle.js';
import { said } from './errors.js';
import { sha256 } from './bundle.js';
import type { Value } from './types.js';
import type { ImageSource } from './types.js';
import type { Tensor } from './types.js';
import type { Prediction } from './types.js';
import type { KernelTime } from './types.js';
import type { About } from './types.js';
export { ARRAYS, Engine, FanlightError, checkNames, checkSize, count, fail, pixels, portable, readManifest, said, sha256 };
