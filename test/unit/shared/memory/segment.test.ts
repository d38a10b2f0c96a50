import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openLibc } from '../../../../src/shared/memory/libc.ts';
import {
  createSegment,
  evictionsOf,
  HEADER_BYTES,
  makerOf,
  mapSegment,
  seedOf,
  type SegmentSpec,
} from '../../../../src/shared/memory/segment.ts';
import { metricsRows, standardSegments } from '../../../../src/shared/memory/segments.ts';
import { MetricsLayout } from '../../../../src/shared/metrics/layout.ts';

const SPEC: SegmentSpec = { name: 'test', layout: 3, size: 4_096 };

const libc = openLibc();
const skip = 'unavailable' in libc && libc.unavailable;

describe('a segment of one process', () => {
  test('begins with a header that says what it is', () => {
    const { buffer, offset, fd } = createSegment(SPEC, undefined);
    const header = new DataView(buffer);

    assert.equal(Buffer.from(buffer, 0, 4).toString('latin1'), 'SLCE');
    assert.equal(header.getUint32(4, true), 3);
    assert.equal(header.getFloat64(8, true), HEADER_BYTES + 4_096);
    assert.equal(buffer.byteLength, HEADER_BYTES + 4_096);
    assert.equal(offset, HEADER_BYTES);
    assert.equal(fd, undefined);
  });

  test('names the process that made it, or nobody if its release did not say', () => {
    const segment = createSegment(SPEC, undefined);
    assert.equal(makerOf(segment), process.pid);

    new DataView(segment.buffer).setUint32(28, 0, true);
    assert.equal(makerOf(segment), undefined);
  });

  test('is zeroed behind the header, and has no evictions', () => {
    const segment = createSegment(SPEC, undefined);

    assert.ok(new Uint8Array(segment.buffer, HEADER_BYTES).every((byte) => byte === 0));
    assert.equal(evictionsOf(segment)[0], 0);
  });

  test('has a seed of its own, so that a client cannot know which keys collide', () => {
    const seeds = Array.from({ length: 20 }, () => seedOf(createSegment(SPEC, undefined)).join());

    assert.equal(new Set(seeds).size, 20);
  });
});

describe('a segment of several processes', { skip }, () => {
  test('is the same memory and the same seed for whoever maps it', () => {
    if ('unavailable' in libc) return;
    const created = createSegment(SPEC, libc);
    const mapped = mapSegment(SPEC, created.fd!, libc);

    new Int32Array(created.buffer, created.offset)[7] = 42;

    assert.equal(new Int32Array(mapped.buffer, mapped.offset)[7], 42);
    assert.deepEqual(seedOf(mapped), seedOf(created));
    libc.close(created.fd!);
  });

  const others: { name: string; spec: SegmentSpec; says: RegExp }[] = [
    { name: 'another layout', spec: { ...SPEC, layout: 4 }, says: /4, 4160, got \d+, 3, 4160/ },
    { name: 'another size', spec: { ...SPEC, size: 2_048 }, says: /3, 2112, got \d+, 3, 4160/ },
  ];
  for (const { name, spec, says } of others) {
    test(`is refused if it has ${name}`, () => {
      if ('unavailable' in libc) return;
      const { fd } = createSegment(SPEC, libc);

      assert.throws(() => mapSegment(spec, fd!, libc), says);
      assert.throws(() => mapSegment(spec, fd!, libc), /^Error: segment "test"/);
      libc.close(fd!);
    });
  }

  test('is refused if the memory is something else', () => {
    if ('unavailable' in libc) return;
    const fd = libc.createMemory('other', HEADER_BYTES + SPEC.size);

    assert.throws(
      () => mapSegment(SPEC, fd, libc),
      /expected magic, layout and size .* got 0, 0, 0/,
    );
    libc.close(fd);
  });
});

test('every Sluice has the segments of figures and of peers', () => {
  const layout = new MetricsLayout({ services: ['edge'], upstreams: ['api'] });
  const segments = standardSegments(layout, 2);

  assert.deepEqual(
    segments.map(({ name }) => name),
    ['metrics', 'peers'],
  );
  assert.equal(segments[0]!.size, metricsRows(2) * (layout.slots + 1) * 8);
});
