/** A log that keeps its lines for the test to look at. */
import type { Fields, Log } from '../../src/shared/log/log.ts';

export interface CollectedLine extends Fields {
  readonly level: string;
  readonly msg: string;
}

export function collectingLog(): { readonly log: Log; readonly lines: readonly CollectedLine[] } {
  const lines: CollectedLine[] = [];
  const writer = (level: string) => (fields: Fields, msg: string) =>
    void lines.push({ ...fields, level, msg });
  const log: Log = {
    trace: writer('trace'),
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    child: () => log,
    flush: () => {},
    reopen: () => {},
  };
  return { log, lines };
}
