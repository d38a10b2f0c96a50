/**
 * Do we ever see other requests than Node's own parser in the same bytes?
 *
 * Both read the same streams of requests, most of them slightly broken. As far
 * as both read on, they must see the same requests with the same bodies. Where
 * only one of them goes on, the reason of the other must be in a list below. A
 * disagreement in no list is a bug in one of the parsers, or a new entry.
 *
 *     FUZZ_RUNS=1000000 FUZZ_SEED=42 node --test <this file>
 */
import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Headers } from '../../../../../src/worker/http/headers.ts';
import { BodyDecoder } from '../../../../../src/worker/protocol/http1/body-decoder.ts';
import { RequestHeadParser } from '../../../../../src/worker/protocol/http1/request-head.ts';
import { readAsNode, type Reading, type SeenRequest } from './nodes-parser.ts';

/** What we refuse and llhttp does not, by our message. */
const weAreStricter: readonly { readonly says: RegExp; readonly because: string }[] = [
  { says: /^expected a method, got byte 0x0[ad]/, because: 'it skips any number of line ends' },
  { says: /^expected a target after one space, got byte 0x20/, because: 'it skips spaces' },
  { says: /^expected one space after the target, got byte 0x0[ad]/, because: 'it takes HTTP/0.9' },
  { says: /^expected one space after the target, got byte 0x23/, because: 'it takes fragments' },
  { says: /^expected one space after the target, got byte 0x5c/, because: 'it takes backslashes' },
  { says: /^expected "HTTP\/1.1" and CRLF .* got byte 0x20/, because: 'it skips spaces' },
  { says: /^expected HTTP\/1.0 or HTTP\/1.1, got HTTP\/(0.9|2.0)/, because: 'it takes both' },
  { says: /^expected a path/, because: 'it leaves the form of the target to the application' },
  {
    says: /^expected (a|one) Host field|^expected Host to/,
    because: 'it leaves Host to the application',
  },
  { says: /^expected Expect to be/, because: 'it leaves Expect to the application' },
  { says: /^expected no Transfer-Encoding in HTTP\/1.0/, because: 'it ignores the version' },
  { says: /^expected one Transfer-Encoding/, because: 'it joins several into one list' },
  {
    says: /^expected Transfer-Encoding "chunked"/,
    because: 'it takes a list that ends in chunked',
  },
];

/** What llhttp refuses and we do not, by its code; `is` looks at the request that only we accepted. */
const llhttpIsStricter: readonly {
  readonly code: string;
  readonly is: (request: SeenRequest, wire: string) => boolean;
  readonly because: string;
}[] = [
  {
    code: 'HPE_INVALID_METHOD',
    is: ({ method }) => !METHODS.includes(method),
    because: 'it knows a fixed list of methods; RFC 9110 §9.1 has none',
  },
  {
    code: 'HPE_INVALID_CONTENT_LENGTH',
    is: (_request, wire) => hasTrailer('Content-Length', wire),
    because: 'it reads a length among the trailers, which we drop (RFC 9110 §6.5.1)',
  },
  {
    code: 'HPE_INVALID_TRANSFER_ENCODING',
    is: (_request, wire) => /chunked[ \t]+\r\n/i.test(wire),
    because: 'it takes no blank after the coding, which RFC 9110 §5.5 allows',
  },
  {
    code: 'HPE_INVALID_TRANSFER_ENCODING',
    is: (_request, wire) => hasTrailer('Transfer-Encoding', wire),
    because: 'it reads a coding among the trailers, which we drop (RFC 9110 §6.5.1)',
  },
  {
    code: 'HPE_INVALID_CHUNK_SIZE',
    is: (_request, wire) => /[0-9a-f][ \t]+;/i.test(wire),
    because: 'it takes no blank before an extension, which RFC 9112 §7.1.1 allows',
  },
  {
    code: 'HPE_STRICT',
    is: (_request, wire) => /[0-9a-f];[^\r\n]*\r\n/i.test(wire),
    because: 'it reads extensions, which we drop unread up to their CRLF',
  },
];

function hasTrailer(name: string, wire: string): boolean {
  return new RegExp(`\\r\\n0+[^\\n]*\\r\\n(?:[^\\r\\n]+\\r\\n)*${name}:`, 'i').test(wire);
}

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 20_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

test('what we see in a stream of requests is what Node sees, or the reason is known', (t) => {
  t.diagnostic(`FUZZ_SEED=${SEED}, ${RUNS} runs`);
  let agreed = 0;
  fc.assert(
    fc.property(streams(), fc.array(fc.nat(), { maxLength: 3 }), (wire, cuts) => {
      const ours = readAsWe(wire, cuts);
      const nodes = readAsNode(wire);
      assert.deepEqual(disagreement(wire, ours, nodes), undefined);
      agreed += ours.requests.length;
    }),
    { seed: SEED, numRuns: RUNS },
  );
  // Else the generator would have become so wild that nothing is compared any more.
  assert.ok(agreed > RUNS / 2, `only ${agreed} requests were accepted by both`);
});

