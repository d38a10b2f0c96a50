import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChunkedDecoder } from '../../../../../src/worker/protocol/http1/chunked-decoder.ts';

const END = '0\r\n\r\n';

const accepted: readonly {
  name: string;
  wire: string;
  body: string;
  trailers?: readonly string[];
}[] = [
  { name: 'one chunk', wire: `5\r\nhello\r\n${END}`, body: 'hello' },
  { name: 'two chunks', wire: `2\r\nhe\r\n3\r\nllo\r\n${END}`, body: 'hello' },
  { name: 'no data at all', wire: END, body: '' },
  { name: 'several zeros as the last size', wire: '000\r\n\r\n', body: '' },
  { name: 'leading zeros and capitals', wire: `00A\r\n0123456789\r\n${END}`, body: '0123456789' },
  { name: 'a size of 16 digits', wire: `${'1'.padStart(16, '0')}\r\nh\r\n${END}`, body: 'h' },
  { name: 'data that looks like the end', wire: `5\r\n${END}\r\n${END}`, body: END },
  { name: 'an extension', wire: '5;sig="x"\r\nhello\r\n0;last\r\n\r\n', body: 'hello' },
  { name: 'blanks before an extension', wire: `5 \t;a\r\nhello\r\n${END}`, body: 'hello' },
  { name: 'an empty extension', wire: `5;\r\nhello\r\n${END}`, body: 'hello' },
  {
    name: 'the longest extensions',
    wire: `1;${'x'.repeat(512)}\r\na\r\n0;${'x'.repeat(512)}\r\n\r\n`,
    body: 'a',
  },
  { name: 'a trailer', wire: '0\r\nX-Sum: 1\r\n\r\n', body: '', trailers: ['X-Sum', '1'] },
  {
    name: 'trailers beside forbidden ones',
    wire: '0\r\nA: 1\r\nContent-Length: 3\r\nB: 2\r\n\r\n',
    body: '',
    trailers: ['A', '1', 'B', '2'],
  },
];

const rejected = [
  { name: 'no digit', wire: '\r\n', says: /expected a hex digit of the chunk size, got byte 0x0d/ },
  { name: 'a bare LF instead of a size', wire: '\n', says: /got byte 0x0a/ },
  { name: 'a sign', wire: '-5\r\n', says: /got byte 0x2d/ },
  { name: 'a plus', wire: '+5\r\n', says: /got byte 0x2b/ },
  { name: 'a hex prefix', wire: '0x5\r\n', says: /got byte 0x78/ },
  { name: 'a letter beyond F', wire: 'g\r\n', says: /got byte 0x67/ },
  { name: 'an underscore', wire: '1_0\r\n', says: /got byte 0x5f/ },
  { name: 'a blank before the size', wire: ' 5\r\n', says: /got byte 0x20/ },
  { name: 'a bare LF after the size', wire: '5\nhello', says: /expected CRLF or ";"/ },
  { name: 'a bare CR after the size', wire: '5\rhello', says: /expected LF after the chunk size/ },
  { name: 'CR CR LF after the size', wire: '5\r\r\n', says: /expected LF after the chunk size/ },
  {
    name: 'blanks without an extension',
    wire: '5 \r\nhello',
    says: /expected ";" after the blanks/,
  },
  { name: 'a vertical tab after the size', wire: '5\x0b\r\n', says: /got byte 0x0b/ },
  { name: 'a bare LF in an extension', wire: '5;a\nhello', says: /expected CR before LF/ },
  { name: 'a NUL in an extension', wire: '5;a\0\r\n', says: /got byte 0x00/ },
  {
    name: 'a bare CR in an extension',
    wire: '5;a\rb\r\n',
    says: /expected LF after the chunk size/,
  },
  {
    name: 'data longer than its size',
    wire: '4\r\nhello\r\n',
    says: /expected CR after chunk data/,
  },
  { name: 'data without CRLF', wire: '5\r\nhello0\r\n', says: /expected CR after chunk data/ },
  { name: 'data with a bare LF', wire: '5\r\nhello\n0\r\n', says: /expected CR after chunk data/ },
  { name: 'data with a bare CR', wire: '5\r\nhello\r0\r\n', says: /expected LF after chunk data/ },
  { name: 'a size of 2^53', wire: '20000000000000\r\n', says: /below 2\^53/ },
  { name: 'a size beyond 2^64', wire: '10000000000000005\r\n', says: /below 2\^53/ },
  { name: 'a size of 17 digits', wire: '00000000000000001\r\n', says: /below 2\^53/ },
  { name: 'endless extensions', wire: `1;${'x'.repeat(1_025)}`, says: /at most 1024 bytes/ },
  {
    name: 'many small extensions',
    wire: '1;12345678\r\na\r\n'.repeat(129),
    says: /at most 1024 bytes of chunk extensions/,
  },
  { name: 'a bare LF instead of the empty line', wire: '0\r\n\n', says: /got byte 0x0a/ },
  { name: 'a folded trailer', wire: '0\r\nA: 1\r\n 2\r\n\r\n', says: /folded/ },
  {
    name: 'a space before a colon',
    wire: '0\r\nA : 1\r\n\r\n',
    says: /right after the field name/,
  },
  {
    name: 'a request in place of trailers',
    wire: '0\r\nGET / HTTP/1.1\r\n',
    says: /got byte 0x20/,
  },
  { name: 'endless trailers', wire: `0\r\nA: ${'x'.repeat(8_200)}`, says: /at most 8192 bytes/ },
  {
    name: 'too many trailers',
    wire: `0\r\n${'A: 1\r\n'.repeat(33)}\r\n`,
    says: /at most 32 fields/,
  },
];

