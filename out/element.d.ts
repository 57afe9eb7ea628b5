/**
 * `<fanlight-classifier src="folder/" top="5">`: pick, drop, paste or film, and read what it is.
 * Its `<img>` children become sample photos. Events, which bubble: `fanlight-ready` (detail: the
 * model), `fanlight-result` (detail: { results, ms }), `fanlight-error` (detail: the error).
 */
export class FanlightClassifier extends HTMLElement {
    static observedAttributes: string[];
    /** The text of the style sheet. */
    static css: () => Promise<string>;
    /** A bundle in memory that takes the place of `src`. @type {InlineBundle | undefined} */
    static bundle: InlineBundle | undefined;
    /** Settles when the model is loaded. @type {Promise<Model> | undefined} */
    ready: Promise<Model> | undefined;
    connectedCallback(): void;
    disconnectedCallback(): void;
    attributeChangedCallback(): void;
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
