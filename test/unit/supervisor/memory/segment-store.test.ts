import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { openLibc, type Libc } from '../../../../src/shared/memory/libc.ts';
import { MetricsTable } from '../../../../src/shared/memory/metrics-table.ts';
import { METRICS_SEGMENT, standardSegments } from '../../../../src/shared/memory/segments.ts';
import { MetricsLayout, ServiceSlot } from '../../../../src/shared/metrics/layout.ts';
import type { InheritedSegment } from '../../../../src/supervisor/inheritance.ts';
import { carryOver } from '../../../../src/supervisor/memory/carry-over.ts';
import { SegmentStore } from '../../../../src/supervisor/memory/segment-store.ts';

const libc = openLibc();
const skip = 'unavailable' in libc && libc.unavailable;
const { connectionsAccepted, inFlight } = ServiceSlot;

function specsOf(...services: string[]) {
  const layout = new MetricsLayout({ services, upstreams: [] });
  return { layout, specs: standardSegments(layout, 1) };
}

describe('the segments of a supervisor', { skip }, () => {
  const system = libc as Libc;

  /** As a hand-off does it, descriptors of its own included. */
  function passOn(store: SegmentStore): InheritedSegment[] {
    return store.inventory.map(({ fd, ...spec }) => ({ ...spec, fd: system.dup(fd) }));
  }

  function storeWith(t: TestContext, inherited: readonly InheritedSegment[] = []) {
    const store = new SegmentStore(system, carryOver, inherited);
    t.after(() => {
      for (const { fd } of store.inventory) system.close(fd);
    });
    return store;
  }

  test('are the same memory for a generation that means the same by them', (t) => {
    const store = storeWith(t);
    const { specs } = specsOf('edge');
    const first = store.prepare(specs);
    store.retain(first);

    const second = store.prepare(specs);

    assert.deepEqual(second.list, first.list);
  });

  test('are the same memory for a successor', (t) => {
    const { specs, layout } = specsOf('edge');
    const old = storeWith(t);
    const before = old.prepare(specs);
    old.retain(before);
    const successor = storeWith(t, passOn(old));

    const after = successor.prepare(specs);
    successor.retain(after);

    new MetricsTable(before.find(METRICS_SEGMENT), layout.slots).rowView(1)[0] = 7;
    const seen = new MetricsTable(after.find(METRICS_SEGMENT), layout.slots);
    assert.equal(seen.rowView(1)[0], 7);
  });

  test('give a successor that counts other things the totals, by name', (t) => {
    const { specs, layout } = specsOf('gone', 'edge');
    const old = storeWith(t);
    const before = old.prepare(specs);
    old.retain(before);
    const row = new MetricsTable(before.find(METRICS_SEGMENT), layout.slots).rowView(1);
    row[layout.serviceStart('edge') + connectionsAccepted] = 3;
    row[layout.serviceStart('edge') + inFlight] = 1;
    const wanted = specsOf('edge', 'new');

    const successor = storeWith(t, passOn(old));
    const after = successor.prepare(wanted.specs);
    after.fill();
    successor.retain(after);

    const table = new MetricsTable(after.find(METRICS_SEGMENT), wanted.layout.slots);
    const start = wanted.layout.serviceStart('edge');
    assert.equal(table.sum(start + connectionsAccepted), 3);
    assert.equal(table.sum(start + inFlight), 0);
  });

  test('that were made for a generation which does not come up are closed', (t) => {
    const store = storeWith(t);
    store.retain(store.prepare(specsOf('edge').specs));
    const other = store.prepare(specsOf('edge', 'more').specs);
    const { fd } = other.find(METRICS_SEGMENT);

    other.undo();

    assert.throws(() => system.dup(fd!), { code: 'EBADF' });
    assert.ok(store.inventory.every((segment) => system.dup(segment.fd) > 0));
  });

  test('that a successor has no use for are closed', (t) => {
    const [other] = specsOf('edge').specs;
    const fd = system.createMemory('other', 64 + other!.size);
    const store = storeWith(t, [{ name: 'other', layout: 1, size: other!.size, fd }]);

    store.retain(store.prepare(specsOf('edge').specs));

    assert.throws(() => system.dup(fd), { code: 'EBADF' });
  });
});
