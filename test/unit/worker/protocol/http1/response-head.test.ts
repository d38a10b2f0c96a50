import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ResponseHeadParser } from '../../../../../src/worker/protocol/http1/response-head.ts';
import { acceptsAtEveryCut, refusesAtEveryCut } from './cuts.ts';

const OK = 'HTTP/1.1 200 OK';
const LENGTH_5 = 'Content-Length: 5\r\n';
const CHUNKED = 'Transfer-Encoding: chunked\r\n';

function head(line: string, fields = ''): string {
  return `${line}\r\n${fields}\r\n`;
}

interface Expected {
  readonly status?: number;
  readonly reason?: string;
  readonly version?: string;
  readonly framing?: object;
  readonly keepAlive?: boolean;
  readonly fields?: readonly string[];
}

const none = { kind: 'none' };
const chunked = { kind: 'chunked' };
const untilClose = { kind: 'until-close' };
const fiveBytes = { kind: 'length', length: 5 };

const accepted: readonly { name: string; wire: string; to?: string; is: Expected }[] = [
  {
    name: 'a plain response',
    wire: head(OK, `${LENGTH_5}X: y\r\n`),
    is: {
      status: 200,
      reason: 'OK',
      version: '1.1',
      framing: fiveBytes,
      keepAlive: true,
      fields: ['Content-Length', '5', 'X', 'y'],
    },
  },
  {
    name: 'a reason of several words',
    wire: head('HTTP/1.1 404 Not Found'),
    is: { reason: 'Not Found' },
  },
  { name: 'an empty reason', wire: head('HTTP/1.1 200 '), is: { status: 200, reason: '' } },
  {
    name: 'no space after the status',
    wire: head('HTTP/1.1 200'),
    is: { status: 200, reason: '' },
  },
  { name: 'a reason above ASCII', wire: head('HTTP/1.1 200 \xe9\t'), is: { reason: '\xe9\t' } },
  { name: 'the least status', wire: head('HTTP/1.1 100 C'), is: { status: 100 } },
  { name: 'the greatest status', wire: head('HTTP/1.1 599 ?'), is: { status: 599 } },

  // RFC 9112 §6.3: where the body ends
  { name: 'a chunked body', wire: head(OK, CHUNKED), is: { framing: chunked, keepAlive: true } },
  {
    name: 'an empty body',
    wire: head(OK, 'Content-Length: 0\r\n'),
    is: { framing: { kind: 'length', length: 0 }, keepAlive: true },
  },
  {
    name: 'a body that the connection ends',
    wire: head(OK, 'Connection: keep-alive\r\n'),
    is: { framing: untilClose, keepAlive: false },
  },
  {
    name: 'an answer to HEAD, whose length is kept',
    wire: head(OK, LENGTH_5),
    to: 'HEAD',
    is: { framing: none, keepAlive: true, fields: ['Content-Length', '5'] },
  },
  {
    name: 'an answer to HEAD with a coding',
    wire: head(OK, CHUNKED),
    to: 'HEAD',
    is: { framing: none },
  },
  { name: 'an answer to HEAD without a length', wire: head(OK), to: 'HEAD', is: { framing: none } },
  { name: '100', wire: head('HTTP/1.1 100 Continue'), is: { framing: none, keepAlive: true } },
  { name: '101', wire: head('HTTP/1.1 101 S', 'Upgrade: x\r\n'), is: { framing: none } },
  { name: '204', wire: head('HTTP/1.1 204 No Content'), is: { framing: none, keepAlive: true } },
  ...[100, 103, 204].map((status) => ({
    name: `${status} with a length, which goes`,
    wire: head(`HTTP/1.1 ${status} N`, `A: b\r\n${LENGTH_5}`),
    is: { framing: none, fields: ['A', 'b'] },
  })),
  {
    name: '304 with the length that 200 would have had',
    wire: head('HTTP/1.1 304 N', LENGTH_5),
    is: { framing: none, fields: ['Content-Length', '5'] },
  },
  { name: '304 with a coding', wire: head('HTTP/1.1 304 N', CHUNKED), is: { framing: none } },
  { name: '200 to CONNECT', wire: head(OK, LENGTH_5), to: 'CONNECT', is: { framing: none } },
  {
    name: 'a refusal of CONNECT',
    wire: head('HTTP/1.1 403 F', LENGTH_5),
    to: 'CONNECT',
    is: { framing: fiveBytes },
  },

  // RFC 9112 §9.3
  { name: 'close', wire: head(OK, `${LENGTH_5}Connection: close\r\n`), is: { keepAlive: false } },
  {
    name: 'HTTP/1.0',
    wire: head('HTTP/1.0 200 OK', LENGTH_5),
    is: { version: '1.0', framing: fiveBytes, keepAlive: false },
  },
  {
    name: 'HTTP/1.0 that stays',
    wire: head('HTTP/1.0 200 OK', `${LENGTH_5}Connection: keep-alive\r\n`),
    is: { keepAlive: true },
  },
];

const BAD_LINE = /expected a status line such as "HTTP\/1.1 200 OK"/;

