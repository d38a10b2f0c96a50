/** Node's own HTTP/1 parser (llhttp): the second opinion of the fuzz tests. */
import { createRequire } from 'node:module';

export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly fields: readonly string[];
  readonly body: string;
}

export interface SeenResponse {
  readonly status: number;
  readonly version: string;
  readonly fields: readonly string[];
  readonly body: string;
}

export interface Reading {
  /** Requests that were complete, in order. */
  readonly requests: readonly SeenRequest[];
  /** Why reading stopped before the end of the input; `undefined` if it did not. */
  readonly refused: string | undefined;
}

export interface ResponseReading {
  readonly responses: readonly SeenResponse[];
  readonly refused: string | undefined;
}

/** The few parts that are used here; indices are event numbers. */
interface Parser {
  [event: number]: (...args: never[]) => unknown;
  initialize(type: number, resource: object): void;
  execute(bytes: Buffer): number | (Error & { readonly code: string });
  /** The connection has ended. */
  finish(): undefined | (Error & { readonly code: string });
}
type ParserClass = (new () => Parser) &
  Readonly<
    Record<
      | 'REQUEST'
      | 'RESPONSE'
      | 'kOnHeaders'
      | 'kOnHeadersComplete'
      | 'kOnBody'
      | 'kOnMessageComplete',
      number
    >
  >;

/** A stream of requests. */
export function readAsNode(wire: string): Reading {
  const { heads, refused } = read('REQUEST', wire, () => undefined);
  return {
    requests: heads.map(({ method, target, version, fields, body }) => ({
      method,
      target,
      version,
      fields,
      body,
    })),
    refused,
  };
}

/**
 * A stream of responses and the end of the connection behind it.
 *
 * @param methods of the requests they answer, in order
 */
export function readResponsesAsNode(wire: string, methods: readonly string[]): ResponseReading {
  let finals = 0;
  const { heads, refused } = read('RESPONSE', wire, (status) => {
    const method = methods[finals];
    if (status >= 200) finals += 1;
    return method;
  });
  return {
    responses: heads.map(({ status, version, fields, body }) => ({
      status,
      version,
      fields,
      body,
    })),
    refused,
  };
}

interface SeenHead {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly version: string;
  readonly fields: readonly string[];
}

/** @param methodFor what the message with that status answers; for responses */
function read(
  type: 'REQUEST' | 'RESPONSE',
  wire: string,
  methodFor: (status: number) => string | undefined,
): { heads: (SeenHead & { body: string })[]; refused: string | undefined } {
  const { HTTPParser, methods } = createRequire(import.meta.url)('node:_http_common') as {
    readonly HTTPParser: ParserClass;
    readonly methods: readonly string[];
  };
  const heads: (SeenHead & { body: string })[] = [];
  let head: SeenHead | undefined;
  let body = '';
  // Heads of many fields arrive in portions, before the event that completes them.
  let fields: string[] = [];
  let target = '';

  const parser = new HTTPParser();
  parser.initialize(HTTPParser[type], {});
  parser[HTTPParser.kOnHeaders] = (some: string[], url: string) => {
    fields.push(...some);
    target += url;
  };
  parser[HTTPParser.kOnHeadersComplete] = (
    major: number,
    minor: number,
    rest: string[] | undefined,
    method: number,
    url: string | undefined,
    status: number | undefined,
  ) => {
    fields.push(...(rest ?? []));
    head = {
      method: methods[method] ?? '',
      target: target + (url ?? ''),
      status: status ?? 0,
      version: `${major}.${minor}`,
      fields,
    };
    fields = [];
    target = '';
    body = '';
    // 1: it has no body, whatever its head says.
    return methodFor(head.status) === 'HEAD' ? 1 : 0;
  };
  parser[HTTPParser.kOnBody] = (bytes: Buffer) => {
    body += bytes.toString('latin1');
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    if (head !== undefined) heads.push({ ...head, body });
    head = undefined;
    // What came since the head are trailers, with the target once more.
    fields = [];
    target = '';
  };
  const outcome = parser.execute(Buffer.from(wire, 'latin1'));
  if (typeof outcome !== 'number') return { heads, refused: outcome.code };
  return { heads, refused: type === 'REQUEST' ? undefined : parser.finish()?.code };
}
