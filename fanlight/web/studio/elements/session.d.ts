/** What the elements need of a `TransferSession` and of its store. Types only: no code. */

import type {
  Added, ClassInfo, Example, ExportKind, HeadInfo, Origin, Pair, Project, Report, Settings, StudioFile,
} from '../types.js';
import type { TrainableModel } from '../../runtime/train.js';

export interface Keeper {
  /** false: what is there is gone with the page. */
  keeps?: boolean;
  projects(): Promise<Project[]>;
  update(id: string, changes: Partial<Project>): Promise<unknown>;
  remove(id: string): Promise<void>;
  examples(project: string): Promise<Example[]>;
  usage(): Promise<{ used: number; quota: number; persisted: boolean }>;
  persist(): Promise<boolean>;
}

export interface Session extends EventTarget {
  classes: ClassInfo[];
  examples: Example[];
  /** Photos that were not looked at yet. */
  waiting?: number;
  settings: Settings;
  project: Project;
  heads: HeadInfo[];
  /** What sees. */
  backbone?: StudioFile['backbone'];
  /** The classifier that is open, if one is. */
  opened?(): Promise<TrainableModel | undefined>;
  trained: boolean;
  /** What the classifier does not know yet, in words; '' if it was taught all classes. */
  untaught?: string;
  /** Why what was learnt could not be taken up again. */
  problem?: unknown;
  report: Report | null;
  store: Keeper | null;
  configure(changes: Partial<Settings>): Promise<void>;
  addClass(name: string, options?: { color?: string }): Promise<ClassInfo>;
  renameClass(id: string, name: string): Promise<unknown>;
  recolorClass(id: string, color: string): Promise<unknown>;
  removeClass(id: string): Promise<unknown>;
  add(to: string | null, photos: unknown, options?: {
    source?: Origin; onProgress?: (done: number, count?: number) => void; signal?: AbortSignal;
  }): Promise<Added>;
  remove(ids: string[]): Promise<unknown>;
  move(ids: string[], to: string): Promise<unknown>;
  hold(ids: string[], held: boolean): Promise<unknown>;
  photo(id: string): Promise<Blob>;
  thumb(id: string): Promise<Blob>;
  duplicates(options?: { threshold?: number }): Promise<Pair[]>;
  load(project: string): Promise<unknown>;
  create(name: string): Promise<unknown>;
  rename(name: string): Promise<unknown>;
  export(kind: ExportKind, options?: object): Promise<File>;
  importProject(file: File, options?: { onProgress?: (done: number, count: number) => void; signal?: AbortSignal }): Promise<Project>;
}
