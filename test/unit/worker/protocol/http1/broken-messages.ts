/** Streams of messages for the fuzz tests, most of them slightly broken. */
import * as fc from 'fast-check';

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
const STATUSES = fc.oneof(
  { weight: 12, arbitrary: fc.constant('200') },
  { weight: 6, arbitrary: fc.constantFrom('404', '204', '304', '103', '100') },
  { weight: 1, arbitrary: fc.constantFrom('099', '600', '20', '2000', '+20', '') },
);
const REASONS = ['', ' ', ' Not Found', ' \xe9\t', '  X', 'OK', ' O\0K', ' O\rK', '\tOK'];
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

/** One to three requests, one after the other. */
export function requestStreams(): fc.Arbitrary<string> {
  return streamsOf(requests());
}

/** One to three responses, one after the other. */
export function responseStreams(): fc.Arbitrary<string> {
  return streamsOf(responses());
}

function streamsOf(messages: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const stream = fc.array(messages, { minLength: 1, maxLength: 3 }).map((each) => each.join(''));
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

function responses(): fc.Arbitrary<string> {
  const line = fc
    .tuple(
      usually('HTTP/1.1', VERSIONS),
      usually(' ', ['  ', '\t', '']),
      STATUSES,
      usually(' OK', REASONS),
    )
    .map((each) => each.join(''));
  const fields = fc.array(usually('X: y', FIELDS), { maxLength: 3 });
  return fc.tuple(line, fields, framedBodies()).chain(([first, some, framed]) => {
    const lines = [first, ...some, ...framed.fields, ''];
    return fc
      .tuple(...lines.map(() => lineEnd()))
      .map((ends) => lines.map((each, at) => each + ends[at]).join('') + framed.body);
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
