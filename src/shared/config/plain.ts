/**
 * A configuration as it was written: plain data, with `$NAME` where the file has
 * it. For who makes another file of it; `load.ts` is what checks one.
 */
import { parse } from 'yaml';

/** @param source the text of a file that `loadConfig` has accepted */
export function plainConfig(source: string): Record<string, unknown> {
  return parse(source, { merge: true, maxAliasCount: 100 }) as Record<string, unknown>;
}