function disagreement(wire: string, ours: OurReading, nodes: Reading): object | undefined {
  const common = Math.min(ours.requests.length, nodes.requests.length);
  for (let at = 0; at < common; at++) {
    const [our, their] = [ours.requests[at]!, comparable(nodes.requests[at]!)];
    if (JSON.stringify(our) !== JSON.stringify(their)) return { our, their };
  }
  if (nodes.requests.length > common) {
    const known = weAreStricter.some(({ says }) => says.test(ours.refused ?? ''));
    return known ? undefined : { weStopped: ours.refused ?? ours.end, nodeReadOn: nodes };
  }
  if (ours.requests.length > common) {
    const next = ours.requests[common]!;
    const known = llhttpIsStricter.some(({ code, is }) => code === nodes.refused && is(next, wire));
    return known ? undefined : { nodeStopped: nodes.refused, weReadOn: ours };
  }
  return undefined;
}

/** What we make of a head, and llhttp leaves to the application. */
function comparable(seen: SeenRequest): SeenRequest {
  const resolved = inOriginForm(seen);
  return { ...resolved, fields: tidied(resolved) };
}

/** A length without zeros in front, behind the other fields; no Expect in HTTP/1.0. */
function tidied({ fields, version }: SeenRequest): string[] {
  const headers = new Headers([...fields]);
  const length = headers.get('content-length');
  if (length !== undefined && /^0\d/.test(length)) {
    headers.set('Content-Length', String(Number(length)));
  }
  if (version === '1.0') headers.delete('expect');
  return [...headers].flat();
}

/** We resolve the absolute form and what follows from it. */
function inOriginForm(seen: SeenRequest): SeenRequest {
  const [, authority, rest = ''] = /^https?:\/\/([^/?]*)(.*)$/i.exec(seen.target) ?? [];
  if (authority === undefined) return seen;
  const whole = seen.method === 'OPTIONS' && rest === '';
  const target = whole ? '*' : rest.startsWith('/') ? rest : `/${rest}`;
  const hasHost = seen.fields.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'host');
  return { ...seen, target, fields: hasHost ? seen.fields : [...seen.fields, 'Host', authority] };
}

interface OurReading extends Reading {
  readonly end: 'of input' | 'within a message' | 'of connection';
}

/** @param cuts where the input is cut on its way; it must make no difference */
function readAsWe(wire: string, cuts: readonly number[]): OurReading {
  const bytes = Buffer.from(wire, 'latin1');
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  const requests: SeenRequest[] = [];
  const parser = new RequestHeadParser();
  let body = '';
  const decoder = new BodyDecoder(
    { kind: 'none' },
    { onData: (given, from, end) => (body += given.latin1Slice(from, end)) },
  );
  let current: ReturnType<typeof parser.take> | undefined;
  let at = 0;
  try {
    for (const end of ends) {
      while (true) {
        if (current === undefined) {
          const after = at === end ? -1 : parser.parse(bytes, at, end);
          if (after < 0) break;
          at = after;
          current = parser.take();
          decoder.reset(current.framing);
          body = '';
        }
        at = decoder.decode(bytes, at, end);
        if (!decoder.done) break;
        const { method, target, version, headers } = current.head;
        requests.push({ method, target, version, fields: [...headers].flat(), body });
        if (!current.keepAlive) return { requests, refused: undefined, end: 'of connection' };
        current = undefined;
      }
    }
  } catch (thrown) {
    assert.equal((thrown as Error).name, 'Malformed', String(thrown));
    return { requests, refused: (thrown as Error).message, end: 'within a message' };
  }
  const complete = current === undefined && at === bytes.length;
  return { requests, refused: undefined, end: complete ? 'of input' : 'within a message' };
}

// ── streams of requests, most of them slightly broken ───────────────────────

