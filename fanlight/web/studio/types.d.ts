/** The shapes of what Studio keeps, and of what a `TransferSession` takes and gives. Types only: no code. */

import type { FanlightError } from '../runtime/fanlight.js';
import type { ImageSource } from '../runtime/types.js';

export interface ClassInfo {
  id: string;
  name: string;
  /** `#rrggbb`. */
  color: string;
}

/** A photo of a class, without the photo. */
export interface Example {
  id: string;
  project: string;
  /** The id of its class. */
  class: string;
  /** What its file was called, or when it was taken. */
  name: string;
  /** Milliseconds since 1970. */
  added: number;
  /** Pixels of the stored photo, upright. */
  width: number;
  height: number;
  /** Of the stored photo. */
  bytes: number;
  /** SHA-256 of the stored photo, in hex. */
  hash: string;
  source: Origin;
  /** Held out: it is never trained on, and measures honestly. */
  held: boolean;
}

export type Origin = 'file' | 'camera' | 'paste' | 'zip' | 'correction';

/** A photo that was checked and made ready to be kept. */
export interface NewExample {
  class: string;
  name: string;
  source: Origin;
  blob: Blob;
  thumb: Blob;
  width: number;
  height: number;
  hash: string;
  held?: boolean;
}

export interface Augment {
  /** Altered copies of each photo, 0 for none. */
  copies: number;
  /** At most so many degrees to either side. */
  rotate: number;
  /** At most this share of the side. */
  shift: number;
  /** At most this share larger or smaller. */
  zoom: number;
  /** Mirrored left to right, half of them. */
  flip: boolean;
  /** At most this share brighter or darker. */
  brightness: number;
}

export type Head = 'linear' | 'hidden' | 'neighbours';

export interface Settings {
  head: Head;
  /** Blocks of the backbone that learn, too. */
  unfreeze: number;
  epochs: number;
  batchSize: number;
  learningRate: number;
  schedule: 'constant' | 'cosine' | 'step';
  /** This share of what is not held out says after each epoch how well it goes. */
  validationSplit: number;
  /** Stop after so many epochs without a better one; 0: never. */
  patience: number;
  /** Of the head `neighbours`: how many are asked. */
  neighbours: number;
  /** A best score below it is "not sure". */
  threshold: number;
  /** Whether a camera's picture is a mirror: shown, kept and asked as such. Not there: that of a front camera is. */
  mirror?: boolean;
  seed: number;
  augment: Augment;
}

/** What a set of examples says of a classifier. */
export interface Report {
  count: number;
  loss: number;
  accuracy: number;
  perClass: { class: string; count: number; accuracy: number }[];
  /** [true class][said class], in the order of the classes. */
  confusion: number[][];
  /** The ids of the examples in each cell. */
  cells: string[][][];
}

/** A training that was done. */
export interface Run {
  at: number;
  settings: Settings;
  epochs: number;
  history: Record<string, number[]>;
  report: Report | null;
  seconds: number;
  examples: number;
  /** Which photos its report is of; not there: of an older Studio, which did not say. */
  measured?: 'held' | 'validation' | 'all';
  stopped: 'done' | 'early' | 'cancelled';
}

export interface Project {
  /** Of this layout: a higher one is from a newer Studio. */
  version: number;
  id: string;
  name: string;
  created: number;
  updated: number;
  /** Which backbone its features and heads are of. */
  form: string;
  classes: ClassInfo[];
  settings: Settings;
  runs: Run[];
}

/** One of the bundles that Studio has: a head, and how much of the backbone learns with it. */
export interface HeadInfo {
  id: string;
  head: Head;
  unfreeze: number;
  /** Heads of the same word take the same features of a photo. */
  features: string;
  /** Of its bundle, or of its manifest. */
  url: string;
  /** Where in Studio's folder the files are that belong to it and not to its model, by their names. */
  files?: Record<string, string>;
  bytes: number;
}

/** studio.json */
export interface StudioFile {
  version: number;
  title: string;
  backbone: { name: string; size: [number, number]; form: string };
  mostClasses: number;
  /** Every file of the folder, by its path. */
  files?: Record<string, { bytes: number; sha256: string }>;
  heads: HeadInfo[];
}

export interface Answer {
  /** The likeliest first. */
  results: { label: string; class: string; index: number; score: number }[];
  /** The best label; null where it is not sure. */
  label: string | null;
  sure: boolean;
  /** How much each place of the picture speaks for the best class: rows from top to bottom, 0 to 1. */
  heat: { data: Float32Array; width: number; height: number } | null;
  ms: number;
}

export interface Added {
  added: Example[];
  refused: { name: string; error: FanlightError }[];
}

export interface Pair {
  a: string;
  b: string;
  /** Cosine of the features; 1 for the very same photo. */
  similarity: number;
}

/** What a correction did. */
export interface Correction {
  example: Example;
  /** What the same photos said before and after it; null where none were kept aside. */
  before: Report | null;
  after: Report | null;
  measured: 'held' | 'validation' | null;
  /** false: the photo is one of those kept aside, and nothing was learnt from it. */
  learnt: boolean;
  ms: number;
  /** false: it has learnt anew since, and only the photo is taken back. */
  undo: () => Promise<boolean>;
}

export type Photo = ImageSource | Blob;
export type ExportKind = 'page' | 'html' | 'npm' | 'tfjs' | 'safetensors' | 'project';
