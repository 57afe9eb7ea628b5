import type { Model } from './fanlight.js';
/** The shapes of what passes between a bundle, the runtime and a page. Types only: no code. */

export type DType = 'float32' | 'int32' | 'uint8' | 'bool';
export type TypedArray = Float32Array | Int32Array | Uint8Array | Uint8ClampedArray;
/** A size, or the name of one that may differ from call to call (see `Manifest.dims`). */
export type Size = number | string;

/** An input or an output, as the manifest describes it. */
export interface Spec {
  name: string;
  dtype: DType;
  shape: Size[];
  offset: number;
  bytes: number;
  /** The leading size was free in the source: a call may give several items at once. */
  batched: boolean;
}

export interface HashedFile {
  path: string;
  bytes: number;
  sha256: string;
}

export interface Task {
  kind: string;
  image: string;
  scores: string;
  top_scores: string;
  top_indices: string;
  /** The output with scores of each place of the picture, [h, w, labels], of a task that was made with heat=True. */
  heat?: string;
  labels: string[] | null;
}

export interface Kernel {
  name: string;
  op: string;
  source: string;
  flops: number;
  bytes: number;
}

export interface Manifest {
  fanlight: number;
  name: string;
  producer: string;
  precision: string;
  task: Task | null;
  inputs: Spec[];
  outputs: Spec[];
  /** `size`: of one that no input tells, what it is now. */
  dims: Record<string, { min: number; max: number; offset: number; size?: number }>;
  memory: { pages: number; weights: { offset: number; bytes: number } };
  /** With an encoding, the module's `expand` makes memory of the bytes: twice as many. */
  weights: (HashedFile & { offset: number; encoding?: 'f16' })[];
  modules: CodeFile[];
  kernels: Kernel[];
  /** Of a folder of several bundles, the file that lists them; it has no other part then. */
  group?: string;
  /** Every other file, by its name; path: where it is, if not under that. */
  files: Record<string, { bytes: number; sha256: string; path?: string }>;
}

/** training.json: what is kept from step to step, and the steps. */
export interface TrainingFile {
  state: Kept[];
  programs: { train: Program; evaluate: Program; answer?: Program; features?: Program; picture?: Program };
  /** What the labels of each output are. */
  labels: Label[];
  /** Of the model and of what nothing learns: states of another form are not taken up. */
  form: string;
  metrics: { name: string; size: number }[];
  /** The model as Keras describes it: how Python makes it again. */
  config: any;
  /** Which of `state` is the learning rate; null where it cannot be set. */
  rate: number | null;
  /** The layer with a unit for each class, where the number of classes may change. */
  head: string | null;
}

/** What the labels of an output are. */
export interface Label {
  name: string;
  /** How many classes there are, where they are class numbers. */
  classes: Size | null;
  /** A class number that the loss passes over. */
  ignored: number | null;
  /** Whether they are shares, from 0 to 1. */
  share: boolean;
}

/** Steps first .. last - 1 of the module. */
export interface Program {
  first: number;
  last: number;
  inputs: Spec[];
  outputs: Spec[];
}

/** A value that is kept from step to step, at its place in memory. */
export interface Kept {
  path: string;
  kind: 'weight' | 'optimizer' | 'metric' | 'key';
  trainable: boolean;
  dtype: DType;
  shape: Size[];
  offset: number;
  bytes: number;
}

/** Numbers of examples: one after the other, by the name of the input or output where there are several. */
export type Examples = Numbers | Record<string, Numbers>;
export type Numbers = TypedArray | number[];

export type Logs = Record<string, number | number[]>;

