import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { metricsTableSize } from '../../../../src/shared/memory/metrics-table.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { MetricsLayout, ServiceSlot } from '../../../../src/shared/metrics/layout.ts';
import { Ledger, type Book } from '../../../../src/supervisor/workers/ledger.ts';

const { connectionsAccepted, inFlight } = ServiceSlot;

function bookOf(ledger: Ledger, ...services: string[]): Book {
  const layout = new MetricsLayout({ services, upstreams: [] });
  const size = metricsTableSize(4, layout.slots);
  return ledger.bookFor(createSegment({ name: 'metrics', layout: 1, size }, undefined), layout);
}

function count(book: Book, row: number, service: string, amount: number): void {
  const start = book.layout.serviceStart(service);
  book.table.rowView(row)[start + connectionsAccepted]! += amount;
  book.table.rowView(row)[start + inFlight]! += 1;
}

function total(ledger: Ledger, service: string, slot: number = connectionsAccepted): number {
  return ledger.sum(ledger.current!.layout.serviceStart(service) + slot);
}

describe('the ledger', () => {
  test('keeps the totals of processes that have ended, and forgets what they were doing', () => {
    const ledger = new Ledger();
    const book = bookOf(ledger, 'edge');
    ledger.turnTo(book);
    const row = ledger.claim(book);
    count(book, row, 'edge', 3);

    ledger.end(book, row);

    assert.equal(total(ledger, 'edge'), 3);
    assert.equal(total(ledger, 'edge', inFlight), 0);
    assert.equal(ledger.claim(book), row);
  });

  test('carries totals over to a generation that counts other things, by name', () => {
    const ledger = new Ledger();
    const old = bookOf(ledger, 'edge', 'gone');
    ledger.turnTo(old);
    const [ended, alive] = [ledger.claim(old), ledger.claim(old)];
    count(old, ended, 'edge', 1);
    ledger.end(old, ended);
    count(old, alive, 'edge', 10);
    count(old, alive, 'gone', 1_000);

    const next = bookOf(ledger, 'new', 'edge');
    ledger.turnTo(next);
    count(next, ledger.claim(next), 'edge', 100);

    assert.equal(total(ledger, 'edge'), 111);
    assert.equal(total(ledger, 'edge', inFlight), 2);
    assert.equal(total(ledger, 'new'), 0);
    ledger.end(old, alive);
    assert.equal(total(ledger, 'edge'), 111);
    assert.equal(total(ledger, 'edge', inFlight), 1);
  });

  test('can turn back, and counts nothing twice', () => {
    const ledger = new Ledger();
    const old = bookOf(ledger, 'edge');
    ledger.turnTo(old);
    count(old, ledger.claim(old), 'edge', 1);
    const failed = bookOf(ledger, 'edge', 'more');
    ledger.turnTo(failed);
    const row = ledger.claim(failed);
    count(failed, row, 'edge', 10);

    ledger.turnTo(ledger.bookFor(old.segment, old.layout));
    assert.equal(total(ledger, 'edge'), 11);
    ledger.end(failed, row);
    assert.equal(total(ledger, 'edge'), 11);
  });

  test('takes over the rows of a supervisor that was killed with its workers', () => {
    const { pid: dead } = spawnSync(process.execPath, ['-e', '']);
    const ledger = new Ledger();
    const book = bookOf(ledger, 'edge');
    for (let row = 1; row < book.table.rows; row++) {
      book.table.claim(dead);
      book.table.assign(row, row === 1 ? process.pid : dead);
      count(book, row, 'edge', 1);
    }

    ledger.turnTo(book);
    const own = ledger.claim(book);

    assert.equal(own, 2, 'the first one is of a worker that lives on');
    assert.equal(total(ledger, 'edge'), 3);
    assert.equal(total(ledger, 'edge', inFlight), 1);
  });

  test('has a row for each process, and says so when there is none left', () => {
    const ledger = new Ledger();
    const book = bookOf(ledger, 'edge');
    ledger.turnTo(book);

    assert.deepEqual([ledger.claim(book), ledger.claim(book), ledger.claim(book)], [1, 2, 3]);
    for (const [row, pid] of [33, 11, 22].entries()) ledger.assign(book, row + 1, pid);
    assert.throws(() => ledger.claim(book), {
      message:
        'no free metrics row: processes 11, 22, 33 have them; wait until some of them have ended, or end those that should have',
    });
  });
});
