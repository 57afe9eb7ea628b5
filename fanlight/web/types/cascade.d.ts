export function openStages(list: TierList, base: string, { signal, ...rest }: LoadOptions): Promise<Model>;
import type { TierList } from './types.js';
import type { LoadOptions } from './types.js';
import { Model } from './fanlight.js';