export interface FitOptions {
  /** How often to go through the examples (default 1). */
  epochs?: number;
  /** Examples per step, at most as many as the bundle was built for; default: 32, or so many. */
  batchSize?: number;
  /** In another order in every epoch (default true). */
  shuffle?: boolean;
  /** Of shuffling and of random layers: the same seed, the same run. */
  seed?: number;
  /** This share of the end is kept for validation (default 0); not where there is validationData. */
  validationSplit?: number;
  /** x, y, and how much each of these examples counts. */
  validationData?: [Examples, Examples, Examples?];
  /** How much the examples of each class count, 1 where nothing is said; of several outputs by their names. */
  classWeight?: Record<number, number> | Record<string, Record<number, number>>;
  /** How much each example counts: for all outputs, or for those that are named. */
  sampleWeight?: Examples;
  /** Of the optimizer, from here on; or what says it before each epoch, which counts from 0. */
  learningRate?: number | ((epoch: number) => number);
  /** x is what `features` gave, and so is that of validationData (default false). */
  features?: boolean;
  /** Told while what comes before the first step is computed: that is done for so many examples. */
  onPrepare?: (done: number, count: number) => void;
  onEpochEnd?: (epoch: number, logs: Logs) => void;
  /** Called in order, a few at a time. */
  onBatchEnd?: (batch: number, logs: Logs, epoch: number) => void;
  signal?: AbortSignal;
}

export type EvaluateOptions = Pick<FitOptions, 'batchSize' | 'features' | 'sampleWeight' | 'signal'>;
export type PredictOptions = Pick<FitOptions, 'batchSize' | 'features' | 'signal'>;
export interface FeatureOptions {
  /** Told after each photo, or every so many examples. */
  onProgress?: (done: number, count: number) => void;
  signal?: AbortSignal;
}

export interface History {
  epoch: number[];
  history: Record<string, (number | number[])[]>;
  /** Of `persist`: why the browser did not keep what was learnt in the last epoch, if it did not. */
  unkept?: Error & { code: string };
}

export interface CodeFile extends HashedFile {
  simd: 'relaxed' | 'plain';
  /** Where the byte stands that makes its memory a shared one, and the control block in memory. */
  threads: false | { flags: number; control: number };
  /** What the host may choose while it runs: each sets a bit of an int32 in memory. */
  choices?: { name: string; offset: number; bit: number }[];
}

/** A bundle that is already in memory, as in a page that is one file. */
export interface InlineBundle {
  manifest: Manifest;
  /** Path to contents; a Blob of type `text/base64` is decoded. */
  files: Record<string, Blob | ArrayBuffer | Uint8Array<ArrayBuffer>>;
  /** How to start the worker, where worker.js is not beside fanlight.js. */
  worker?: () => Worker;
}

/** What an engine runs: threads.js and choice.js, which come later if at all, change it. */
export interface Core {
  manifest: Manifest;
  /** Where the other files of the bundle come from. */
  files: { base: string; fresh: unknown[][]; bring(file: any, target: any): Promise<void> };
  file: CodeFile;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  info: Info;
  /** What the module exports: this thread's share of steps first .. last - 1. */
  run: (first: number, last: number, thread: number, threads: number) => void;
  /** Steps first .. last - 1, by all threads. */
  walk: (first: number, last: number) => void;
  /** Take these of the module's choices, and no others. */
  choose: (variants: string[]) => void;
  /** What is left to find out by measuring. */
  free: { threads: boolean; variants: boolean };
  /** How many threads to start from; where `free.threads` is false, how many there are to be. */
  asked: number;
  /** How often `run` was called. */
  calls: number;
  /** When what came from the network is kept for the next visit. */
  kept: Promise<void>;
  /** Tell in `info` why a part of it is so. */
  say: (part: keyof Info['reasons'], words: string) => void;
  /** Called when `info` has changed. */
  changed: () => void;
  team?: { resize: (threads: number, spare: boolean) => Promise<void> };
}

export interface Progress {
  /** Bytes that have arrived. */
  loaded: number;
  /** Bytes that will have arrived when the model is ready. */
  total: number;
}

/** What a page can afford; for folders of tiers (see docs/adaptive.md). */
export interface Budget {
  /** Milliseconds of an answer, at the most (default 50). */
  targetMs?: number;
  /** Bytes of the model, at the most. */
  maxBytes?: number;
  /** Take the smallest download; default: what the visitor has told the browser. */
  saveData?: boolean;
  /** How long an answer takes, in milliseconds; default: the median of a few. More than `enough` needs no care. */
  measure?: (model: Model, tier: Tier, enough: number) => number | Promise<number>;
}