/** Without CONNECT: after it, llhttp hands the connection over and reads no further request. */
const SOME_METHODS = ['GET', 'POST', 'HEAD', 'OPTIONS', 'DELETE', 'get', 'BREW', 'G@T'];
const TARGETS = [
  '/',
  '/a?b=c',
  '*',
  'http://a.test/x',
  'http://b.test',
  'a',
  '/a#b',
  '/\\',
  '/"<>',
];
const VERSIONS = ['HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.2', 'http/1.1', 'HTTP/1'];
const HOSTS = [
  'Host: a.test',
  'Host: a, b',
  'Host:',
  'Host: u@a',
  'Host: a.test\r\nHost: b.test',
  '',
];
const LENGTHS = [
  'Content-Length: 5',
  'Content-Length: 5, 5',
  'Content-Length: +5',
  'Content-Length: 05',
  'Content-Length: 0',
  'Content-Length: ',
  'Content-Length: 5 5',
  'Content-Length: 99999999999999999999',
];
const CODINGS = [
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: CHUNKED',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, gzip',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: ,chunked',
  'Transfer-Encoding: chunked;',
  'Transfer-Encoding: \x0bchunked',
  'Transfer-Encoding: ',
];
const FIELDS = [
  'X: y',
  'X:',
  'X: \x80\t\xff ',
  'X : y',
  'X: y\r\n z',
  ' X: y',
  ': y',
  'X',
  'X: \0',
  'X: \x0b',
  'Connection: close',
  'Connection: keep-alive',
  'Expect: 100-continue',
  'Expect: x',
  ...LENGTHS,
  ...CODINGS,
];
const SIZES = [
  '5',
  '005',
  '0x5',
  ' 5',
  '5 ',
  '5\t',
  '+5',
  '5;a',
  '5 ;a=b',
  '5;a="\n"',
  '5;\x01',
  '6',
  '4',
];
const TRAILERS = ['', '', 'A: b\r\n', 'Content-Length: 3\r\n', 'A : b\r\n', ' A: b\r\n', 'A: b\n'];
const LINE_ENDS = ['\n', '\r', '\r\r\n', ' \r\n', '\t\r\n', ''];
const STRAY = [
  '\0',
  '\t',
  '\n',
  '\r',
  '\r\n',
  ' ',
  ':',
  ';',
  ',',
  '0',
  'a',
  '\x0b',
  '\x7f',
  '\x80',
  '\xa0',
];

function streams(): fc.Arbitrary<string> {
  const stream = fc.array(requests(), { minLength: 1, maxLength: 3 }).map((each) => each.join(''));
  const stray = fc.record({
    at: fc.nat(),
    removed: fc.integer({ min: 0, max: 2 }),
    put: fc.constantFrom('', ...STRAY),
  });
  const strays = rarely(fc.array(stray, { minLength: 1, maxLength: 2 }), []);
  return fc.tuple(stream, strays).map(([wire, changes]) =>
    changes.reduce((text, { at, removed, put }) => {
      const index = at % (text.length + 1);
      return text.slice(0, index) + put + text.slice(index + removed);
    }, wire),
  );
}

function requests(): fc.Arbitrary<string> {
  const space = usually(' ', ['  ', '\t', '']);
  const parts = fc.record({
    before: usually('', ['\r\n', '\r\n\r\n', '\n']),
    line: fc
      .tuple(
        usually('POST', SOME_METHODS),
        space,
        usually('/', TARGETS),
        space,
        usually('HTTP/1.1', VERSIONS),
      )
      .map((each) => each.join('')),
    fields: fc.array(usually('X: y', FIELDS), { maxLength: 3 }),
    host: usually('Host: a.test', HOSTS),
    framed: framedBodies(),
  });
  return parts.chain(({ before, line, fields, host, framed }) => {
    const lines = [line, ...(host === '' ? [] : [host]), ...fields, ...framed.fields, ''];
    return fc
      .tuple(...lines.map(() => usually('\r\n', LINE_ENDS)))
      .map((ends) => before + lines.map((each, at) => each + ends[at]).join('') + framed.body);
  });
}

function framedBodies(): fc.Arbitrary<{
  readonly fields: readonly string[];
  readonly body: string;
}> {
  const chunk = fc
    .tuple(usually('5', SIZES), lineEnd(), usually('hello', ['hell', 'hello!', '']), lineEnd())
    .map((each) => each.join(''));
  const chunked = fc
    .tuple(
      fc.array(chunk, { maxLength: 2 }),
      usually('0', SIZES),
      lineEnd(),
      fc.constantFrom(...TRAILERS),
      lineEnd(),
    )
    .map(([chunks, ...last]) => chunks.join('') + last.join(''));
  return fc.oneof(
    fc.constant({ fields: [], body: '' }),
    usually('Content-Length: 5', LENGTHS).map((field) => ({ fields: [field], body: 'hello' })),
    fc
      .tuple(usually('Transfer-Encoding: chunked', CODINGS), chunked)
      .map(([field, body]) => ({ fields: [field], body })),
  );
}

function lineEnd(): fc.Arbitrary<string> {
  return usually('\r\n', LINE_ENDS);
}

/** So that a request is right in most places: one that is wrong in several tells nothing new. */
function usually(right: string, wrong: readonly string[]): fc.Arbitrary<string> {
  return rarely(fc.constantFrom(...wrong), right);
}

function rarely<Rare, Common>(
  rare: fc.Arbitrary<Rare>,
  common: Common,
): fc.Arbitrary<Rare | Common> {
  return fc.oneof({ weight: 19, arbitrary: fc.constant(common) }, { weight: 1, arbitrary: rare });
}
