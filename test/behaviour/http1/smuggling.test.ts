/**
 * No request can be hidden in another: whatever a client tries, the origin sees
 * what Sluice saw, or nothing. Each attempt carries the word `smuggled`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  eventually,
  rawClient,
  recordingPeer,
  startSluice,
  type RawClient,
} from '../../support/index.ts';

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

const get = (fields: string, line = 'GET / HTTP/1.1') => `${line}\r\nHost: a\r\n${fields}\r\n`;
const post = (fields: string) => get(fields, 'POST / HTTP/1.1') + SMUGGLED;

interface Attempt {
  readonly name: string;
  readonly sent: string;
  readonly status: number;
}

/** Refused before a byte goes up. */
const heads: readonly Attempt[] = [
  ...[
    ['a length and a coding', 'Content-Length: 6\r\nTransfer-Encoding: chunked\r\n'],
    ['a coding and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 6\r\n'],
    ['two lengths', 'Content-Length: 0\r\nContent-Length: 40\r\n'],
    ['the same length twice', 'Content-Length: 5\r\nContent-Length: 5\r\n'],
    ['a list of lengths', 'Content-Length: 5, 5\r\n'],
    ['an empty length', 'Content-Length:\r\n'],
    ['a length with a sign', 'Content-Length: +5\r\n'],
    ['a hexadecimal length', 'Content-Length: 0x5\r\n'],
    ['a length beyond 2^53', 'Content-Length: 18446744073709551621\r\n'],
    ['a length and a space before the colon', 'Content-Length : 5\r\n'],
    ['a folded coding', 'Transfer-Encoding:\r\n chunked\r\n'],
    ['a coding with a vertical tab', 'Transfer-Encoding: \x0bchunked\r\n'],
    ['an empty element before the coding', 'Transfer-Encoding: ,chunked\r\n'],
    ['a quoted coding', 'Transfer-Encoding: "chunked"\r\n'],
    ['two codings', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n'],
    ['chunked twice', 'Transfer-Encoding: chunked, chunked\r\n'],
    ['a coding after a bare CR', 'X: y\rTransfer-Encoding: chunked\r\n'],
    ['a coding after a bare LF', 'X: y\nTransfer-Encoding: chunked\r\n'],
    ['a NUL in a value', 'X: \0\r\nContent-Length: 5\r\n'],
    ['an empty name', ': y\r\nContent-Length: 5\r\n'],
    ['a name without a colon', 'Content-Length\r\n'],
    ['a name with a NUL', 'Content-Length\0: 5\r\n'],
    ['a second Host', 'Host: b\r\n'],
    ['endless options in Connection', `Connection: ${'a,'.repeat(40)}b\r\n`],
  ].map(([name = '', fields = '']) => ({ name, sent: post(fields), status: 400 })),
  ...[
    ['an unknown coding', 'Transfer-Encoding: xchunked\r\n'],
    ['chunked that is not the last coding', 'Transfer-Encoding: chunked, gzip\r\n'],
    ['gzip, chunked', 'Transfer-Encoding: gzip, chunked\r\n'],
    ['identity', 'Transfer-Encoding: identity\r\n'],
  ].map(([name = '', fields = '']) => ({ name, sent: post(fields), status: 501 })),
  {
    name: 'a coding of HTTP/1.0',
    sent: `POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    status: 400,
  },
  {
    name: 'another expectation',
    sent: post('Expect: 100-continued\r\nContent-Length: 38\r\n'),
    status: 417,
  },
  { name: 'HTTP/0.9', sent: `GET /\r\n${SMUGGLED}`, status: 400 },
  {
    name: 'a bare LF after the target, with fields and a body behind it',
    sent: `GET /x\nHost: a\nContent-Length: 38\n\n${SMUGGLED}`,
    status: 400,
  },
  { name: 'a bare LF after the version', sent: `GET / HTTP/1.1\nHost: a\r\n\r\n`, status: 400 },
  { name: 'a bare LF that ends the head', sent: `GET / HTTP/1.1\r\nHost: a\n\n`, status: 400 },
  { name: 'HTTP/2.0 in a line', sent: get('', 'GET / HTTP/2.0'), status: 505 },
  {
    name: 'the preface of HTTP/2',
    sent: `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${SMUGGLED}`,
    status: 505,
  },
  { name: 'HTTP/1.2', sent: get('', 'GET / HTTP/1.2'), status: 505 },
  { name: 'two spaces in the line', sent: get('', 'GET  / HTTP/1.1'), status: 400 },
  { name: 'a tab in the line', sent: get('', 'GET\t/ HTTP/1.1'), status: 400 },
  { name: 'a blank before the method', sent: get('', ' GET / HTTP/1.1'), status: 400 },
  { name: 'two empty lines before the request', sent: `\r\n\r\n${get('')}`, status: 400 },
  { name: 'a fragment', sent: get('', 'GET /a#b HTTP/1.1'), status: 400 },
  { name: 'a backslash', sent: get('', 'GET /a\\b HTTP/1.1'), status: 400 },
  { name: 'an 8-bit byte in the target', sent: get('', 'GET /\xe9 HTTP/1.1'), status: 400 },
  { name: '"*" with GET', sent: get('', 'GET * HTTP/1.1'), status: 400 },
  { name: 'an authority with GET', sent: get('', 'GET a:80 HTTP/1.1'), status: 400 },
  { name: 'a URL of another host', sent: get('', 'GET http://b/ HTTP/1.1'), status: 400 },
  { name: 'no Host', sent: 'GET / HTTP/1.1\r\n\r\n', status: 400 },
  ...['', 'a, b', 'u@a', 'a/b', 'a b', '[::1', 'a:x'].map((host) => ({
    name: `Host "${host}"`,
    sent: `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    status: 400,
  })),
  { name: 'CONNECT', sent: `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n${SMUGGLED}`, status: 405 },
  {
    name: 'a target beyond the bound',
    sent: get('', `GET /${'x'.repeat(9_000)} HTTP/1.1`),
    status: 414,
  },
  { name: 'a head beyond the bound', sent: get(`X: ${'x'.repeat(33_000)}\r\n`), status: 431 },
  {
    name: 'more fields than allowed, the last of which frames a body',
    sent: post(`${'X: y\r\n'.repeat(1_100)}Transfer-Encoding: chunked\r\n`),
    status: 431,
  },
];

