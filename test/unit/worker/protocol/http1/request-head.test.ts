import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  DEFAULT_HEAD_LIMITS,
  RequestHeadParser,
} from '../../../../../src/worker/protocol/http1/request-head.ts';
import { acceptsAtEveryCut, refusesAtEveryCut } from './cuts.ts';

const HOST = 'Host: a.test\r\n';

/** A request with that line and those fields (each with its CRLF). */
function head(line: string, fields = HOST): string {
  return `${line}\r\n${fields}\r\n`;
}

function get(fields: string): string {
  return head('GET / HTTP/1.1', HOST + fields);
}

function post(fields: string): string {
  return head('POST / HTTP/1.1', HOST + fields);
}

interface Expected {
  readonly method?: string;
  readonly target?: string;
  readonly version?: string;
  readonly authority?: string;
  readonly framing?: object;
  readonly keepAlive?: boolean;
  readonly expectsContinue?: boolean;
  readonly upgrade?: string | undefined;
  readonly fields?: readonly string[];
}

const NONE = { kind: 'none' };
const CHUNKED = { kind: 'chunked' };

const accepted: readonly { name: string; wire: string; is: Expected }[] = [
  {
    name: 'a plain request',
    wire: head('GET /a?b=c HTTP/1.1'),
    is: {
      method: 'GET',
      target: '/a?b=c',
      version: '1.1',
      authority: 'a.test',
      framing: NONE,
      keepAlive: true,
      expectsContinue: false,
      upgrade: undefined,
      fields: ['Host', 'a.test'],
    },
  },
  { name: 'an empty line before it', wire: `\r\n${head('GET / HTTP/1.1')}`, is: { target: '/' } },
  { name: 'a method nobody registered', wire: head('!x~ / HTTP/1.1'), is: { method: '!x~' } },
  { name: 'a method in lower case', wire: head('get / HTTP/1.1'), is: { method: 'get' } },
  { name: 'two slashes at the start', wire: head('GET //a HTTP/1.1'), is: { target: '//a' } },

  // RFC 9112 §3.2: the forms of a target
  {
    name: 'the absolute form',
    wire: head('GET http://A.test/x?y HTTP/1.1'),
    is: { target: '/x?y', authority: 'A.test', fields: ['Host', 'A.test'] },
  },
  {
    name: 'the absolute form with a query and no path',
    wire: head('GET https://a.test?y HTTP/1.1'),
    is: { target: '/?y' },
  },
  {
    name: 'the absolute form with a scheme in capitals',
    wire: head('GET HTTP://a.test HTTP/1.1'),
    is: { target: '/' },
  },
  {
    name: 'the absolute form without Host in HTTP/1.0',
    wire: head('GET http://a.test/ HTTP/1.0', ''),
    is: { target: '/', authority: 'a.test', fields: ['Host', 'a.test'] },
  },
  { name: 'OPTIONS for the server', wire: head('OPTIONS * HTTP/1.1'), is: { target: '*' } },
  {
    name: 'OPTIONS for the server in absolute form',
    wire: head('OPTIONS http://a.test HTTP/1.1'),
    is: { target: '*' },
  },
  {
    name: 'OPTIONS for the root in absolute form',
    wire: head('OPTIONS http://a.test/ HTTP/1.1'),
    is: { target: '/' },
  },
  {
    name: 'CONNECT',
    wire: head('CONNECT a.test:443 HTTP/1.1'),
    is: { method: 'CONNECT', target: 'a.test:443', authority: 'a.test:443' },
  },

  // RFC 9112 §3.2: Host
  { name: 'no Host in HTTP/1.0', wire: head('GET / HTTP/1.0', ''), is: { authority: '' } },
  {
    name: 'Host with a port',
    wire: head('GET / HTTP/1.1', 'Host: a:80\r\n'),
    is: { authority: 'a:80' },
  },
  {
    name: 'Host with an IPv6 address',
    wire: head('GET / HTTP/1.1', 'Host: [2001:db8::1]:80\r\n'),
    is: { authority: '[2001:db8::1]:80' },
  },
  {
    name: 'Host with an encoded byte',
    wire: head('GET / HTTP/1.1', 'Host: a%2Db\r\n'),
    is: { authority: 'a%2Db' },
  },

  // RFC 9110 §5.5: fields
  { name: 'an empty value', wire: get('X:\r\n'), is: { fields: ['Host', 'a.test', 'X', ''] } },
  {
    name: 'blanks around a value',
    wire: get('X: \t a \t b\t \r\n'),
    is: { fields: ['Host', 'a.test', 'X', 'a \t b'] },
  },
  {
    name: 'bytes above ASCII in a value',
    wire: get('X: \x80\xff\r\n'),
    is: { fields: ['Host', 'a.test', 'X', '\x80\xff'] },
  },
  {
    name: 'names that objects have a meaning for',
    wire: get('__proto__: 1\r\nconstructor: 2\r\n'),
    is: { fields: ['Host', 'a.test', '__proto__', '1', 'constructor', '2'] },
  },
  {
    name: 'repeated fields, in their order and case',
    wire: get('X: 1\r\nY: 2\r\nx: 3\r\n'),
    is: { fields: ['Host', 'a.test', 'X', '1', 'Y', '2', 'x', '3'] },
  },

  // RFC 9112 §6: framing
  {
    name: 'a length',
    wire: post('Content-Length: 12\r\n'),
    is: { framing: { kind: 'length', length: 12 } },
  },
  { name: 'a length of zero', wire: post('Content-Length: 0\r\n'), is: { framing: NONE } },
  {
    name: 'a length with leading zeros',
    wire: post('Content-Length: 0012\r\n'),
    is: {
      framing: { kind: 'length', length: 12 },
      fields: ['Host', 'a.test', 'Content-Length', '12'],
    },
  },
  {
    name: 'the greatest length',
    wire: post('Content-Length: 9007199254740991\r\n'),
    is: { framing: { kind: 'length', length: Number.MAX_SAFE_INTEGER } },
  },
  {
    name: 'a chunked body',
    wire: post('Transfer-Encoding: chunked\r\n'),
    is: { framing: CHUNKED },
  },
  {
    name: 'the coding in any case',
    wire: post('transfer-encoding:CHUNKED\r\n'),
    is: { framing: CHUNKED },
  },
  {
    name: 'a body of a GET',
    wire: get('Content-Length: 5\r\n'),
    is: { framing: { kind: 'length', length: 5 } },
  },

  // RFC 9112 §9.3: does the connection live on
  { name: 'close', wire: get('Connection: close\r\n'), is: { keepAlive: false } },
  { name: 'close among others', wire: get('Connection: x, CLOSE\r\n'), is: { keepAlive: false } },
  {
    name: 'close in a second field',
    wire: get('Connection: keep-alive\r\nConnection: close\r\n'),
    is: { keepAlive: false },
  },
  { name: 'HTTP/1.0', wire: head('GET / HTTP/1.0'), is: { version: '1.0', keepAlive: false } },
  {
    name: 'HTTP/1.0 that wants to stay',
    wire: head('GET / HTTP/1.0', `${HOST}Connection: Keep-Alive\r\n`),
    is: { keepAlive: true },
  },

  // RFC 9110 §10.1.1, §7.8
  {
    name: 'an expectation',
    wire: post('Content-Length: 1\r\nExpect: 100-Continue\r\n'),
    is: { expectsContinue: true },
  },
  {
    name: 'an expectation of HTTP/1.0, which means nothing',
    wire: head('POST / HTTP/1.0', 'Content-Length: 1\r\nExpect: whatever\r\n'),
    is: { expectsContinue: false, fields: ['Content-Length', '1'] },
  },
  {
    name: 'an upgrade',
    wire: get('Connection: Upgrade\r\nUpgrade: websocket\r\n'),
    is: { upgrade: 'websocket', keepAlive: true },
  },
  {
    name: 'an upgrade that Connection does not name',
    wire: get('Upgrade: websocket\r\n'),
    is: { upgrade: undefined },
  },
  {
    name: 'an upgrade in HTTP/1.0',
    wire: head('GET / HTTP/1.0', 'Connection: upgrade\r\nUpgrade: websocket\r\n'),
    is: { upgrade: undefined },
  },
  {
    name: 'an upgrade to h2c, which is never reported',
    wire: get('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: H2C\r\nHTTP2-Settings: AA\r\n'),
    is: { upgrade: undefined },
  },
  {
    name: 'h2c among others',
    wire: get('Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n'),
    is: { upgrade: undefined },
  },
];

