/** A peer is healthy if it answers a request as it should. */
import { refuseUnknown } from '../../shared/config/options.ts';
import {
  COMMON_OPTIONS,
  thresholdsFrom,
  type HealthCheckOptions,
  type Thresholds,
} from './health-check.ts';

export interface HttpHealthCheckOptions extends HealthCheckOptions {
  /** Path and query of the request. Default `/`. */
  readonly path?: string;
  /** In capitals; the request has no body. Default `GET`. */
  readonly method?: string;
  /** The Host field. Default: the peer’s address. */
  readonly host?: string;
  /** Further fields; a `user-agent` takes the place of `sluice-health-check`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses of a peer that is well, or ranges of them, such as `'200-299'`. Default `['200-399']`. */
  readonly statuses?: readonly (number | string)[];
  /** Must be in the body, of which the first 64 KiB are looked at. Default: any body will do. */
  readonly body?: string | RegExp;
  /** Keeps the connection for the next probe. Default false: making one is part of being well. */
  readonly keepAlive?: boolean;
}

const OPTIONS = {
  ...COMMON_OPTIONS,
  path: true,
  method: true,
  host: true,
  headers: true,
  statuses: true,
  body: true,
  keepAlive: true,
} as const;

/** Both ends included. */
interface StatusRange {
  readonly from: number;
  readonly to: number;
}

export class HttpHealthCheck implements Thresholds {
  readonly type = 'http';
  readonly timeoutMs: number;
  readonly consecutiveSuccess: number;
  readonly consecutiveFailure: number;
  readonly port: number | undefined;
  readonly path: string;
  readonly method: string;
  readonly host: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | RegExp | undefined;
  readonly keepAlive: boolean;
  readonly #statuses: readonly StatusRange[];

  /** @throws {TypeError} an option is unknown, or makes no sense */
  constructor(options: HttpHealthCheckOptions = {}) {
    refuseUnknown('HttpHealthCheck', options, OPTIONS);
    checkRequest(options);
    const thresholds = thresholdsFrom('HttpHealthCheck', options);
    this.timeoutMs = thresholds.timeoutMs;
    this.consecutiveSuccess = thresholds.consecutiveSuccess;
    this.consecutiveFailure = thresholds.consecutiveFailure;
    this.port = thresholds.port;
    this.path = options.path ?? '/';
    this.method = options.method ?? 'GET';
    this.host = options.host;
    this.headers = { ...options.headers };
    this.body = withoutPosition(options.body);
    this.keepAlive = options.keepAlive ?? false;
    this.#statuses = rangesFrom(options.statuses ?? ['200-399']);
  }

  isExpected(status: number): boolean {
    return this.#statuses.some(({ from, to }) => status >= from && status <= to);
  }

  /** Of the statuses that are expected: `200, 204-206`. */
  get expectedStatuses(): string {
    return this.#statuses
      .map(({ from, to }) => (from === to ? String(from) : `${from}-${to}`))
      .join(', ');
  }

  isInBody(text: string): boolean {
    if (this.body === undefined) return true;
    return typeof this.body === 'string' ? text.includes(this.body) : this.body.test(text);
  }
}

/** A pattern with `g` or `y` goes on where its last match ended, which was in another body. */
function withoutPosition(body: string | RegExp | undefined): string | RegExp | undefined {
  if (!(body instanceof RegExp)) return body;
  return new RegExp(body.source, body.flags.replace(/[gy]/g, ''));
}

const RANGE = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/;

function rangesFrom(statuses: readonly (number | string)[]): StatusRange[] {
  if (statuses.length === 0) fail('statuses', 'at least one', '[]');
  return statuses.map((given) => {
    const [, first, last = first] = RANGE.exec(String(given)) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (from <= to) return { from, to };
    return fail('statuses', 'a status such as 200 or a range such as "200-399"', given);
  });
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function checkRequest({ path, method, host, headers = {}, body }: HttpHealthCheckOptions): void {
  if (path !== undefined && !/^\/[\x21-\x7e]*$/.test(path))
    fail('path', 'a path that begins with /, without blanks', path);
  if (method !== undefined && !/^[A-Z]+$/.test(method))
    fail('method', 'a method in capitals such as "GET"', method);
  // The first opens a tunnel, and what comes back of the second is what we have sent.
  if (method === 'CONNECT' || method === 'TRACE')
    fail('method', 'any but CONNECT and TRACE', method);
  if (host !== undefined && !/^[\x21-\x7e]+$/.test(host))
    fail('host', 'a name such as "api.internal"', host);
  for (const [name, value] of Object.entries(headers)) {
    if (!TOKEN.test(name)) fail('headers', 'names such as "x-probe"', name);
    if (!FIELD_VALUE.test(value)) fail('headers', 'values without control characters', value);
  }
  if (body === '') fail('body', 'some text, or a regular expression', body);
  if (body !== undefined && method === 'HEAD')
    fail('body', 'none, since an answer to HEAD has none', body);
}

function fail(option: string, expected: string, got: unknown): never {
  const shown = got instanceof RegExp ? String(got) : JSON.stringify(got);
  throw new TypeError(`HttpHealthCheck: ${option}: expected ${expected}, got ${shown}`);
}