const refused: readonly { name: string; wire: string; to?: string; says: RegExp }[] = [
  { name: 'an empty line before it', wire: `\r\n${head(OK)}`, says: BAD_LINE },
  { name: 'a request', wire: head('GET / HTTP/1.1'), says: BAD_LINE },
  { name: 'HTTP/2.0', wire: head('HTTP/2.0 200 OK'), says: BAD_LINE },
  { name: 'HTTP/1.2', wire: head('HTTP/1.2 200 OK'), says: BAD_LINE },
  { name: 'a version in lower case', wire: head('http/1.1 200 OK'), says: BAD_LINE },
  { name: 'ICY', wire: head('ICY 200 OK'), says: BAD_LINE },
  { name: 'two spaces before the status', wire: head('HTTP/1.1  200 OK'), says: BAD_LINE },
  { name: 'a status of two digits', wire: head('HTTP/1.1 20 OK'), says: BAD_LINE },
  { name: 'a status with a sign', wire: head('HTTP/1.1 +20 OK'), says: BAD_LINE },
  { name: 'a status of four digits', wire: head('HTTP/1.1 2000 OK'), says: /expected CRLF after/ },
  { name: 'a reason without a space', wire: head('HTTP/1.1 200OK'), says: /expected CRLF after/ },
  { name: 'a tab after the status', wire: head('HTTP/1.1 200\tOK'), says: /expected CRLF after/ },
  { name: 'a status below 100', wire: head('HTTP/1.1 099 X'), says: /from 100 to 599, got 99/ },
  { name: 'a status above 599', wire: head('HTTP/1.1 600 X'), says: /from 100 to 599, got 600/ },
  { name: 'a bare LF after the line', wire: `${OK}\n\r\n`, says: /got byte 0x0a/ },
  { name: 'a bare CR in the reason', wire: head(`${OK}\rX`), says: /expected LF after CR/ },
  { name: 'a NUL in the reason', wire: head(`${OK}\0`), says: /got byte 0x00/ },
  { name: 'a folded line', wire: head(OK, 'X: 1\r\n 2\r\n'), says: /folded/ },
  {
    name: 'a space before a colon',
    wire: head(OK, 'X : 1\r\n'),
    says: /right after the field name/,
  },
  { name: 'a bare LF after a value', wire: head(OK, 'X: 1\nY: 2\r\n'), says: /got byte 0x0a/ },
  { name: 'a NUL in a value', wire: head(OK, 'X: \0\r\n'), says: /got byte 0x00/ },
  { name: 'a length and a coding', wire: head(OK, LENGTH_5 + CHUNKED), says: /got both/ },
  {
    name: 'a length and a coding to HEAD',
    wire: head(OK, LENGTH_5 + CHUNKED),
    to: 'HEAD',
    says: /got both/,
  },
  { name: 'two lengths', wire: head(OK, LENGTH_5 + LENGTH_5), says: /expected one Content-Length/ },
  { name: 'a list of lengths', wire: head(OK, 'Content-Length: 5, 5\r\n'), says: /below 2\^53/ },
  {
    name: 'a bad length to HEAD',
    wire: head(OK, 'Content-Length: x\r\n'),
    to: 'HEAD',
    says: /2\^53/,
  },
  {
    name: 'two codings',
    wire: head(OK, CHUNKED + CHUNKED),
    says: /expected one Transfer-Encoding/,
  },
  { name: 'a coding in HTTP/1.0', wire: head('HTTP/1.0 200 OK', CHUNKED), says: /in HTTP\/1.0/ },
  { name: '100 with a coding', wire: head('HTTP/1.1 100 C', CHUNKED), says: /in a 100 response/ },
  { name: '204 with a coding', wire: head('HTTP/1.1 204 N', CHUNKED), says: /in a 204 response/ },
];

describe('ResponseHeadParser', () => {
  for (const { name, wire, to = 'GET', is } of accepted) {
    test(`accepts ${name}, wherever the input is cut`, () => {
      const parser = new ResponseHeadParser();
      acceptsAtEveryCut((...where) => parser.parse(...where, to), wire);
      const { head, ...rest } = parser.take();
      const all = { ...head, ...rest, fields: [...head.headers].flat() };
      for (const [key, value] of Object.entries(is)) {
        assert.deepEqual(all[key as keyof typeof all], value, key);
      }
    });
  }

  for (const { name, wire, to = 'GET', says } of refused) {
    test(`refuses ${name}, and accepts no beginning of it`, () => {
      const parser = new ResponseHeadParser();
      refusesAtEveryCut((...where) => parser.parse(...where, to), wire, { says });
    });
  }

  test('refuses a coding other than chunked', () => {
    for (const coding of ['gzip', 'gzip, chunked', 'identity']) {
      const parser = new ResponseHeadParser();
      const wire = head(OK, `Transfer-Encoding: ${coding}\r\n`);
      refusesAtEveryCut((...where) => parser.parse(...where, 'GET'), wire, {
        code: 'transfer-coding-not-supported',
        says: /expected Transfer-Encoding "chunked"/,
      });
    }
  });

  test('bounds a head, also one that never ends', () => {
    const parser = new ResponseHeadParser({ maxHeadBytes: 100, maxHeaderCount: 2 });
    for (const wire of [`${OK}${'a'.repeat(100)}`, `${OK}\r\nX: ${'a'.repeat(100)}`]) {
      const bytes = Buffer.from(wire);
      assert.throws(() => parser.parse(bytes, 0, bytes.length, 'GET'), /at most 100 bytes/);
    }
    const fields = Buffer.from(head(OK, 'A:1\r\nB:2\r\nC:3\r\n'));
    assert.throws(() => parser.parse(fields, 0, fields.length, 'GET'), /at most 2 fields/);
  });
});
