import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { PeerTable, peerTableSize } from '../../../../src/shared/memory/peer-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { processId, type ProcessId } from '../../../../src/shared/process/process-age.ts';

const PROCESSES = 16;

const alive = processId(process.pid);

/** One that was there, and is not any more. */
const gone: ProcessId = { pid: spawnSync(process.execPath, ['--version']).pid, since: 4_711 };

/** Of one host; `join` is another process each time. */
function host() {
  const segment = createSegment(
    { name: 'peers', layout: 2, size: peerTableSize(PROCESSES) },
    undefined,
  );
  const join = (id: ProcessId = alive) => {
    const table = new PeerTable(segment);
    table.load.join(id);
    return table;
  };
  return { supervisor: new PeerTable(segment), join };
}

describe('requests under way to a peer', () => {
  test('are counted over all processes, for each peer', () => {
    const { supervisor, join } = host();
    const [one, other] = [join(), join()];
    const row = one.row('api', 'a:80');
    const neighbour = one.row('api', 'b:80');
    for (let nth = 0; nth < 3; nth++) one.load.begin(row);
    other.load.begin(row);
    other.load.begin(neighbour);
    one.load.end(row);

    for (const { load } of [supervisor, one, other]) {
      assert.equal(load.inFlight(row), 3);
      assert.equal(load.inFlight(neighbour), 1);
    }
  });

  test('of a process that was killed are given back, and no others', () => {
    const { supervisor, join } = host();
    const [killed, living] = [join(gone), join()];
    const row = supervisor.row('api', 'a:80');
    for (let nth = 0; nth < 5; nth++) killed.load.begin(row);
    living.load.begin(row);

    supervisor.reap();
    assert.equal(supervisor.load.inFlight(row), 1);
    supervisor.reap();
    assert.equal(supervisor.load.inFlight(row), 1);
  });

  test('of a process are not taken for those of another that has its number now', () => {
    const { supervisor, join } = host();
    const before = join({ pid: alive.pid, since: alive.since + 1 });
    const row = supervisor.row('api', 'a:80');
    before.load.begin(row);

    supervisor.reap();

    assert.equal(supervisor.load.inFlight(row), 0);
  });

  test('are given back though whoever was about to do so was killed, too', () => {
    const { supervisor, join } = host();
    const killed = join(gone);
    const row = supervisor.row('api', 'a:80');
    killed.load.begin(row);
    // Dies after it has said that it empties the column, and before it does.
    const dies = () => {
      throw new Error('killed');
    };
    assert.throws(() => supervisor.load.reap(dies, { ...gone, since: gone.since + 1 }), /killed/);

    supervisor.reap();

    assert.equal(supervisor.load.inFlight(row), 0);
    for (let nth = 0; nth < PROCESSES; nth++) join();
  });

  test('have room for so many processes, and again when some have ended', () => {
    const { supervisor, join } = host();
    for (let nth = 0; nth < PROCESSES; nth++) join(nth === 7 ? gone : alive);
    assert.throws(() => join(), /older workers have not ended yet; try again/);

    supervisor.reap();

    const row = supervisor.row('api', 'a:80');
    join().load.begin(row);
    assert.equal(supervisor.load.inFlight(row), 1);
  });

  test('have nothing to do with the rows of other peers, to the last one', () => {
    const { supervisor, join } = host();
    const processes = Array.from({ length: PROCESSES }, () => join());
    const rows = Array.from({ length: 4_096 }, (_, nth) => supervisor.row('api', `h${nth}:80`));
    for (const { load } of processes) for (const row of rows) load.begin(row);
    for (const row of rows) supervisor.load.took(row, row + 1, 1e9);

    for (const row of rows) {
      assert.equal(supervisor.load.inFlight(row), PROCESSES);
      assert.equal(supervisor.load.latencyUs(row, 1e9), row + 1);
      assert.equal(supervisor.verdict(row), 'unknown');
    }
  });
});

describe('the latency of a peer', () => {
  const S = 1e9;
  const measured = () => {
    const { supervisor } = host();
    return { load: supervisor.load, row: supervisor.row('api', 'a:80') };
  };

  test('is unknown at first, then what it took', () => {
    const { load, row } = measured();
    assert.equal(load.latencyUs(row, 5 * S), 0);

    load.took(row, 1_500, 5 * S);

    assert.equal(load.latencyUs(row, 5 * S), 1_500);
  });

  test('rises at once, and falls little by little', () => {
    const { load, row } = measured();
    load.took(row, 1_000, S);
    load.took(row, 9_000, S);
    assert.equal(load.latencyUs(row, S), 9_000);

    load.took(row, 1_000, 2 * S);
    // A tenth of the time in which two thirds are forgotten: e^-0.1 of the difference is left.
    assert.equal(load.latencyUs(row, 2 * S), Math.round(1_000 + 8_000 * Math.exp(-0.1)));
  });

  test('fades while nobody asks the peer, so that somebody does', () => {
    const { load, row } = measured();
    load.took(row, 1_000_000, S);

    assert.ok(load.latencyUs(row, 11 * S) < 370_000);
    assert.ok(load.latencyUs(row, 121 * S) < 10);
  });

  test('is not lowered by an answer that never came, but raised', () => {
    const { load, row } = measured();
    load.took(row, 1_000, S);
    load.tookAtLeast(row, 10, S);
    assert.equal(load.latencyUs(row, S), 1_000);

    load.tookAtLeast(row, 60_000_000, S);
    assert.equal(load.latencyUs(row, S), 60_000_000);
  });

  test('is bounded, whatever was measured', () => {
    const { load, row } = measured();
    load.took(row, 1e15, S);
    assert.equal(load.latencyUs(row, S), 2 ** 31 - 1);

    const other = measured();
    other.load.took(other.row, 0, S);
    assert.equal(other.load.latencyUs(other.row, S), 1);
  });

  test('is not older for a process whose clock was read earlier', () => {
    const { load, row } = measured();
    load.took(row, 1_000, 2 * S);

    assert.equal(load.latencyUs(row, S), 1_000);
  });
});
