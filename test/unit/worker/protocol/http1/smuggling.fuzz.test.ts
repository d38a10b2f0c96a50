/**
 * No bytes of a body are ever a request: neither to us, however the body is
 * framed, nor to the peer that we pass it on to.
 *
 *     FUZZ_RUNS=1000000 FUZZ_SEED=42 node --test <this file>
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Headers } from '../../../../../src/worker/http/headers.ts';
import { removeHopByHop } from '../../../../../src/worker/http/hop-by-hop.ts';
import {
  chunkHead,
  lastChunk,
  requestHeadText,
} from '../../../../../src/worker/protocol/http1/encode.ts';
import { agreeFraming } from '../../../../../src/worker/protocol/http1/framing.ts';
import { requestStreams } from './broken-messages.ts';
import { readAsNode, type SeenRequest } from './nodes-parser.ts';
import { readAsWe } from './our-reading.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 10_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const cuts = fc.array(fc.nat(), { maxLength: 4 });

/** What an attacker would put into a body. */
const BAIT = [
  'GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n',
  'POST /smuggled HTTP/1.1\r\nHost: a.test\r\nContent-Length: 90\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'Transfer-Encoding: chunked\r\n\r\n',
  'Content-Length: 5\r\n',
  '0\r\n\r\n',
  '\r\n0\r\n\r\n',
  '5\r\nhello\r\n',
  '\r\n\r\n',
  '\r\n',
  '\n',
  '\r',
  '\0',
  ';',
  ' ',
];
const bodies = fc
  .array(fc.oneof(fc.constantFrom(...BAIT), fc.string({ maxLength: 5 })), { maxLength: 6 })
  .map((parts) => Buffer.from(parts.join('')).toString('latin1'));

interface Message {
  readonly wire: string;
  readonly body: string;
}

/** The same body in some framing: one length, or chunks of any size with extensions and trailers. */
const messages: fc.Arbitrary<Message> = fc
  .record({
    body: bodies,
    method: fc.constantFrom('GET', 'POST', 'DELETE', 'OPTIONS', 'BREW'),
    sizes: fc.option(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })),
    zeros: fc.constantFrom('', '0', '000'),
    extension: fc.constantFrom('', ';a', ';a="0"', ' ;b=c'),
    trailers: fc.constantFrom('', 'X: y\r\n', 'Content-Length: 9\r\nHost: b\r\n'),
  })
  .map(({ body, method, sizes, zeros, extension, trailers }) => {
    const line = `${method} / HTTP/1.1\r\nHost: a.test\r\n`;
    if (sizes === null) {
      return { body, wire: `${line}Content-Length: ${zeros}${body.length}\r\n\r\n${body}` };
    }
    let chunks = '';
    for (let at = 0, turn = 0; at < body.length; turn++) {
      const data = body.slice(at, at + sizes[turn % sizes.length]!);
      chunks += `${zeros}${data.length.toString(16)}${extension}\r\n${data}\r\n`;
      at += data.length;
    }
    const coded = `${chunks}${zeros}0${extension}\r\n${trailers}\r\n`;
    return { body, wire: `${line}Transfer-Encoding: chunked\r\n\r\n${coded}` };
  });

test('what stands in a body is never read as a request, however it is framed and cut', (t) => {
  t.diagnostic(`FUZZ_SEED=${SEED}, ${RUNS} runs`);
  const streams = fc.array(messages, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(streams, cuts, (sent, cuts) => {
      const wire = sent.map((each) => each.wire).join('');
      const { requests, refused } = readAsWe(wire, cuts);
      assert.equal(refused, undefined);
      assert.deepEqual(
        requests.map(({ target, body }) => ({ target, body })),
        sent.map(({ body }) => ({ target: '/', body })),
      );
    }),
    { seed: SEED, numRuns: RUNS },
  );
});

test('what we pass on is read by the peer as we read it, whatever was sent to us', (t) => {
  t.diagnostic(`FUZZ_SEED=${SEED}, ${RUNS} runs`);
  let passed = 0;
  const sent = fc.oneof(
    requestStreams(),
    fc
      .array(messages, { minLength: 1, maxLength: 3 })
      .map((all) => all.map((each) => each.wire).join('')),
  );
  fc.assert(
    fc.property(sent, (wire) => {
      // It knows a fixed list of methods; the rest is the same for all of them.
      const ours = readAsWe(wire, []).requests.map((each) => ({ ...each, method: 'POST' }));
      const theirs = readAsNode(ours.map(passedOn).join(''));
      assert.equal(theirs.refused, undefined);
      assert.deepEqual(
        theirs.requests.map(({ target, body }) => ({ target, body })),
        ours.map(({ target, body }) => ({ target, body })),
      );
      passed += ours.length;
    }),
    { seed: SEED, numRuns: RUNS },
  );
  assert.ok(passed > RUNS / 2, `only ${passed} requests were passed on`);
});

/** As the steps of a request and the upstream connection make it. */
function passedOn({ method, target, fields, body }: SeenRequest): string {
  const headers = new Headers([...fields]);
  const chunked = headers.has('transfer-encoding');
  removeHopByHop(headers);
  const framing = agreeFraming(headers, chunked ? undefined : body.length);
  const head = { method, target, version: '1.1', authority: 'a.test', headers } as const;
  if (!chunked) return requestHeadText(head, framing) + body;
  const data = body === '' ? '' : `${chunkHead(body.length)}${body}\r\n`;
  return requestHeadText(head, framing) + data + lastChunk(undefined);
}
