/** The part of autocannon that the load scripts use; the package brings no types. */
declare module 'autocannon' {
  export interface Options {
    readonly url: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    readonly pipelining?: number;
    readonly headers?: Readonly<Record<string, string>>;
    /** Requests per second, all connections together. */
    readonly overallRate?: number;
  }

  export interface Result {
    readonly requests: { readonly average: number; readonly total: number };
    /** Bytes per second. */
    readonly throughput: { readonly average: number };
    /** Milliseconds. */
    readonly latency: {
      readonly p50: number;
      readonly p90: number;
      readonly p99: number;
      readonly p99_9: number;
      readonly max: number;
    };
    /** Timeouts included. */
    readonly errors: number;
    readonly timeouts: number;
    readonly non2xx: number;
    readonly statusCodeStats?: Readonly<Record<string, { readonly count?: number }>>;
  }

  export default function autocannon(options: Options): Promise<Result>;
}
