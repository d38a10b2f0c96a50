import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { errorCodes } from '../../../../src/shared/errors/catalog.ts';
import { DURATION_BUCKETS } from '../../../../src/shared/metrics/buckets.ts';
import {
  MetricsLayout,
  ProcessSlot,
  ServiceSlot,
  UpstreamSlot,
} from '../../../../src/shared/metrics/layout.ts';
import { Recorder } from '../../../../src/shared/metrics/recorder.ts';

const NAMES = { services: ['edge', 'inner'], upstreams: ['api', 'web'] };

function newRow() {
  const layout = new MetricsLayout(NAMES);
  const row = new Float64Array(layout.slots);
  return { layout, row, recorder: new Recorder(row, layout) };
}

describe('the layout of figures', () => {
  test('is the same for the same names, in whichever process', () => {
    const [one, other] = [new MetricsLayout(NAMES), new MetricsLayout(NAMES)];

    assert.equal(one.slots, other.slots);
    for (const name of NAMES.services)
      assert.equal(one.serviceStart(name), other.serviceStart(name));
  });

  test('has a place for a name only if it was given', () => {
    const layout = new MetricsLayout(NAMES);

    assert.throws(() => layout.serviceStart('other'), /no figures are kept for a service "other"/);
    assert.equal(layout.upstreamStart('other'), undefined);
  });

  test('knows which slots mean nothing after their process', () => {
    const { layout, row, recorder } = newRow();
    recorder.processFigures(1, 1, 1);
    recorder.service('inner').requestStarted();
    recorder.service('inner').connectionOpened();
    for (const slot of layout.passingSlots) row[slot] = 0;

    const start = layout.serviceStart('inner');
    assert.equal(row[start + ServiceSlot.connectionsAccepted], 1);
    assert.equal(row[ProcessSlot.cpuSeconds], 1);
    assert.equal(
      row.reduce((sum, value) => sum + value),
      2,
      'and nothing else is left',
    );
  });
});

describe('a recorder', () => {
  test('never writes into the slot of somebody else', () => {
    const seen = new Map<number, string>();
    const acts: Record<string, (recorder: Recorder) => void> = {
      process: (recorder) => recorder.processFigures(1, 1, 1),
    };
    for (const name of NAMES.services) {
      for (const status of [0, 100, 200, 404, 599]) {
        acts[`${name} ${status}`] = (recorder) =>
          recorder.service(name).requestEnded(status, 0, 0, 0);
      }
      for (const code of errorCodes)
        acts[`${name} ${code}`] = (recorder) => recorder.service(name).failed(code);
      acts[`${name} allowed`] = (recorder) => recorder.service(name).limitAllowed();
      acts[`${name} refused`] = (recorder) => recorder.service(name).limitRefused();
    }
    for (const name of NAMES.upstreams) {
      for (const act of ['opened', 'reused', 'retried'] as const) {
        acts[`${name} ${act}`] = (recorder) => recorder.upstream(name)[act]();
      }
    }
    for (const [name, act] of Object.entries(acts)) {
      const { row, recorder, layout } = newRow();
      act(recorder);
      const shared = new Set(
        NAMES.services.flatMap((service) => {
          const start = layout.serviceStart(service);
          return [start + ServiceSlot.inFlight, start + ServiceSlot.durations];
        }),
      );
      for (const [slot, value] of row.entries()) {
        if (value === 0 || shared.has(slot)) continue;
        assert.equal(seen.get(slot), undefined, `${name} and ${seen.get(slot)} share slot ${slot}`);
        seen.set(slot, name);
      }
    }
  });

  test('counts a request from its start to its end', () => {
    const { row, recorder, layout } = newRow();
    const edge = recorder.service('edge');
    const slot = (at: number) => row[layout.serviceStart('edge') + at];

    edge.requestStarted();
    assert.equal(slot(ServiceSlot.inFlight), 1);
    edge.requestEnded(200, 0.02, 10, 2_000);

    assert.equal(slot(ServiceSlot.inFlight), 0);
    assert.equal(slot(ServiceSlot.statuses + 200), 1);
    assert.equal(slot(ServiceSlot.requestBytes), 10);
    assert.equal(slot(ServiceSlot.responseBytes), 2_000);
    assert.equal(slot(ServiceSlot.durationSum), 0.02);
  });

  const durations = [
    [0, 0],
    [0.001, 0],
    [0.0011, 1],
    [0.25, 7],
    [30, 13],
    [30.1, 14],
    [1e9, 14],
  ] as const;
  for (const [seconds, bucket] of durations) {
    test(`puts ${seconds} s into the bucket up to ${DURATION_BUCKETS.at(bucket) ?? '+Inf'}`, () => {
      const { row, recorder, layout } = newRow();
      recorder.service('edge').requestEnded(200, seconds, 0, 0);

      const start = layout.serviceStart('edge') + ServiceSlot.durations;
      const counts = [...row.subarray(start, start + DURATION_BUCKETS.length + 1)];
      assert.equal(counts.indexOf(1), bucket);
      assert.equal(
        counts.reduce((sum, count) => sum + count),
        1,
      );
    });
  }

  test('counts connections', () => {
    const { row, recorder, layout } = newRow();
    const inner = recorder.service('inner');
    inner.connectionOpened();
    inner.connectionOpened();
    inner.connectionClosed();

    const start = layout.serviceStart('inner');
    assert.equal(row[start + ServiceSlot.connectionsAccepted], 2);
    assert.equal(row[start + ServiceSlot.connectionsOpen], 1);
  });

  test('counts what happens to an upstream, and nothing for peers without one', () => {
    const { row, recorder, layout } = newRow();
    recorder.upstream('web').opened();
    recorder.upstream('web').reused();
    recorder.upstream('10.0.0.1:80').opened();

    const start = layout.upstreamStart('web')!;
    assert.equal(row[start + UpstreamSlot.opened], 1);
    assert.equal(row[start + UpstreamSlot.reused], 1);
    assert.equal(
      row.reduce((sum, value) => sum + value),
      2,
    );
  });
});
