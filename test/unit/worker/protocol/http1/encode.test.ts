import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Headers } from '../../../../../src/worker/http/headers.ts';
import { reasonOf } from '../../../../../src/worker/http/status.ts';
import { BodyDecoder } from '../../../../../src/worker/protocol/http1/body-decoder.ts';
import {
  chunkHead,
  lastChunk,
  requestHeadText,
  responseHeadText,
} from '../../../../../src/worker/protocol/http1/encode.ts';
import { RequestHeadParser } from '../../../../../src/worker/protocol/http1/request-head.ts';
import { ResponseHeadParser } from '../../../../../src/worker/protocol/http1/response-head.ts';

const TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const token = fc.string({ unit: fc.constantFrom(...TOKEN.split('')), minLength: 1, maxLength: 20 });

function text(allowed: (code: number) => boolean, maxLength: number) {
  const characters = Array.from({ length: 256 }, (_, code) => code)
    .filter(allowed)
    .map((code) => String.fromCharCode(code));
  return fc.string({ unit: fc.constantFrom(...characters), maxLength });
}

const isFieldValue = (code: number) => code === 0x09 || (code >= 0x20 && code !== 0x7f);
const value = text(isFieldValue, 40).map((each) => each.replaceAll(/^[\t ]+|[\t ]+$/g, ''));
/** Fields that say nothing about framing, the connection or the request itself. */
const fields = fc
  .array(fc.tuple(token, value), { maxLength: 20 })
  .map((pairs) => pairs.map(([name, each]): [string, string] => [`x-${name}`, each]));
const path = text((code) => code > 0x20 && code < 0x7f && code !== 0x23 && code !== 0x5c, 60);

describe('a request head', () => {
  test('is read as it was written', () => {
    const method = token.filter((each) => each !== 'CONNECT');
    fc.assert(
      fc.property(method, path, fields, (method, target, pairs) => {
        const headers = new Headers(['Host', 'a.test', ...pairs.flat()]);
        const head = { method, target: `/${target}`, version: '1.1', authority: 'a.test', headers };
        const bytes = Buffer.from(requestHeadText({ ...head, version: '1.1' }, ''), 'latin1');
        const parser = new RequestHeadParser();
        assert.equal(parser.parse(bytes, 0, bytes.length), bytes.length);
        assert.deepEqual(flat(parser.take().head), flat(head));
      }),
    );
  });

  test('that was read and written is read as before, and written as before', () => {
    const blank = fc.constantFrom('', ' ', '\t', '  ', ' \t ');
    const lines = fc
      .array(fc.tuple(token, blank, value, blank), { maxLength: 20 })
      .map((all) => all.map(([name, ...rest]) => `x-${name}:${rest.join('')}\r\n`).join(''));
    const framing = fc.constantFrom(
      '',
      'Content-Length: 007\r\n',
      'Transfer-Encoding:CHUNKED\r\n',
      'Connection: x, y\r\n',
    );
    const target = fc.oneof(
      path.map((each) => `/${each}`),
      fc.constant('http://a.test'),
    );
    const version = fc.constantFrom('1.1', '1.0');
    const parse = (wire: string) => {
      const bytes = Buffer.from(wire, 'latin1');
      const parser = new RequestHeadParser();
      assert.equal(parser.parse(bytes, 0, bytes.length), bytes.length);
      return parser.take();
    };
    fc.assert(
      fc.property(target, version, lines, framing, (target, version, lines, framing) => {
        fc.pre(version === '1.1' || !framing.startsWith('Transfer'));
        const first = parse(
          `PUT ${target} HTTP/${version}\r\nHost: a.test\r\n${lines}${framing}\r\n`,
        );
        const written = requestHeadText(first.head, '');
        const second = parse(written);
        assert.deepEqual(flat(second.head), { ...flat(first.head), version: '1.1' });
        assert.deepEqual(second.framing, first.framing);
        assert.equal(requestHeadText(second.head, ''), written);
      }),
    );
  });

  test('carries the lines of the connection after its own', () => {
    const head = {
      method: 'POST',
      target: '/a',
      version: '1.0' as const,
      authority: 'a',
      headers: new Headers(['Host', 'a']),
    };
    assert.equal(
      requestHeadText(head, 'Content-Length: 0\r\n'),
      'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    );
  });
});

describe('a response head', () => {
  test('is read as it was written', () => {
    const reason = value.filter((each) => each !== '');
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 599 }), reason, fields, (status, reason, pairs) => {
        const head = {
          status,
          reason,
          version: '1.1' as const,
          headers: new Headers(pairs.flat()),
        };
        const bytes = Buffer.from(responseHeadText(head, ''), 'latin1');
        const parser = new ResponseHeadParser();
        assert.equal(parser.parse(bytes, 0, bytes.length, 'GET'), bytes.length);
        assert.deepEqual(flat(parser.take().head), flat(head));
      }),
    );
  });

  test('that was read and written is read as before, and written as before', () => {
    const blank = fc.constantFrom('', ' ', '\t', ' \t ');
    const lines = fc
      .array(fc.tuple(token, blank, value, blank), { maxLength: 20 })
      .map((all) => all.map(([name, ...rest]) => `x-${name}:${rest.join('')}\r\n`).join(''));
    const parse = (wire: string) => {
      const bytes = Buffer.from(wire, 'latin1');
      const parser = new ResponseHeadParser();
      assert.equal(parser.parse(bytes, 0, bytes.length, 'GET'), bytes.length);
      return parser.take();
    };
    const status = fc.integer({ min: 200, max: 599 });
    const reason = fc.constantFrom('', ' ', ' OK', ' Fine \xe9');
    fc.assert(
      fc.property(status, reason, lines, (status, reason, lines) => {
        const first = parse(`HTTP/1.1 ${status}${reason}\r\n${lines}Content-Length: 05\r\n\r\n`);
        const written = responseHeadText(first.head, '');
        const second = parse(written);
        assert.deepEqual([...second.head.headers], [...first.head.headers]);
        assert.deepEqual(second.framing, first.framing);
        assert.equal(responseHeadText(second.head, ''), written);
      }),
    );
  });

  test('has the usual reason if it brings none', () => {
    const head = { status: 404, reason: '', version: '1.1' as const, headers: new Headers() };
    assert.equal(
      responseHeadText(head, 'Connection: close\r\n'),
      'HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n',
    );
    assert.equal(reasonOf(200), 'OK');
    assert.equal(reasonOf(599), 'Unknown');
  });
});

