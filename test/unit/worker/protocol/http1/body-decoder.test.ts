import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BodyFraming } from '../../../../../src/worker/http/message.ts';
import { BodyDecoder } from '../../../../../src/worker/protocol/http1/body-decoder.ts';

const NONE: BodyFraming = { kind: 'none' };
const CHUNKED: BodyFraming = { kind: 'chunked' };
const UNTIL_CLOSE: BodyFraming = { kind: 'until-close' };
const length = (bytes: number): BodyFraming => ({ kind: 'length', length: bytes });

const NEXT = 'GET / HTTP/1.1';

const complete = [
  { name: 'no body', framing: NONE, wire: '', body: '' },
  { name: 'a body of no bytes', framing: length(0), wire: '', body: '' },
  { name: 'a body of one byte', framing: length(1), wire: 'h', body: 'h' },
  { name: 'a body of five bytes', framing: length(5), wire: 'hello', body: 'hello' },
  { name: 'a chunked body', framing: CHUNKED, wire: '5\r\nhello\r\n0\r\n\r\n', body: 'hello' },
];

const cut = [
  { framing: length(5), wire: '', says: 'message ended after 0 of 5 body bytes' },
  { framing: length(5), wire: 'hell', says: 'message ended after 4 of 5 body bytes' },
  { framing: CHUNKED, wire: '', says: 'message ended before its last chunk' },
  { framing: CHUNKED, wire: '5\r\nhello\r\n', says: 'message ended before its last chunk' },
  { framing: CHUNKED, wire: '5\r\nhello\r\n0\r\n', says: 'message ended before its last chunk' },
];

describe('BodyDecoder', () => {
  for (const { name, framing, wire, body } of complete) {
    test(`reads ${name} and leaves what follows, wherever the input is cut`, () => {
      for (let at = 0; at <= wire.length; at++) {
        const { decoder, feed, read } = decoderFor(framing);
        const left = feed(wire.slice(0, at)) + feed(wire.slice(at) + NEXT) + feed(NEXT);
        assert.deepEqual(
          { body: read(), left, done: decoder.done },
          { body, left: NEXT + NEXT, done: true },
          `cut after byte ${at}`,
        );
        decoder.endOfInput();
      }
    });
  }

  for (const { framing, wire, says } of cut) {
    test(`says "${says}" of ${JSON.stringify(wire)}`, () => {
      const { decoder, feed } = decoderFor(framing);
      feed(wire);
      assert.equal(decoder.done, false);
      assert.throws(() => decoder.endOfInput(), { name: 'Malformed', message: says });
    });
  }

  test('reads until the connection ends, if nothing else frames the body', () => {
    const { decoder, feed, read } = decoderFor(UNTIL_CLOSE);
    assert.equal(feed('hello') + feed(' world'), '');
    assert.equal(decoder.done, false);
    decoder.endOfInput();
    assert.equal(decoder.done, true);
    assert.equal(feed('more'), 'more');
    assert.equal(read(), 'hello world');
  });

  test('is used for message after message', () => {
    const { decoder, feed, read } = decoderFor(NONE);
    const messages = [...complete, ...cut.map((each) => ({ ...each, body: undefined }))];
    for (const first of messages) {
      for (const second of complete) {
        decoder.reset(first.framing);
        feed(first.wire);
        read();
        decoder.reset(second.framing);
        assert.equal(feed(second.wire + NEXT), NEXT);
        assert.deepEqual([read(), decoder.done], [second.body, true]);
      }
    }
  });

  test('gives the trailers of this message, not of the one before', () => {
    const { decoder, feed } = decoderFor(CHUNKED);
    feed('0\r\nA: 1\r\n\r\n');
    assert.deepEqual([...(decoder.trailers ?? [])].flat(), ['A', '1']);
    for (const framing of [NONE, length(3), UNTIL_CLOSE, CHUNKED]) {
      decoder.reset(framing);
      assert.equal(decoder.trailers, undefined, framing.kind);
    }
  });
});

function decoderFor(framing: BodyFraming) {
  let body = '';
  const decoder = new BodyDecoder(framing, {
    onData: (bytes, from, end) => (body += bytes.latin1Slice(from, end)),
  });
  return {
    decoder,
    /** @returns what did not belong to the body */
    feed: (piece: string): string => {
      const bytes = Buffer.from(`<${piece}>`, 'latin1');
      return bytes.latin1Slice(decoder.decode(bytes, 1, bytes.length - 1), bytes.length - 1);
    },
    /** What was delivered since the last call. */
    read: (): string => {
      const delivered = body;
      body = '';
      return delivered;
    },
  };
}
