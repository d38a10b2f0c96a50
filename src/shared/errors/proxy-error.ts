/** A request failed in one of the ways that `catalog.ts` lists. */
import { catalog, type ErrorCode, type ErrorFacts } from './catalog.ts';

export interface ProxyErrorOptions extends ErrorOptions {
  readonly phase?: string | undefined;
}

export class ProxyError extends Error {
  override readonly name = 'ProxyError';
  readonly code: ErrorCode;
  /** The phase whose fault it is, if it is one's. */
  declare readonly phase: string | undefined;

  /** @param detail only what this case knows: who, and *expected … got …*; for the log, never sent to a client */
  constructor(code: ErrorCode, detail: string, options: ProxyErrorOptions = {}) {
    super(`${code}: ${detail}`, options);
    this.code = code;
    if (options.phase !== undefined) this.phase = options.phase;
  }

  /** What follows from the code: side, status, retry verdict, texts for the operator. */
  get facts(): ErrorFacts {
    return catalog[this.code];
  }
}