/** RFC 9110 §6.5.1 */
const forbiddenTrailers = [
  'Content-Length',
  'Content-Type',
  'content-encoding',
  'Transfer-Encoding',
  'HOST',
  'Connection',
  'Keep-Alive',
  'Proxy-Authorization',
  'TE',
  'Trailer',
  'Upgrade',
  'Authorization',
  'WWW-Authenticate',
  'Set-Cookie',
  'Cookie',
  'Cache-Control',
  'If-None-Match',
  'Range',
  'Age',
  'Date',
  'Location',
  'Vary',
  'X-Forwarded-For',
  'X-Real-IP',
  'Forwarded',
  'Via',
  'Proxy',
  'Content_Length',
  'transfer_encoding',
  'X_Forwarded-For',
];

describe('ChunkedDecoder', () => {
  for (const { name, wire, body, trailers } of accepted) {
    test(`accepts ${name}, wherever the input is cut`, () => {
      const expected = { body, done: true, left: 'GET', trailers };
      assert.deepEqual(decode(...wire.split(''), 'GET'), expected, 'byte by byte');
      for (let cut = 0; cut <= wire.length; cut++) {
        const decoded = decode(wire.slice(0, cut), `${wire.slice(cut)}GET`);
        assert.deepEqual(decoded, expected, `cut after byte ${cut}`);
      }
    });

    test(`is not done before the last byte of ${name}`, () => {
      for (let cut = 0; cut < wire.length; cut++) {
        assert.equal(decode(wire.slice(0, cut)).done, false, `cut after byte ${cut}`);
      }
    });
  }

  for (const { name, wire, says } of rejected) {
    test(`rejects ${name}, wherever the input is cut`, () => {
      for (let cut = 0; cut <= wire.length; cut++) {
        const pieces = () => decode(wire.slice(0, cut), wire.slice(cut));
        assert.throws(pieces, { name: 'Malformed', message: says }, `cut after byte ${cut}`);
      }
    });
  }

  test('drops trailers that would frame, route or authenticate what they follow', () => {
    for (const name of forbiddenTrailers) {
      assert.equal(decode(`0\r\n${name}: x\r\n\r\n`).trailers, undefined, name);
    }
  });

  test('begins anew after a reset, with all its bounds', () => {
    const pieces: string[] = [];
    const decoder = new ChunkedDecoder({
      onData: (bytes, from, end) => pieces.push(bytes.latin1Slice(from, end)),
    });
    const wire = Buffer.from(`1;${'x'.repeat(1_000)}\r\na\r\n0\r\nA: 1\r\n\r\n`);
    for (let round = 0; round < 3; round++) {
      decoder.reset();
      assert.equal(decoder.trailers, undefined);
      assert.equal(decoder.decode(wire, 0, wire.length), wire.length);
      assert.deepEqual([...(decoder.trailers ?? [])].flat(), ['A', '1']);
    }
    decoder.decode(wire, 0, wire.length);
    decoder.reset();
    decoder.decode(wire, 0, 20);
    decoder.reset();
    assert.equal(decoder.decode(wire, 0, wire.length), wire.length);
    assert.equal(pieces.join(''), 'aaaa');
  });

  test('reads only between the given indices', () => {
    const wire = `3\r\nabc\r\n${END}`;
    const bytes = Buffer.from(`ff${wire}ff`);
    let body = '';
    const decoder = new ChunkedDecoder({
      onData: (given, from, end) => (body += given.latin1Slice(from, end)),
    });
    assert.equal(decoder.decode(bytes, 2, 2), 2);
    assert.equal(decoder.decode(bytes, 2, 6), 6);
    assert.equal(decoder.decode(bytes, 6, bytes.length), 2 + wire.length);
    assert.equal(body, 'abc');
  });
});

function decode(...pieces: string[]) {
  let body = '';
  let left = '';
  const decoder = new ChunkedDecoder({
    onData: (bytes, from, end) => {
      assert.ok(end > from, 'no empty piece is delivered');
      body += bytes.latin1Slice(from, end);
    },
  });
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, 'latin1');
    left += piece.slice(decoder.decode(bytes, 0, bytes.length));
  }
  return {
    body,
    done: decoder.done,
    left,
    trailers: decoder.trailers && [...decoder.trailers].flat(),
  };
}