const line = (text: string) => head(text);
const host = (value: string) => head('GET / HTTP/1.1', `Host: ${value}\r\n`);
const length = (value: string) => post(`Content-Length: ${value}\r\n`);
const coding = (value: string) => post(`Transfer-Encoding: ${value}\r\n`);

const BAD_TARGET = /expected (one space after the )?target|expected a path or an http URL/;
const BAD_HOST = /expected Host to be a name or address/;
const BAD_LENGTH = /expected Content-Length to be a number below 2\^53/;
const BAD_CODING = /expected Transfer-Encoding "chunked"/;

const refused: readonly { name: string; wire: string; code?: string; says: RegExp }[] = [
  // the request line
  { name: 'two empty lines before it', wire: `\r\n\r\n${line('GET / HTTP/1.1')}`, says: /method/ },
  { name: 'a bare LF before it', wire: `\n${line('GET / HTTP/1.1')}`, says: /got byte 0x0a/ },
  { name: 'a bare CR before it', wire: `\r${line('GET / HTTP/1.1')}`, says: /got byte 0x0d/ },
  { name: 'a space before the method', wire: line(' GET / HTTP/1.1'), says: /expected a method/ },
  { name: 'no method', wire: line('/ HTTP/1.1'), says: /expected a method/ },
  { name: 'a method that is no token', wire: line('G(T / HTTP/1.1'), says: /got byte 0x28/ },
  { name: 'an endless method', wire: line(`${'G'.repeat(33)} / HTTP/1.1`), says: /at most 32/ },
  { name: 'two spaces after the method', wire: line('GET  / HTTP/1.1'), says: /after one space/ },
  { name: 'a tab after the method', wire: line('GET\t/ HTTP/1.1'), says: /got byte 0x09/ },
  { name: 'two spaces after the target', wire: line('GET /  HTTP/1.1'), says: /got byte 0x20/ },
  { name: 'a tab after the target', wire: line('GET /\tHTTP/1.1'), says: /got byte 0x09/ },
  { name: 'a space after the version', wire: line('GET / HTTP/1.1 '), says: /got byte 0x20/ },
  { name: 'a space in the target', wire: line('GET /a b HTTP/1.1'), says: /got byte 0x62/ },
  { name: 'HTTP/0.9', wire: 'GET /\r\n', says: /got byte 0x0d/ },
  {
    name: 'a bare LF after the target, which hides a body',
    wire: 'GET /x\nHost: a\r\nContent-Length: 5\r\n\r\n',
    says: /one space after the target, got byte 0x0a/,
  },
  { name: 'a bare LF after the version', wire: 'GET / HTTP/1.1\nHost: a\r\n\r\n', says: /0x0a/ },
  { name: 'a bare CR after the version', wire: 'GET / HTTP/1.1\rHost: a\r\n\r\n', says: /0x48/ },
  { name: 'a version in lower case', wire: line('GET / http/1.1'), says: /got byte 0x68/ },
  { name: 'a version with two digits', wire: line('GET / HTTP/1.10'), says: /got byte 0x30/ },
  { name: 'a version without a minor', wire: line('GET / HTTP/1'), says: /got byte 0x0d/ },
  ...['0.9', '1.2', '2.0', '3.0'].map((version) => ({
    name: `HTTP/${version} in a line of HTTP/1`,
    wire: line(`GET / HTTP/${version}`),
    code: 'version-not-supported',
    says: new RegExp(`got HTTP/${version}`),
  })),

  // the target
  { name: 'a fragment', wire: line('GET /a#b HTTP/1.1'), says: /got byte 0x23/ },
  { name: 'a backslash', wire: line('GET /a\\b HTTP/1.1'), says: /got byte 0x5c/ },
  { name: 'a NUL in the target', wire: line('GET /\0 HTTP/1.1'), says: /got byte 0x00/ },
  { name: 'a bare CR in the target', wire: line('GET /\r HTTP/1.1'), says: /got byte 0x0d/ },
  { name: 'DEL in the target', wire: line('GET /\x7f HTTP/1.1'), says: /got byte 0x7f/ },
  { name: 'UTF-8 in the target', wire: line('GET /\xc3\xa9 HTTP/1.1'), says: /got byte 0xc3/ },
  { name: 'a relative target', wire: line('GET a/b HTTP/1.1'), says: BAD_TARGET },
  { name: 'a query alone', wire: line('GET ?a HTTP/1.1'), says: BAD_TARGET },
  { name: 'another scheme', wire: line('GET ftp://a.test/ HTTP/1.1'), says: BAD_TARGET },
  { name: 'a URL without a host', wire: line('GET http:///x HTTP/1.1'), says: BAD_TARGET },
  { name: 'a URL with a user', wire: line('GET http://u@a.test/ HTTP/1.1'), says: BAD_TARGET },
  {
    name: 'a URL with two hosts',
    wire: head('GET http://a.test,b.test/ HTTP/1.0', ''),
    says: BAD_TARGET,
  },
  {
    name: 'a URL that Host contradicts',
    wire: line('GET http://evil.test/ HTTP/1.1'),
    says: /expected Host to agree with the target/,
  },
  {
    name: 'a URL that agrees with Host but for the port',
    wire: line('GET http://a.test:80/ HTTP/1.1'),
    says: /expected Host to agree/,
  },
  { name: '"*" with GET', wire: line('GET * HTTP/1.1'), says: /got "\*" with GET/ },
  { name: '"*" and more', wire: line('OPTIONS *a HTTP/1.1'), says: BAD_TARGET },
  { name: 'an authority with GET', wire: line('GET a.test:443 HTTP/1.1'), says: BAD_TARGET },
  { name: 'CONNECT with a path', wire: line('CONNECT / HTTP/1.1'), says: /host and port/ },
  { name: 'CONNECT without a port', wire: line('CONNECT a.test HTTP/1.1'), says: /host and port/ },
  {
    name: 'CONNECT with a URL',
    wire: line('CONNECT http://a.test:80 HTTP/1.1'),
    says: /host and port/,
  },

  // Host
  { name: 'no Host', wire: head('GET / HTTP/1.1', ''), says: /expected a Host field, got none/ },
  { name: 'an empty Host', wire: host(''), says: BAD_HOST },
  { name: 'an empty Host in HTTP/1.0', wire: head('GET / HTTP/1.0', 'Host:\r\n'), says: BAD_HOST },
  { name: 'two Hosts', wire: get('host: b\r\n'), says: /expected one Host field/ },
  { name: 'the same Host twice', wire: get(HOST), says: /expected one Host field/ },
  {
    name: 'two Hosts in HTTP/1.0',
    wire: head('GET / HTTP/1.0', HOST + HOST),
    says: /expected one Host field/,
  },
  ...[
    'a, b',
    'a,b',
    'a b',
    'u@a',
    'a/b',
    'a?b',
    'a#b',
    'a\\b',
    'http://a',
    'a:b',
    'a:1:2',
    ':80',
    'a:123456',
    '[::1',
    '::1',
    '[]',
    '[:::1]',
    '[1.2.3.4]',
    '[::1]a',
    'a%',
    'a%2',
    'a%gg',
    'a"b',
    'a<b',
    '\xe4.test',
  ].map((value) => ({ name: `Host "${value}"`, wire: host(value), says: BAD_HOST })),

  // fields
  { name: 'a space before the colon', wire: get('X : 1\r\n'), says: /right after the field name/ },
  { name: 'a tab before the colon', wire: get('X\t: 1\r\n'), says: /right after the field name/ },
  { name: 'a field without a colon', wire: get('X\r\n'), says: /right after the field name "X"/ },
  { name: 'a field without a name', wire: get(': 1\r\n'), says: /expected a field name/ },
  { name: 'a name that is no token', wire: get('X(y): 1\r\n'), says: /got byte 0x28/ },
  { name: 'a name above ASCII', wire: get('\xe4: 1\r\n'), says: /got byte 0xe4/ },
  { name: 'a NUL in a name', wire: get('X\0: 1\r\n'), says: /got byte 0x00/ },
  { name: 'a folded line', wire: get('X: 1\r\n 2\r\n'), says: /folded lines are not allowed/ },
  { name: 'a line folded with a tab', wire: get('X: 1\r\n\t2\r\n'), says: /folded/ },
  {
    name: 'a blank before the first field',
    wire: head('GET / HTTP/1.1', ` X: 1\r\n${HOST}`),
    says: /folded/,
  },
  { name: 'a bare LF after a value', wire: get('X: 1\nY: 2\r\n'), says: /got byte 0x0a/ },
  { name: 'a bare CR in a value', wire: get('X: 1\rY: 2\r\n'), says: /expected LF after CR/ },
  { name: 'CR CR LF after a value', wire: get('X: 1\r\r\n'), says: /expected LF after CR/ },
  {
    name: 'a bare LF that ends the head',
    wire: `GET / HTTP/1.1\r\n${HOST}\n`,
    says: /expected a field name, got byte 0x0a/,
  },
  {
    name: 'a CR that does not end the head',
    wire: `GET / HTTP/1.1\r\n${HOST}\rX: 1\r\n\r\n`,
    says: /at the end of the header section/,
  },
  ...[0x00, 0x01, 0x08, 0x0b, 0x0c, 0x1f, 0x7f].map((byte) => ({
    name: `control byte ${byte} in a value`,
    wire: get(`X: a${String.fromCharCode(byte)}b\r\n`),
    says: /expected CRLF .* field "X"/,
  })),

  // framing
  ...['', '+2', '-2', '0x2', '2.0', '2e1', '2 2', '2, 2', '2;', '9007199254740992'].map(
    (value) => ({ name: `Content-Length "${value}"`, wire: length(value), says: BAD_LENGTH }),
  ),
  { name: 'a length of 17 digits', wire: length(`${'0'.repeat(16)}2`), says: BAD_LENGTH },
  {
    name: 'two lengths',
    wire: post('Content-Length: 2\r\nContent-Length: 3\r\n'),
    says: /expected one Content-Length/,
  },
  {
    name: 'the same length twice',
    wire: post('Content-Length: 2\r\ncontent-length: 2\r\n'),
    says: /expected one Content-Length/,
  },
  {
    name: 'a length and a coding',
    wire: post('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n'),
    says: /got both/,
  },
  {
    name: 'a coding and a length that is none',
    wire: post('Transfer-Encoding: gzip\r\nContent-Length: x\r\n'),
    says: /got both/,
  },
  {
    name: 'two codings in two fields',
    wire: post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'),
    says: /expected one Transfer-Encoding/,
  },
  {
    name: 'a coding in HTTP/1.0',
    wire: head('POST / HTTP/1.0', 'Transfer-Encoding: chunked\r\n'),
    says: /no Transfer-Encoding in HTTP\/1.0/,
  },
  ...['', ',chunked', 'chunked,', 'chunked, chunked', 'chunked;a=b', 'gzip,,chunked'].map(
    (value) => ({ name: `Transfer-Encoding "${value}"`, wire: coding(value), says: BAD_CODING }),
  ),
  ...['"chunked"', 'chunked chunked', '\xa0chunked', 'gzip;q=1, chunked'].map((value) => ({
    name: `Transfer-Encoding "${value}"`,
    wire: coding(value),
    says: BAD_CODING,
  })),
  {
    name: 'a coding with a vertical tab',
    wire: coding('\x0bchunked'),
    says: /expected CRLF .* field "Transfer-Encoding"/,
  },
  ...['identity', 'xchunked', 'gzip', 'gzip, chunked', 'chunked, gzip', 'chunkedchunked'].map(
    (value) => ({
      name: `Transfer-Encoding "${value}"`,
      wire: coding(value),
      code: 'transfer-coding-not-supported',
      says: BAD_CODING,
    }),
  ),

  // expectations
  ...['', '200-ok', '100-continue, x', '100-continue; a'].map((value) => ({
    name: `Expect "${value}"`,
    wire: get(`Expect: ${value}\r\n`),
    code: 'expectation-failed',
    says: /expected Expect to be 100-continue/,
  })),
  {
    name: 'two expectations',
    wire: get('Expect: 100-continue\r\nExpect: 100-continue\r\n'),
    code: 'expectation-failed',
    says: /got "100-continue, 100-continue"/,
  },
];

