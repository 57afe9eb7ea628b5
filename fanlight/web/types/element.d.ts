/**
 * `<fanlight-classifier src="folder/" top="5">`: pick, drop, paste or film, and read what it is.
 * `loading="lazy"` fetches nothing of the model before a visitor touches it; `target-ms` and `max-bytes`
 * are what a folder of tiers is chosen by. Its `<img>` children become sample photos. Events, which bubble: `fanlight-ready` (detail: the
 * model), `fanlight-result` (detail: { results, ms }), `fanlight-error` (detail: the error).
 */
export class FanlightClassifier extends HTMLElement {
    static observedAttributes: string[];
    /** The text of the style sheet. */
    static css: () => Promise<string>;
    /** A bundle in memory that takes the place of `src`. @type {InlineBundle | undefined} */
    static bundle: InlineBundle | undefined;
    /**
     * Settles when the model is loaded; undefined before `load` has begun. Another one after each new beginning.
     * @type {Promise<Model> | undefined}
     */
    ready: Promise<Model> | undefined;
    /** The milliseconds of the latest answers, and the latest errors: for a report. @type {number[]} */
    times: number[];
    /** @type {unknown[]} */
    errors: unknown[];
    connectedCallback(): void;
    disconnectedCallback(): void;
    attributeChangedCallback(): void;
    /** Fetch the model, if that was not begun, or failed: what `loading="lazy"` leaves to the visitor. @returns {Promise<Model>} */
    load(): Promise<Model>;
    /**
     * Show a picture and what it is. Of several calls only the last one is shown.
     * @param {ImageSource} source @returns {Promise<Prediction[]>}
     */
    classify(source: ImageSource): Promise<Prediction[]>;
    #private;
}
import type { Model } from './fanlight.js';
import type { ImageSource } from './types.js';
import type { Prediction } from './types.js';
import type { InlineBundle } from './types.js';
