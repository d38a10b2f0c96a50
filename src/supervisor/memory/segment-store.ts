/**
 * The shared segments, by name. A generation of workers goes on with a table of
 * the one before it wherever both mean the same by it; else it gets a new one,
 * which is filled from the old one where that makes sense.
 */
import type { Libc } from '../../shared/memory/libc.ts';
import {
  copySeed,
  createSegment,
  isSameTable,
  makerOf,
  mapSegment,
  type Segment,
  type SegmentSpec,
} from '../../shared/memory/segment.ts';
import type { InheritedSegment } from '../inheritance.ts';
import type { SegmentStatus } from '../operations.ts';

/** Fills a new table from the one of that name that was there before. */
export type Fill = (from: Segment, to: Segment, isInherited: boolean) => void;

export class SegmentStore {
  readonly #libc: Libc | undefined;
  readonly #fill: Fill;
  /** Of the generation that serves. */
  #current: readonly Segment[] = [];
  /** From a predecessor; `retain` closes those that nobody has asked for. */
  #inherited: readonly InheritedSegment[];

  /** @param inherited are ours from now on */
  constructor(libc: Libc | undefined, fill: Fill, inherited: readonly InheritedSegment[] = []) {
    this.#libc = libc;
    this.#fill = fill;
    this.#inherited = inherited;
  }

  /**
   * @param anew names of those that are not kept in any case
   * @throws {Error} there is no memory for them, or an inherited one is not what it is said to be
   */
  prepare(specs: readonly SegmentSpec[], anew: readonly string[] = []): GenerationSegments {
    const generation = new GenerationSegments((fd) => this.#libc?.close(fd));
    try {
      for (const spec of specs) {
        const kept = this.#current.find((segment) => isSameTable(segment, spec));
        const before = kept ?? this.#before(spec.name);
        const mayKeep = before !== undefined && !anew.includes(spec.name);
        if (mayKeep && isSameTable(before, spec)) generation.keep(before);
        else this.#make(generation, spec, before);
      }
      return generation;
    } catch (thrown) {
      generation.undo();
      throw thrown;
    }
  }

  #before(name: string): Segment | undefined {
    const current = this.#current.find((segment) => segment.name === name);
    const inherited = this.#inherited.find((segment) => segment.name === name);
    if (current !== undefined || inherited === undefined || this.#libc === undefined)
      return current;
    return mapSegment(inherited, inherited.fd, this.#libc);
  }

  #make(generation: GenerationSegments, spec: SegmentSpec, before: Segment | undefined): void {
    const segment = createSegment(spec, this.#libc);
    // At once: workers read the seed when they build their tables, which are filled later.
    if (before !== undefined) copySeed(before, segment);
    const isInherited = before !== undefined && !this.#current.includes(before);
    generation.make(segment, () => before && this.#fill(before, segment, isInherited));
  }

  /** That generation serves; what it does not use is closed. */
  retain({ list }: GenerationSegments): void {
    for (const { fd } of [...this.#current, ...this.#inherited]) {
      if (fd !== undefined && !list.some((segment) => segment.fd === fd)) this.#libc?.close(fd);
    }
    this.#current = [...list];
    this.#inherited = [];
  }

  /** What operators are shown: the memory that is shared. */
  get status(): SegmentStatus[] {
    return this.#current
      .filter(({ fd }) => fd !== undefined)
      .map((segment) => ({ name: segment.name, size: segment.size, madeBy: makerOf(segment) }));
  }

  /** For a successor; the descriptors stay ours. */
  get inventory(): InheritedSegment[] {
    return this.#current.flatMap(({ name, layout, size, contents, fd }) =>
      fd === undefined
        ? []
        : [{ name, layout, size, fd, ...(contents !== undefined && { contents }) }],
    );
  }
}

/** The segments of one generation of workers. */
export class GenerationSegments {
  readonly list: Segment[] = [];
  readonly #close: (fd: number) => void;
  /** Those that are new, each with how to fill it. */
  readonly #made: { readonly segment: Segment; readonly fill: () => void }[] = [];

  constructor(close: (fd: number) => void) {
    this.#close = close;
  }

  keep(segment: Segment): void {
    this.list.push(segment);
  }

  make(segment: Segment, fill: () => void): void {
    this.list.push(segment);
    this.#made.push({ segment, fill });
  }

  /** Before anybody uses them: the new ones get what the old ones know. */
  fill(): void {
    for (const { fill } of this.#made) fill();
  }

  /** Of a generation that does not come up: what was made for it goes. */
  undo(): void {
    for (const { segment } of this.#made.splice(0))
      if (segment.fd !== undefined) this.#close(segment.fd);
  }

  /** @throws {Error} the generation has no such segment */
  find(name: string): Segment {
    const segment = this.list.find((each) => each.name === name);
    if (segment === undefined) throw new Error(`there is no segment "${name}"`);
    return segment;
  }
}