describe('RequestHeadParser', () => {
  for (const { name, wire, is } of accepted) {
    test(`accepts ${name}, wherever the input is cut`, () => {
      const parser = new RequestHeadParser();
      acceptsAtEveryCut((...where) => parser.parse(...where), wire);
      const { head, ...rest } = parser.take();
      const all = { ...head, ...rest, fields: [...head.headers].flat() };
      for (const [key, value] of Object.entries(is)) {
        assert.deepEqual(all[key as keyof typeof all], value, key);
      }
    });
  }

  for (const { name, wire, code, says } of refused) {
    test(`refuses ${name}, and accepts no beginning of it`, () => {
      const parser = new RequestHeadParser();
      const expected = code === undefined ? { says } : { code, says };
      refusesAtEveryCut((...where) => parser.parse(...where), wire, expected);
    });
  }

  test('gives a head once', () => {
    const parser = new RequestHeadParser();
    assert.throws(() => parser.take(), /no head has been read/);
    const bytes = Buffer.from(head('GET / HTTP/1.1'));
    parser.parse(bytes, 0, bytes.length);
    parser.take();
    assert.throws(() => parser.take(), /no head has been read/);
  });

  test('reads one head after the other', () => {
    const parser = new RequestHeadParser();
    const first = head('POST /1 HTTP/1.0');
    const bytes = Buffer.from(first + head('GET /2 HTTP/1.1'));
    assert.equal(parser.parse(bytes, 0, bytes.length), first.length);
    assert.equal(parser.take().head.target, '/1');
    assert.equal(parser.parse(bytes, first.length, bytes.length), bytes.length);
    const { head: second, keepAlive } = parser.take();
    assert.deepEqual([second.method, second.target, keepAlive], ['GET', '/2', true]);
  });
});

