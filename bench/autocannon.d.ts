/** The part of autocannon that the load scripts use; the package brings no types. */
declare module 'autocannon' {
  import type { EventEmitter } from 'node:events';

  export interface Options {
    readonly url: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    readonly pipelining?: number;
    readonly headers?: Readonly<Record<string, string>>;
    /** Requests per second, all connections together. */
    readonly overallRate?: number;
    /** Called for each connection before it is opened. */
    readonly setupClient?: (client: EventEmitter) => void;
  }

  export interface Result {
    readonly requests: { readonly average: number; readonly total: number };
    /** Bytes per second. */
    readonly throughput: { readonly average: number };
    /** Timeouts included. */
    readonly errors: number;
    readonly timeouts: number;
    readonly non2xx: number;
    readonly statusCodeStats?: Readonly<Record<string, { readonly count?: number }>>;
  }

  /** Emits `response` for every answer: client, status, bytes, milliseconds. */
  export interface Instance extends EventEmitter, PromiseLike<Result> {
    /** Ends it early; the result is what was measured until then. */
    stop(): void;
  }

  export default function autocannon(options: Options): Instance;
}
