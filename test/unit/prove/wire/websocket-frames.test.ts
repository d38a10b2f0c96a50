import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  CLOSE,
  encodeFrame,
  FrameReader,
  TEXT,
} from '../../../../src/prove/wire/websocket-frames.ts';

const frames = [
  { opcode: TEXT, text: 'hello' },
  { opcode: TEXT, text: '' },
  { opcode: CLOSE, text: '' },
];

describe('FrameReader', () => {
  for (const masked of [true, false]) {
    test(`reads what was encoded, ${masked ? 'masked' : 'plain'}, wherever it is cut`, () => {
      const wire = Buffer.concat(frames.map((frame) => encodeFrame(frame, masked)));
      for (let cut = 0; cut <= wire.length; cut++) {
        const reader = new FrameReader();
        const read = [wire.subarray(0, cut), wire.subarray(cut)].flatMap((bytes) =>
          reader.read(bytes)!,
        );
        assert.deepEqual(read, frames, `cut after byte ${cut}`);
      }
    });
  }

  // RFC 6455 §5.7
  test('reads the examples of the standard', () => {
    const reader = new FrameReader();
    const unmasked = Buffer.from('810548656c6c6f', 'hex');
    const masked = Buffer.from('818537fa213d7f9f4d5158', 'hex');
    const hello = { opcode: TEXT, text: 'Hello' };
    assert.deepEqual(reader.read(Buffer.concat([unmasked, masked])), [hello, hello]);
  });

  test('knows bytes that are no frame', () => {
    assert.equal(new FrameReader().read(Buffer.from('HTTP/1.1 200 OK\r\n')), undefined);
  });
});