describe('the limits of a request head', () => {
  const limits = { maxTargetBytes: 10, maxHeadBytes: 80, maxHeaderCount: 3 };
  const cases = [
    {
      name: 'a target',
      fits: head(`GET /${'a'.repeat(9)} HTTP/1.1`),
      exceeds: head(`GET /${'a'.repeat(10)} HTTP/1.1`),
      code: 'target-too-long',
      says: /at most 10 bytes/,
    },
    {
      name: 'a head',
      fits: get(`X: ${'a'.repeat(80 - get('X: \r\n').length)}\r\n`),
      exceeds: get(`X: ${'a'.repeat(81 - get('X: \r\n').length)}\r\n`),
      code: 'head-too-large',
      says: /at most 80 bytes/,
    },
    {
      name: 'the number of fields',
      fits: get('A: 1\r\nB: 2\r\n'),
      exceeds: get('A: 1\r\nB: 2\r\nC: 3\r\n'),
      code: 'too-many-headers',
      says: /at most 3 fields/,
    },
  ];
  for (const { name, fits, exceeds, code, says } of cases) {
    test(`let ${name} of just that size pass, and nothing above`, () => {
      const parser = new RequestHeadParser(limits);
      acceptsAtEveryCut((...where) => parser.parse(...where), fits);
      refusesAtEveryCut((...where) => parser.parse(...where), exceeds, { code, says });
    });
  }

  test('hold for input that never ends', () => {
    const endless = [
      { wire: `GET /${'a'.repeat(DEFAULT_HEAD_LIMITS.maxTargetBytes)}`, code: 'target-too-long' },
      {
        wire: `${head('GET / HTTP/1.1').slice(0, -2)}X: ${'a'.repeat(33_000)}`,
        code: 'head-too-large',
      },
      {
        wire: `${head('GET / HTTP/1.1').slice(0, -2)}${'a'.repeat(33_000)}`,
        code: 'head-too-large',
      },
      { wire: `GET / HTTP/1.1\r\n${'X:\r\n'.repeat(101)}`, code: 'too-many-headers' },
    ];
    for (const { wire, code } of endless) {
      const bytes = Buffer.from(wire);
      assert.throws(() => new RequestHeadParser().parse(bytes, 0, bytes.length), { code });
    }
  });
});
