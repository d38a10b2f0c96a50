import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  encodeFrame,
  FRAME_HEADER_BYTES,
  FrameReader,
  MAX_MESSAGE_BYTES,
  type Frame,
} from '../../../../src/supervisor/handoff/frames.ts';

const MESSAGE = { kind: 'batch', text: 'ä' };

describe('frames of the hand-off', () => {
  test('a message comes out as it went in, wherever the stream is cut', () => {
    const wire = encodeFrame(MESSAGE, 2);
    for (let cut = 1; cut <= wire.length; cut++) {
      const { reader } = openReader();
      reader.add(wire.subarray(0, cut), [7, 8]);
      let frame = reader.next();
      if (cut < wire.length) {
        assert.equal(frame, undefined, `cut after ${cut}`);
        reader.add(wire.subarray(cut), []);
        frame = reader.next();
      }
      assert.deepEqual(frame, { message: MESSAGE, descriptors: [7, 8] }, `cut after ${cut}`);
      assert.ok(reader.isBetweenFrames);
    }
  });

  test('messages that arrive together come out one by one, each with its own descriptors', () => {
    const { reader } = openReader();
    const messages = [{ kind: 'one' }, { kind: 'two' }, { kind: 'three' }];
    const counts = [0, 2, 1];
    const wires = messages.map((message, at) => encodeFrame(message, counts[at]!));
    reader.add(Buffer.concat(wires), [4, 5, 6]);

    assert.deepEqual(reader.next(), { message: messages[0], descriptors: [] });
    assert.deepEqual(reader.next(), { message: messages[1], descriptors: [4, 5] });
    assert.deepEqual(reader.next(), { message: messages[2], descriptors: [6] });
    assert.equal(reader.next(), undefined);
    assert.ok(reader.isBetweenFrames);
  });

  test('a message that no reader would take is not written', () => {
    assert.throws(
      () => encodeFrame({ text: 'x'.repeat(MAX_MESSAGE_BYTES) }, 0),
      /more than 1048576/,
    );
  });

  const header = (length: number, descriptors: number) => {
    const bytes = encodeFrame({}, 0).subarray(0, FRAME_HEADER_BYTES);
    bytes.writeUInt32BE(length, 4);
    bytes.writeUInt32BE(descriptors, 8);
    return bytes;
  };
  const framed = (text: string | Buffer) =>
    Buffer.concat([header(Buffer.byteLength(text), 0), Buffer.from(text)]);

  const refused = [
    { name: 'another protocol', wire: 'GET / HTTP/1.1\r\n', says: /expected "SLHO", got "GET "/ },
    { name: 'the first wrong byte', wire: 'SX', says: /expected "SLHO", got "SX"/ },
    {
      name: 'a message too long',
      wire: header(MAX_MESSAGE_BYTES + 1, 0),
      says: /at most 1048576 bytes, got 1048577/,
    },
    {
      name: 'a promise of too many descriptors',
      wire: header(2, 201),
      says: /at most 200 descriptors, got 201/,
    },
    {
      name: 'more descriptors than a frame may have',
      wire: 'S',
      fds: 201,
      says: /at most 200 descriptors, got 201/,
    },
    {
      name: 'a descriptor that no frame speaks of',
      wire: framed('{}'),
      fds: 1,
      says: /expected 0 descriptors, got 1/,
    },
    {
      name: 'a missing descriptor',
      wire: encodeFrame({}, 2),
      fds: 1,
      says: /expected 2 descriptors, got 1/,
    },
    { name: 'what is not JSON', wire: framed('{kind}'), says: /expected JSON in UTF-8/ },
    {
      name: 'what is not UTF-8',
      wire: framed(Buffer.from([0x22, 0xff, 0x22])),
      says: /expected JSON in UTF-8/,
    },
    { name: 'a list', wire: framed('[]'), says: /expected an object/ },
    { name: 'null', wire: framed('null'), says: /expected an object/ },
  ];

  for (const { name, wire, fds = 0, says } of refused) {
    test(`${name} is refused, and its descriptors are closed`, () => {
      const { reader, closed } = openReader();
      const descriptors = Array.from({ length: fds }, (_, at) => 100 + at);
      reader.add(Buffer.from(wire), descriptors);
      assert.throws(() => reader.next(), { name: 'BrokenFrame', message: says });
      assert.deepEqual(closed, descriptors);
      assert.ok(reader.isBetweenFrames);
    });
  }

  test('descriptors of a frame that was never whole are closed', () => {
    const { reader, closed } = openReader();
    reader.add(encodeFrame({}, 2).subarray(0, 5), [3, 4]);
    assert.equal(reader.next(), undefined);
    assert.equal(reader.isBetweenFrames, false);
    reader.discard();
    assert.deepEqual(closed, [3, 4]);
  });

  test('garbage never hangs, never throws anything else, and leaks nothing', () => {
    for (let round = 0; round < 2_000; round++) {
      const { reader, closed } = openReader();
      const wire = encodeFrame(MESSAGE, 1);
      wire[round % wire.length] = Math.floor(Math.random() * 256);
      let frame: Frame | undefined;
      try {
        reader.add(wire, [5]);
        frame = reader.next();
      } catch (thrown) {
        assert.equal((thrown as Error).name, 'BrokenFrame');
      }
      reader.discard();
      assert.deepEqual([...closed, ...(frame?.descriptors ?? [])], [5]);
    }
  });
});

function openReader() {
  const closed: number[] = [];
  return { reader: new FrameReader((fd) => closed.push(fd)), closed };
}
