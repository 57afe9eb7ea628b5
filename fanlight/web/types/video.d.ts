export function warm(model: Pick<Model, "classify">): Promise<void>;
export function openCamera(): Promise<MediaStream>;
export function watch(video: HTMLVideoElement, model: Pick<Model, "classify">, { onAnswer, onProblem, top }?: WatchOptions): Watching;
export type Answer = {
    results: Prediction[];
    ms: number;
};
export type WatchOptions = {
    /**
     * told of each frame that was answered
     */
    onAnswer?: ((answer: Answer) => void) | undefined;
    /**
     * told once, of what ended it
     */
    onProblem?: ((error: unknown) => void) | undefined;
    /**
     * how many predictions
     */
    top?: number | undefined;
};
export type Watching = {
    /**
     * no answer comes after it
     */
    stop: () => void;
    /**
     * how many frames the video has shown
     */
    frames: number;
    /**
     * how many of them were answered
     */
    answers: number;
};
import type { Model } from './fanlight.js';
import type { Prediction } from './types.js';
