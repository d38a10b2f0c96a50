/**
 * A named piece of memory that supervisor and workers share.
 *
 * A header of 64 bytes, then the table, little endian:
 *
 *   offset  type  field                        written by
 *        0  u32   magic, "SLCE"                whoever creates it, before it is given away
 *        4  u32   layout version of the table  the same
 *        8  f64   size in bytes, all included  the same
 *       16  u32×2 seed for the table's hashes  the same: random, so that clients cannot
 *                                              choose keys that collide, and in the
 *                                              segment, so that an upgrade keeps them
 *       24  i32   evictions of rows that were still in use   any worker, by atomic add
 *       28  u32   id of the process that created it          whoever creates it
 *       32  i32   refusals of a limit, modulo 2^32           any worker, by atomic add
 */
import { randomBytes } from 'node:crypto';
import type { Libc } from './libc.ts';

export interface SegmentSpec {
  readonly name: string;
  /** Of the table inside; tables with another layout are not compatible. */
  readonly layout: number;
  /** Bytes of the table, without the header. */
  readonly size: number;
  /**
   * What its rows are about where that is not fixed by the layout, such as the rate
   * of a limit: a table about something else has to be converted.
   */
  readonly contents?: string;
}

/** Whether a table may go on in another generation as it is. */
export function isSameTable(one: SegmentSpec, other: SegmentSpec): boolean {
  return (
    one.name === other.name &&
    one.layout === other.layout &&
    one.size === other.size &&
    one.contents === other.contents
  );
}

export interface Segment extends SegmentSpec {
  readonly buffer: ArrayBufferLike;
  /** Where the table begins in the buffer. */
  readonly offset: number;
  /** Absent where memory is not shared between processes. */
  readonly fd: number | undefined;
}

export const HEADER_BYTES = 64;
const MAGIC = 0x45434c53;

/** New and zeroed. Without libc it belongs to this process alone. */
export function createSegment(spec: SegmentSpec, libc: Libc | undefined): Segment {
  const total = HEADER_BYTES + spec.size;
  const fd = libc?.createMemory(spec.name, total);
  const buffer =
    libc === undefined || fd === undefined
      ? new SharedArrayBuffer(total)
      : libc.mapMemory(fd, total);
  const header = new DataView(buffer);
  header.setUint32(0, MAGIC, true);
  header.setUint32(4, spec.layout, true);
  header.setFloat64(8, total, true);
  new Uint8Array(buffer).set(randomBytes(8), 16);
  header.setUint32(28, process.pid, true);
  return { ...spec, buffer, offset: HEADER_BYTES, fd };
}

/**
 * One that another process has created.
 *
 * @throws {Error} the memory behind the descriptor is not that segment
 */
export function mapSegment(spec: SegmentSpec, fd: number, libc: Libc): Segment {
  const total = HEADER_BYTES + spec.size;
  const buffer = libc.mapMemory(fd, total);
  const header = new DataView(buffer);
  const found = [header.getUint32(0, true), header.getUint32(4, true), header.getFloat64(8, true)];
  const expected = [MAGIC, spec.layout, total];
  if (found.some((value, at) => value !== expected[at])) {
    throw new Error(
      `segment "${spec.name}": expected magic, layout and size ${expected.join(', ')}, got ${found.join(', ')}`,
    );
  }
  return { ...spec, buffer, offset: HEADER_BYTES, fd };
}

/** The two halves of the seed. */
export function seedOf({ buffer }: Segment): readonly [number, number] {
  const header = new DataView(buffer);
  return [header.getInt32(16, true), header.getInt32(20, true)];
}

/** Before anybody uses the second one: its table will hold hashes of the first one's. */
export function copySeed(from: Segment, to: Segment): void {
  new Uint8Array(to.buffer).set(new Uint8Array(from.buffer, 16, 8), 16);
}

/** The process that created it, which may be a predecessor of long ago; undefined if its release did not say. */
export function makerOf({ buffer }: Segment): number | undefined {
  return new DataView(buffer).getUint32(28, true) || undefined;
}

/** Of the header: how often a table had to give up a row in use. */
export function evictionsOf({ buffer }: Segment): Int32Array {
  return new Int32Array(buffer, 24, 1);
}

/** Of the header: how often a limit has refused. */
export function refusalsOf({ buffer }: Segment): Int32Array {
  return new Int32Array(buffer, 32, 1);
}
