/** What elements that teach and try ask of a `TransferSession`. Types only: no code. */

import type { Answer, Correction, ExportKind, Photo, Report, Run, Settings } from '../types.js';
import type { Session } from './session.js';

export interface TrainOptions {
  /** Told while features are computed: that is done for so many photos. */
  onPrepare?: (done: number, count: number) => void;
  /** After each epoch, from 0 on: loss, accuracy, val_loss, val_accuracy. */
  onEpoch?: (epoch: number, logs: Record<string, number>) => void;
  signal?: AbortSignal;
  /** Go on from what is learnt. */
  resume?: boolean;
}

export type { Correction };

export interface Teacher extends Session {
  /** What is missing before it can learn, in words; '' if nothing is. */
  missing: string;
  /** What goes on, if something does. */
  busy?: string;
  train(settings?: Partial<Settings>, options?: TrainOptions): Promise<Run>;
  evaluate(which?: 'held' | 'validation' | 'all' | string[]): Promise<Report>;
  predict(photo: Photo, options?: { heat?: boolean }): Promise<Answer>;
  correct(photo: Photo | string, to: string): Promise<Correction>;
  export(kind: ExportKind, options?: { signal?: AbortSignal; onProgress?: (done: number, count: number) => void }): Promise<File>;
}