/** Refused when the head has gone up already: the origin must not see a complete message. */
const bodies = [
  ['a size in C notation', '0x26\r\n'],
  ['a blank before the size', ' 26\r\n'],
  ['a blank after the size', '26 \r\n'],
  ['a sign', '-1\r\n'],
  ['a size beyond 2^53', 'fffffffffffffff0\r\n'],
  ['a size of too many digits', `${'0'.repeat(20)}1\r\n`],
  ['a bare LF after the size', '26\n'],
  ['a bare CR after the size', '26\rx'],
  ['a bare LF in an extension', '1;\nx\r\n'],
  ['a NUL in an extension', '1;\0\r\n'],
  ['extensions without end', `1;${'x'.repeat(2_000)}\r\n`],
  ['data longer than its size', '1\r\nxx\r\n'],
  ['data with a bare LF', '1\r\nx\n0\r\n\r\n'],
  ['a bare LF after the last chunk', '0\r\n\n'],
  ['a folded trailer', '0\r\nA: b\r\n c\r\n\r\n'],
  ['a space before the colon of a trailer', '0\r\nA : b\r\n\r\n'],
  ['trailers without end', `0\r\nA: ${'x'.repeat(9_000)}\r\n`],
].map(([name = '', wire = '']) => ({ name, wire }));

test('an attempt to smuggle', async (t) => {
  const peer = await recordingPeer(t);
  const sluice = await startSluice(
    t,
    `
    upstreams: { api: { peers: ['${peer.address}'] } }
    services: [{ name: edge, listen: [127.0.0.1:0], routes: [{ upstream: api }] }]
    `,
  );

  for (const { name, sent, status } of heads) {
    await t.test(`by ${name} is a ${status} that closes; the origin hears nothing`, async (t) => {
      const client = await rawClient(t, sluice.port);
      client.send(sent);
      await isRefused(client, status);
      assert.equal(peer.connections.length, 0);
    });
  }

  for (const { name, wire } of bodies) {
    await t.test(`by ${name} is a 400 that closes; the origin has half a request`, async (t) => {
      const before = peer.connections.length;
      const client = await rawClient(t, sluice.port);
      client.send(`${get('Transfer-Encoding: chunked\r\n', 'POST / HTTP/1.1')}2\r\nhi\r\n`);
      const origin = await eventually(async () => peer.connections[before], 'the first chunk');
      const first = await origin.receives(/\r\n\r\n2\r\nhi\r\n$/);

      client.send(`${wire}${SMUGGLED}`);

      await isRefused(client, 400);
      assert.equal(await origin.closed(), first);
    });
  }
});

async function isRefused(client: RawClient, status: number): Promise<void> {
  const received = await client.closed();
  assert.match(received, new RegExp(`^HTTP/1\\.1 ${status} [^]*\r\nConnection: close\r\n`));
  assert.equal(received.match(/HTTP\/1\.1/g)?.length, 1, 'one answer and no more');
}
