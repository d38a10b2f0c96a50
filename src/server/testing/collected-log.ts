/** A process log whose lines stay where a test can look at them. */
import type { Fields, Level, Log } from '../../shared/log/log.ts';

/** Fields as they were given: an error is still an error. */
export type LogLine = Fields & { readonly level: Level; readonly msg: string };

export function collectLog(lines: LogLine[], common: Fields = {}): Log {
  const writer = (level: Level) => (fields: Fields, msg: string) => {
    lines.push({ ...common, ...fields, level, msg });
  };
  return {
    trace: writer('trace'),
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    child: (fields) => collectLog(lines, { ...common, ...fields }),
    flush() {},
    reopen() {},
  };
}
