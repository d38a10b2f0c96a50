/** A process that claims rows for values as fast as it can: the segment is descriptor 4. */
import { LabelTable } from '../../../../../src/shared/memory/label-table.ts';
import { openLibc } from '../../../../../src/shared/memory/libc.ts';
import { mapSegment, type SegmentSpec } from '../../../../../src/shared/memory/segment.ts';

interface Order {
  readonly spec: SegmentSpec;
  readonly rows: number;
  readonly values: readonly string[];
}

process.once('message', ({ spec, rows, values }: Order) => {
  const libc = openLibc();
  if ('unavailable' in libc) throw new Error(libc.unavailable);
  const table = new LabelTable(mapSegment(spec, 4, libc));
  const claimed = values.map((value) => table.claim({ start: 0, rows }, value) ?? -1);
  process.send!({ claimed }, () => process.disconnect());
});
process.send!({ ready: true });
