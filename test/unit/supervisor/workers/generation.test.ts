import assert from 'node:assert/strict';
import type { Worker as Process } from 'node:cluster';
import { EventEmitter, once } from 'node:events';
import { describe, test } from 'node:test';
import type { ListenerGrant, ToWorker } from '../../../../src/shared/ipc/messages.ts';
import { createLog } from '../../../../src/shared/log/log.ts';
import { metricsTableSize } from '../../../../src/shared/memory/metrics-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { MetricsLayout } from '../../../../src/shared/metrics/layout.ts';
import {
  Generation,
  type GenerationOwner,
  type GenerationParts,
  type Retirement,
} from '../../../../src/supervisor/workers/generation.ts';
import { Ledger } from '../../../../src/supervisor/workers/ledger.ts';

const log = createLog({ level: 'error', destination: '/dev/null', name: 'supervisor' });
const layout = new MetricsLayout({ services: [], upstreams: [] });
const renewal: Retirement = { idleMs: 0, graceMs: 0, lateMs: 0, isLast: () => false, lastMs: 0 };
const noFiles = () => {
  throw new Error('fcntl failed: EMFILE');
};

/** A process as node:cluster shows it. */
class FakeProcess extends EventEmitter {
  readonly said = new EventEmitter();
  readonly process: { pid: number | undefined; kill: () => void };

  constructor(pid: number | undefined) {
    super();
    const kill = () => void setImmediate(() => this.emit('exit', null, 'SIGKILL'));
    this.process = { pid, kill: pid === undefined ? () => {} : kill };
  }

  isConnected(): boolean {
    return this.process.pid !== undefined;
  }

  send(message: ToWorker): void {
    this.said.emit(message.kind, message);
  }
}

class Fleet implements GenerationOwner {
  readonly ledger = new Ledger();
  readonly readyServices = [];
  restarts = 0;
  onChange = () => {};
  onServiceReady = () => {};
  onRestart = () => void this.restarts++;
}

interface Options extends Partial<Pick<GenerationParts, 'slots' | 'grant'>> {
  /** Of the metrics table; the first one is for totals. */
  readonly rows?: number;
  readonly fork?: (times: number) => FakeProcess;
}

function generationOf(options: Options = {}) {
  const { slots = 1, rows = 8, grant = (): ListenerGrant[] => [] } = options;
  const fork = options.fork ?? ((times) => new FakeProcess(1_000_000 + times));
  const owner = new Fleet();
  const forked: FakeProcess[] = [];
  const forks = new EventEmitter();
  const size = metricsTableSize(rows, layout.slots);
  const book = owner.ledger.bookFor(
    createSegment({ name: 'metrics', layout: 1, size }, undefined),
    layout,
  );
  owner.ledger.turnTo(book);
  const parts: GenerationParts = {
    number: 1,
    slots,
    keys: [],
    duties: [],
    stepTimeoutMs: 60_000,
    serviceWaitMs: 0,
    fork() {
      const process = fork(forked.length + 1);
      forked.push(process);
      forks.emit('fork', process);
      return process as unknown as Process;
    },
    grant: (slot) => grant(slot),
    healthLimits: { stuckAfterMs: 60_000, maxMemory: undefined, maxAgeMs: undefined },
    renewal,
    book,
    peers: { reap: () => {} },
    close: () => {},
    log,
  };
  return { generation: new Generation(parts, owner), forked, forks, owner };
}

function built(process: FakeProcess): void {
  process.emit('message', { kind: 'built' });
}

function accepting(process: FakeProcess): void {
  process.emit('message', { kind: 'accepting', slot: 0, addresses: [] });
}

async function serving(options: Options = {}) {
  const parts = generationOf(options);
  const prepared = parts.generation.prepare();
  parts.forked.forEach(built);
  await prepared;
  const opened = parts.generation.open();
  parts.forked.forEach(accepting);
  await opened;
  return parts;
}

describe('a generation of workers', () => {
  test('says so when not all of its workers can be forked, and is gone once it is given up', async () => {
    const { generation } = generationOf({ slots: 3, rows: 3 });
    await assert.rejects(generation.prepare(), /no free metrics row/);
    await generation.kill();
    assert.equal(generation.phase, 'gone');
  });

  test('says so when there are no descriptors left for its sockets', async () => {
    const { generation, forked } = generationOf({ grant: noFiles });
    const prepared = generation.prepare();
    forked.forEach(built);
    await prepared;
    await assert.rejects(generation.open(), /EMFILE/);
    await generation.kill();
  });

  test('says so when the system starts no process for it, and does not wait for the end of one', async () => {
    const { generation, forked } = generationOf({ fork: () => new FakeProcess(undefined) });
    const prepared = generation.prepare();
    forked[0]!.emit('error', new Error('spawn EAGAIN'));
    await assert.rejects(prepared, /EAGAIN/);
    await generation.kill();
    assert.equal(generation.phase, 'gone');
  });

  test('tries again to fork a worker for one that has died, until the system lets it', async () => {
    const fork = (times: number) => new FakeProcess(times === 2 ? undefined : times);
    const { generation, forked, forks, owner } = await serving({ fork });

    forked[0]!.emit('exit', null, 'SIGKILL');
    const again = once(forks, 'fork');
    forked[1]!.emit('error', new Error('spawn EAGAIN'));
    await again;

    built(forked[2]!);
    accepting(forked[2]!);
    assert.equal(generation.member(0)?.state, 'ready');
    assert.equal(owner.restarts, 2);
    await generation.kill();
  });

  test('tries again when a fork throws', async () => {
    let isFull = false;
    const fork = (times: number) => {
      if (isFull) {
        isFull = false;
        throw new Error('spawn ENOMEM');
      }
      return new FakeProcess(times);
    };
    const { generation, forked, forks } = await serving({ fork });

    isFull = true;
    const again = once(forks, 'fork');
    forked[0]!.emit('exit', null, 'SIGKILL');
    await again;

    assert.equal(isFull, false);
    assert.equal(generation.member(0)?.pid, 2);
    await generation.kill();
  });

  test('replaces a worker for which there are no descriptors left', async () => {
    let grants = 0;
    const { generation, forked, forks } = await serving({
      grant: () => (++grants === 2 ? noFiles() : []),
    });

    forked[0]!.emit('exit', null, 'SIGKILL');
    const again = once(forks, 'fork');
    built(forked[1]!);
    await again;

    built(forked[2]!);
    accepting(forked[2]!);
    assert.equal(generation.member(0)?.state, 'ready');
    await generation.kill();
  });

  test('pays no attention to what a program sends over the channel', async () => {
    const { generation, forked } = await serving();
    for (const message of [null, 'text', 7, [], {}, { kind: 'nonsense' }])
      forked[0]!.emit('message', message);
    assert.equal(generation.member(0)?.state, 'ready');
    await generation.kill();
  });
});
