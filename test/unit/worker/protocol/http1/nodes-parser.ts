/** Node's own HTTP/1 parser (llhttp), reading a stream of requests: the second opinion of the fuzz test. */
import { createRequire } from 'node:module';

export interface SeenRequest {
  readonly method: string;
  readonly target: string;
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

/** The few parts that are used here; indices are event numbers. */
interface Parser {
  [event: number]: (...args: never[]) => unknown;
  initialize(type: number, resource: object): void;
  execute(bytes: Buffer): number | (Error & { readonly code: string });
}
type ParserClass = (new () => Parser) &
  Readonly<
    Record<
      'REQUEST' | 'kOnHeaders' | 'kOnHeadersComplete' | 'kOnBody' | 'kOnMessageComplete',
      number
    >
  >;

export function readAsNode(wire: string): Reading {
  const { HTTPParser, methods } = createRequire(import.meta.url)('node:_http_common') as {
    readonly HTTPParser: ParserClass;
    readonly methods: readonly string[];
  };
  const requests: SeenRequest[] = [];
  let head: Omit<SeenRequest, 'body'> | undefined;
  let body = '';
  // Heads of many fields arrive in portions, before the event that completes them.
  let fields: string[] = [];
  let target = '';

  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {});
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
  ) => {
    fields.push(...(rest ?? []));
    const version = `${major}.${minor}`;
    head = { method: methods[method] ?? '', target: target + (url ?? ''), version, fields };
    fields = [];
    target = '';
    body = '';
    return 0;
  };
  parser[HTTPParser.kOnBody] = (bytes: Buffer) => {
    body += bytes.toString('latin1');
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    if (head !== undefined) requests.push({ ...head, body });
    head = undefined;
    // What came since the head are trailers, with the target once more.
    fields = [];
    target = '';
  };
  const outcome = parser.execute(Buffer.from(wire, 'latin1'));
  return { requests, refused: typeof outcome === 'number' ? undefined : outcome.code };
}
