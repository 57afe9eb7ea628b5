/**
 * Open a bundle that was built with `train`: a model that also learns. Given a model that is loaded
 * already, as `await element.ready` of a page that classifies, it is that one which learns.
 * @param {string | URL | InlineBundle | Model} source
 * @param {LoadOptions & { persist?: string }} [given] persist: a name under which this browser keeps what was
 *   learnt, after every epoch; what is there already is taken up again
 * @returns {Promise<TrainableModel>}
 */
export function load(source: string | URL | InlineBundle | Model, given?: LoadOptions & {
    persist?: string;
}): Promise<TrainableModel>;
/** A loaded model that learns. Everything is computed on this device. Made by `load`. */
export class TrainableModel {
    /** @param {Model} model @param {string} [persist] @param {number[] | Record<string, number[]>} [shape] */
    constructor(model: Model, persist?: string, shape?: number[] | Record<string, number[]>);
    /** Whether `load` found what was learnt before. */
    restored: boolean;
    get inputs(): Spec[];
    /** As of `Model`, of as many classes as there are now. @returns {Spec[]} */
    get outputs(): Spec[];
    get labels(): string[] | null;
    get info(): import("./types.js").Info;
    run(inputs: Record<string, import("./types.js").Value | ImageSource>): Promise<Record<string, Tensor>>;
    classify(source: ImageSource, { top }?: {
        top?: number;
    }): Promise<import("./types.js").Prediction[]>;
    /**
     * Pictures, or one, as `fit` and `evaluate` take them, one after the other: what becomes of a picture before
     * the model sees it where it classifies, computed by the same program. Of a bundle that was built with a task.
     * @param {ImageSource | Iterable<ImageSource>} sources @returns {Promise<Float32Array>}
     */
    pictures(sources: ImageSource | Iterable<ImageSource>): Promise<Float32Array>;
    /**
     * What nothing learns makes of photos, or of examples as `fit` takes them: a row of `featureSize` numbers for
     * each, to give to `fit`, `evaluate` and `predict` with `features: true`. Of a model in which everything learns
     * that is what `pictures` makes. Where learning begins in several places, an array for each, by its name.
     * @template [T=Float32Array] @param {ImageSource | Iterable<ImageSource> | Examples} given
     * @param {FeatureOptions} [options] @returns {Promise<T>}
     */
    features<T = Float32Array<ArrayBufferLike>>(given: ImageSource | Iterable<ImageSource> | Examples, options?: FeatureOptions): Promise<T>;
    /** The shape of a row of `features`; of several an object by name. Of a bundle that does not train: undefined. */
    get featureShape(): number[] | Record<string, number[]> | undefined;
    /** How many numbers a row of `features` is; of several an object by name. */
    get featureSize(): number | Record<string, number> | undefined;
    /** See `Model.dispose`. */
    dispose(): void;
    /**
     * Train. Arrays hold the examples one after the other; labels are class numbers (Int32Array) or numbers
     * of the shape of the output (Float32Array), as the loss of the model has it. Of several inputs or
     * outputs there is an array each, by its name.
     * Rejects with a FanlightError, or with the signal's reason; what was learnt until then stays.
     * @param {Examples} x @param {Examples} y @param {FitOptions} [options] @returns {Promise<History>}
     */
    fit(x: Examples, y: Examples, options?: FitOptions): Promise<History>;
    /**
     * Loss and metrics of examples. @param {Examples} x @param {Examples} y
     * @param {EvaluateOptions} [options] @returns {Promise<Logs>}
     */
    evaluate(x: Examples, y: Examples, options?: EvaluateOptions): Promise<Logs>;
    /**
     * The outputs of the model for examples, in batches: what Python's `predict` gives, row after row. Of several
     * outputs there is an array each, by its name.
     * @template [T=Float32Array] @param {Examples} x @param {PredictOptions} [options] @returns {Promise<T>}
     */
    predict<T = Float32Array<ArrayBufferLike>>(x: Examples, options?: PredictOptions): Promise<T>;
    /** The weights by their paths, "dense/kernel". @returns {Promise<Record<string, Tensor>>} */
    getWeights(): Promise<Record<string, Tensor>>;
    /**
     * Give weights new numbers: all that are named, or none where one does not fit.
     * @param {Record<string, TypedArray | { data: TypedArray }>} weights @returns {Promise<void>}
     */
    setWeights(weights: Record<string, TypedArray | {
        data: TypedArray;
    }>): Promise<void>;
    /** How many classes there are; null where that is for good. @returns {Promise<number | null>} */
    getClasses(): Promise<number | null>;
    /**
     * Change the classes of a model that was built with dims={"classes": ...}. Those that stay keep what they have
     * learnt, new ones begin as they were built. `labels` has their names.
     * @param {number | string[]} classes how many there are, or their names
     * @param {number[]} [keep] which of the old classes the first of the new ones are, by their numbers: [0, 2] lets
     *   class 1 go. Default: those whose names stay; without names as many as there are.
     * @returns {Promise<void>}
     */
    setClasses(classes: number | string[], keep?: number[]): Promise<void>;
    /**
     * What was learnt, optimizer included, as a file that `fl.load` reads in Python: its name ends in .safetensors.
     * @returns {Promise<File>}
     */
    save(): Promise<File>;
    /**
     * What was learnt as what was built: all files of a bundle, by their paths. Put into a folder they are a page, an npm
     * package, and what `fl.open_bundle` opens in Python; the page can learn on.
     * @param {ExportOptions} [options] @returns {Promise<Map<string, Uint8Array<ArrayBuffer>>>}
     */
    export(options?: ExportOptions): Promise<Map<string, Uint8Array<ArrayBuffer>>>;
    /**
     * Keep what was learnt in this browser, under a name; default: that of `persist`. What other versions of the
     * model keep under it stays: the last four of them.
     * @param {string} [name] @returns {Promise<void>}
     */
    store(name?: string): Promise<void>;
    /**
     * Take up what is kept under a name: whether there was such, of this very model. It is not where
     * the shape of anything differs, or what nothing learns.
     * @param {string} [name] @returns {Promise<boolean>}
     */
    restore(name?: string): Promise<boolean>;
    /** Forget what is kept under a name, by all versions of the model. @param {string} [name] @returns {Promise<void>} */
    forget(name?: string): Promise<void>;
    /** Begin again with the weights that were built. @returns {Promise<void>} */
    reset(): Promise<void>;
    #private;
}
export type Rule = [(value: any) => boolean, string];
import type { InlineBundle } from './types.js';
import { Model } from './fanlight.js';
import type { LoadOptions } from './types.js';
import type { Spec } from './types.js';
import type { ImageSource } from './types.js';
import type { Tensor } from './types.js';
import type { Examples } from './types.js';
import type { FeatureOptions } from './types.js';
import type { FitOptions } from './types.js';
import type { History } from './types.js';
import type { EvaluateOptions } from './types.js';
import type { Logs } from './types.js';
import type { PredictOptions } from './types.js';
import type { TypedArray } from './types.js';
import type { ExportOptions } from './types.js';
