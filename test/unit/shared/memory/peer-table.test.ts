import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PeerTable, peerTableSize } from '../../../../src/shared/memory/peer-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';

const newSegment = () =>
  createSegment({ name: 'peers', layout: 1, size: peerTableSize(2) }, undefined);

describe('a peer table', () => {
  test('gives a peer the same row in every process', () => {
    const segment = newSegment();
    const supervisor = new PeerTable(segment);
    const worker = new PeerTable(segment);
    const addresses = Array.from({ length: 500 }, (_, at) => `10.0.0.${at}:8080`);

    const rows = addresses.map((address) => supervisor.row('api', address));

    assert.deepEqual(
      addresses.map((address) => worker.row('api', address)),
      rows,
    );
    assert.equal(new Set(rows).size, 500);
  });

  test('tells the same address in two upstreams apart', () => {
    const table = new PeerTable(newSegment());

    assert.notEqual(table.row('api', '10.0.0.1:80'), table.row('web', '10.0.0.1:80'));
    assert.notEqual(table.row('a', 'b:1'), table.row('ab', ':1'));
  });

  test('knows nothing of a new peer', () => {
    const table = new PeerTable(newSegment());
    const row = table.row('api', '10.0.0.1:80');

    assert.equal(table.verdict(row), 'unknown');
    assert.equal(table.verdictAt(row), 0);
  });

  for (const verdict of ['healthy', 'ill', 'unknown'] as const) {
    test(`tells everybody that a peer is ${verdict}, and since when`, () => {
      const segment = newSegment();
      const prober = new PeerTable(segment);
      const worker = new PeerTable(segment);
      const row = prober.row('api', '10.0.0.1:80');
      const neighbour = prober.row('api', '10.0.0.2:80');
      prober.setVerdict(row, 'ill', 1);

      prober.setVerdict(row, verdict, 123_456_789_012_345);

      assert.equal(worker.verdict(row), verdict);
      assert.equal(worker.verdictAt(row), 123_456_789_012_345);
      assert.equal(worker.verdict(neighbour), 'unknown');
    });
  }

  test('refuses one peer too many, and says so', () => {
    const table = new PeerTable(newSegment());
    for (let at = 0; at < 4_096; at++) table.row('api', `h${at}:80`);

    assert.equal(table.row('api', 'h17:80'), table.row('api', 'h17:80'));
    assert.throws(
      () => table.row('api', 'one-more:80'),
      /more than 4096 peers: the peer table is full/,
    );
  });

  test('has one row for a peer that two processes claim at once', (t) => {
    const segment = newSegment();
    const table = new PeerTable(segment);
    const other = new PeerTable(segment);
    for (let step = 0; step < 4; step++) {
      const address = `10.0.0.${step}:80`;
      let at = 0;
      let rival = -1;
      const exchange = Atomics.compareExchange as (...args: unknown[]) => unknown;
      const store = Atomics.store as (...args: unknown[]) => unknown;
      const stepping =
        (original: typeof exchange) =>
        (...args: unknown[]) => {
          if (at++ === step) rival = other.row('api', address);
          return original(...args);
        };
      const mocks = [
        t.mock.method(Atomics, 'compareExchange', stepping(exchange) as never),
        t.mock.method(Atomics, 'store', stepping(store) as never),
      ];
      const row = table.row('api', address);
      for (const { mock } of mocks) mock.restore();

      if (rival >= 0) assert.equal(row, rival, `step ${step}`);
    }
  });
});