/** One bundle of tiers.json or cascade.json. */
export interface Tier {
  id: string;
  url: string;
  precision: string;
  arithmetic: 'float32' | 'int8';
  /** Height and width that a picture is brought to. */
  size: [number, number] | null;
  bytes: number;
  flops: number;
  memory: number;
  /** Of tiers: the share of photos of which it said what the float model says. */
  agreement?: number | null;
}
export interface Stage extends Tier {
  /** The lead of the best score below which the next stage is asked. */
  threshold?: number;
}
export interface TierList {
  kind: 'tiers' | 'cascade' | 'exits';
  name: string;
  hash: string;
  tiers: Tier[];
  stages: Stage[];
}
/** What happened to a tier: how long an answer took, why it was not loaded, or what went wrong. */
export interface TierTrial {
  tier: string;
  ms?: number;
  skipped?: string;
  problem?: string;
}
/** How often each stage was asked. */
export interface Stages {
  answers: number;
  asked: number[];
  /** The share of answers that needed the second stage. */
  share: number;
  /** Why a stage could not be asked, if so. */
  problem: string;
}

export interface LoadOptions {
  /** Of a folder of tiers: what to choose by. */
  budget?: Budget;
  backend?: 'auto' | 'wasm';
  /** How many threads compute, at most one per core; 'auto' finds out how many help. */
  threads?: 'auto' | number;
  /** Which module to use; 'auto' takes the fastest that this browser can run. */
  simd?: 'auto' | 'relaxed' | 'plain';
  /** Which of the module's choices to take, by name; 'auto' finds out which help. */
  variants?: 'auto' | string[];
  /** Run in a worker (default), on the calling thread (false), or in the worker that you make. */
  worker?: boolean | (() => Worker);
  /** Keep verified files in Cache Storage, by their hash, after the first answer (default true). */
  cache?: boolean;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
}

export interface Info {
  backend: 'wasm';
  simd: 'relaxed' | 'plain';
  /** The module's choices that are taken. */
  variants: string[];
  threads: number;
  /** What was tried and the milliseconds that one run took, where it was found out here. */
  tried?: Trial[];
  /** Bytes of the module and the weights. */
  bytes: number;
  /** Why this module, this many threads, these variants and this place, in words; `why` is all of it. */
  reasons: { simd: string; threads: string; training?: string; variants?: string; worker?: string };
  why: string;
  /** Whether the model runs in a worker. */
  worker: boolean;
  /** Whether every file came from Cache Storage. */
  cached: boolean;
  /** Which build this is: its name, what made it, and its files, which are named by their hashes. */
  bundle: { name: string; producer: string; files: string[] };
  /** Of a folder of tiers: which one, what was tried for it, and all that in words. */
  tier?: string;
  tiersTried?: TierTrial[];
  choice?: string;
  /** Of a folder of stages. */
  stages?: Stages;
}

export interface Trial {
  variants: string[];
  threads: number;
  ms: number;
}

/** What an opened bundle says about itself. */
export interface About {
  inputs: Spec[];
  outputs: Spec[];
  dims: Manifest['dims'];
  labels: string[] | null;
  info: Info;
}

/** What was learnt, as a bundle without the files of its runtime and page. */
export interface Learnt {
  manifest: Manifest;
  files: Map<string, Uint8Array>;
  /** The URL of the folder that it came from; empty: from memory. */
  base: string;
}

export interface ExportOptions {
  /** Names for the classes; default: those that they have. */
  labels?: string[];
  /** Heading of the page, and name of the bundle. */
  title?: string;
  /** Files of the runtime and the page that do not stand beside the model: of those that it gives nothing for, the folder has them. */
  files?: (path: string) => Promise<Uint8Array | Blob | undefined> | Uint8Array | Blob | undefined;
}

/** A typed array, with a shape where it is not the input's own, or has two free sizes. */
export type Value = TypedArray | { data: TypedArray; shape?: number[] };
export interface Tensor {
  data: TypedArray;
  shape: number[];
  dtype: DType;
}
export interface Prediction {
  label: string;
  index: number;
  score: number;
}
/** One kernel and the milliseconds it took, on average. */
export type KernelTime = Kernel & { ms: number };

/** What `classify` takes. */
export type ImageSource = ImageBitmapSource;
/** What can be sent to a worker. */
export type Picture = Blob | ImageData | ImageBitmap;
