/** A worker that spends one key's allowance as fast as it can: the segment is descriptor 4. */
import { openLibc } from '../../../../../src/shared/memory/libc.ts';
import { LimitTable } from '../../../../../src/shared/memory/limit-table.ts';
import { mapSegment, type SegmentSpec } from '../../../../../src/shared/memory/segment.ts';

interface Order {
  readonly spec: SegmentSpec;
  readonly burst: number;
  readonly nowNs: number;
  readonly tries: number;
}

process.once('message', ({ spec, burst, nowNs, tries }: Order) => {
  const libc = openLibc();
  if ('unavailable' in libc) throw new Error(libc.unavailable);
  const table = new LimitTable(mapSegment(spec, 4, libc), { count: 1, perMs: 3_600_000, burst });
  let admitted = 0;
  for (let nth = 0; nth < tries; nth++) if (table.take('the key', nowNs)) admitted += 1;
  process.send!({ admitted }, () => process.disconnect());
});
process.send!({ ready: true });
