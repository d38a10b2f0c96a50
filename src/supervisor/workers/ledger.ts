/**
 * The figures of all generations. Each generation counts by its own layout; where
 * a reload changes that, the totals are carried over by name, and what workers of
 * older generations still count is added when somebody asks.
 */
import { isAlive } from '../../shared/process/process-age.ts';
import { MetricsTable } from '../../shared/memory/metrics-table.ts';
import type { Segment } from '../../shared/memory/segment.ts';
import { slotsIn, type MetricsLayout } from '../../shared/metrics/layout.ts';

/** The table of one or several generations that count alike. */
export interface Book {
  readonly segment: Segment;
  readonly layout: MetricsLayout;
  readonly table: MetricsTable;
  /** Say how things are now, and mean nothing after their process. */
  readonly passingSlots: ReadonlySet<number>;
}

export class Ledger {
  #current: Book | undefined;
  /** Books with rows in use, each with the slot that it has for each of the current one's; -1 for none. */
  readonly #older = new Map<Book, Int32Array>();

  /** What it turned to last. */
  get current(): Book | undefined {
    return this.#current;
  }

  /** The one that counts in that memory; a new one, for `turnTo`, if there is none. */
  bookFor(segment: Segment, layout: MetricsLayout): Book {
    const known = [...this.#older.keys(), this.#current].find((book) => book?.segment === segment);
    if (known !== undefined) return known;
    const { passingSlots } = layout;
    return { segment, layout, table: new MetricsTable(segment, layout.slots), passingSlots };
  }

  /** New generations count there; the totals of the one before move over. */
  turnTo(book: Book): void {
    const before = this.#current;
    if (book === before) return;
    this.#current = book;
    this.#older.delete(book);
    if (before === undefined) return;
    this.#older.set(before, NOWHERE);
    for (const older of this.#older.keys())
      this.#older.set(older, slotsIn(older.layout, book.layout));
    this.#fold(before, 0);
    this.#drop();
  }

  /** @throws {Error} more processes are alive than a fleet can have */
  claim({ table }: Book): number {
    const free = () => table.claim(process.pid);
    const row = free() ?? (this.reap(), free());
    if (row === undefined)
      throw new Error(
        `no free metrics row: processes ${holdersOf(table)} have them; wait until some of them have ended, or end those that should have`,
      );
    return row;
  }

  /** That process has the row. */
  assign({ table }: Book, row: number, pid: number): void {
    table.assign(row, pid);
  }

  /**
   * Takes over the rows of supervisors that were killed: nobody else would ever let
   * them go. Their workers may live on for a while; those keep theirs.
   */
  reap(): void {
    for (const book of [this.#current, ...this.#older.keys()]) {
      for (let row = 1; book !== undefined && row < book.table.rows; row++) {
        const owner = book.table.ownerOf(row);
        if (owner === undefined || owner.supervisorPid === process.pid) continue;
        if (!runs(owner.supervisorPid) && !runs(owner.pid)) this.end(book, row);
      }
    }
  }

  /** The process that had the row has ended. */
  end(book: Book, row: number): void {
    this.#fold(book, row);
    this.#drop();
  }

  /** Adds to a total. */
  add(slot: number, amount: number): void {
    this.#current?.table.addToBase(slot, amount);
  }

  /** Over all processes there are and were; the slot is of the current layout. */
  sum(slot: number): number {
    let total = this.#current?.table.sum(slot) ?? 0;
    for (const [{ table }, slots] of this.#older) {
      const there = slots[slot] ?? -1;
      if (there >= 0) total += table.sum(there);
    }
    return total;
  }

  /** Of the generation that serves. */
  rowView(row: number): Float64Array {
    if (this.#current === undefined) throw new Error('nothing is counted yet');
    return this.#current.table.rowView(row);
  }

  #fold(book: Book, row: number): void {
    const { table, passingSlots } = book;
    const slots = this.#older.get(book);
    if (slots === undefined) return table.fold(row, passingSlots);
    const figures = table.rowView(row);
    for (const [slot, there] of slots.entries()) {
      if (there >= 0 && figures[there] !== 0 && !passingSlots.has(there))
        this.add(slot, figures[there]!);
    }
    table.release(row);
  }

  /** Books that nobody counts in any more. */
  #drop(): void {
    for (const book of this.#older.keys()) {
      let isUsed = false;
      for (let row = 1; row < book.table.rows; row++)
        isUsed ||= book.table.ownerOf(row) !== undefined;
      if (!isUsed) this.#older.delete(book);
    }
  }
}

/** Process ids, of the supervisor where its worker is not forked yet. */
function holdersOf(table: MetricsTable): string {
  const pids = new Set<number>();
  for (let row = 1; row < table.rows; row++) {
    const owner = table.ownerOf(row);
    if (owner !== undefined) pids.add(owner.pid || owner.supervisorPid);
  }
  return [...pids].toSorted((a, b) => a - b).join(', ');
}

const NOWHERE = new Int32Array(0);

/** @param pid 0: nobody's */
function runs(pid: number): boolean {
  return pid !== 0 && isAlive(pid);
}