describe('a chunked body', () => {
  test('is read as it was written, however it is cut', () => {
    const data = fc.uint8Array({ minLength: 1, maxLength: 300 });
    const cuts = fc.array(fc.nat(), { maxLength: 10 });
    fc.assert(
      fc.property(fc.array(data, { maxLength: 8 }), fields, cuts, (chunks, pairs, cuts) => {
        const trailers = pairs.length === 0 ? undefined : new Headers(pairs.flat());
        const wire = Buffer.concat([
          ...chunks.flatMap((chunk) => [
            Buffer.from(chunkHead(chunk.length)),
            chunk,
            Buffer.from('\r\n'),
          ]),
          Buffer.from(lastChunk(trailers), 'latin1'),
        ]);
        const { body, decoder } = decodeInPieces(wire, cuts);
        assert.deepEqual(body, Buffer.concat(chunks));
        assert.equal(decoder.done, true);
        assert.deepEqual([...(decoder.trailers ?? [])].flat(), [...(trailers ?? [])].flat());
      }),
    );
  });
});

function decodeInPieces(wire: Buffer, cuts: readonly number[]) {
  const received: Buffer[] = [];
  const decoder = new BodyDecoder(
    { kind: 'chunked' },
    { onData: (bytes, from, end) => received.push(Buffer.from(bytes.subarray(from, end))) },
  );
  const ends = [...cuts.map((cut) => cut % wire.length), wire.length].sort((a, b) => a - b);
  let from = 0;
  for (const end of ends) from = decoder.decode(wire, from, end);
  assert.equal(from, wire.length);
  return { body: Buffer.concat(received), decoder };
}

function flat<Head extends { readonly headers: Headers }>(head: Head) {
  return { ...head, headers: [...head.headers].flat() };
}
