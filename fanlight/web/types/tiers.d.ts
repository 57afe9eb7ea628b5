export function describe({ info }: Model, more: {}, words: () => string): void;
export function time(model: Model, { size }: Pick<Tier, "size">, enough?: number): Promise<number>;
export function openGroup(source: string, given: any, options: LoadOptions): Promise<Model>;
export function loadTiers(url: string | URL, { targetMs, maxBytes, saveData, measure, ...rest }?: LoadOptions & Budget): Promise<Model>;
import type { Model } from './fanlight.js';
import type { Tier } from './types.js';
import type { LoadOptions } from './types.js';
import type { Budget } from './types.js';
