/**
 * A worker among others at buckets that are full of keys: in each round a table of
 * a single bucket, to which passers-by come and keys that come again and again.
 * The segment, descriptor 4, has a table for each round, and then a word for each
 * to wait at.
 */
import { openLibc } from '../../../../../src/shared/memory/libc.ts';
import { LimitTable, limitTableSize } from '../../../../../src/shared/memory/limit-table.ts';
import { mapSegment } from '../../../../../src/shared/memory/segment.ts';
import { BURST, COST, REGULARS, type CrowdOrder } from './crowd-order.ts';

const TRIES = 6;
const NOW = 7e12;

process.once('message', ({ spec, rounds, workers }: CrowdOrder) => {
  const libc = openLibc();
  if ('unavailable' in libc) throw new Error(libc.unavailable);
  const segment = mapSegment(spec, 4, libc);
  const size = limitTableSize(1);
  const doors = new Int32Array(segment.buffer, segment.offset + rounds * size, rounds);
  const admitted: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    const offset = segment.offset + round * size;
    const policy = { count: 1, perMs: 3_600_000, burst: BURST };
    const table = new LimitTable({ ...segment, offset, size }, policy);
    waitFor(doors, round, workers);
    admitted.push(spend(table, round));
  }
  process.send!({ admitted }, () => process.disconnect());
});
process.send!({ ready: true });

/** Not for ever: without the others there is only less of a crowd. */
function waitFor(doors: Int32Array, round: number, workers: number): void {
  Atomics.add(doors, round, 1);
  for (let spins = 0; spins < 20_000 && Atomics.load(doors, round) < workers; spins++);
}

function spend(table: LimitTable, round: number): number[] {
  const admitted = REGULARS.map(() => 0);
  for (let nth = 0; nth < TRIES; nth++) {
    for (const [at, regular] of REGULARS.entries()) {
      table.take(`passer-by ${process.pid} ${round} ${nth} ${at}`, NOW);
      if (table.take(regular, NOW, COST)) admitted[at]! += 1;
    }
  }
  return admitted;
}
