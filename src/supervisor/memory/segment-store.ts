/**
 * The shared segments, by name. A generation of workers goes on with a table of
 * the one before it wherever both mean the same by it; else it gets a new one.
 */
import type { Libc } from '../../shared/memory/libc.ts';
import {
  createSegment,
  isSameTable,
  mapSegment,
  type Segment,
  type SegmentSpec,
} from '../../shared/memory/segment.ts';
import type { InheritedSegment } from '../inheritance.ts';

export class SegmentStore {
  readonly #libc: Libc | undefined;
  /** The newest of each name. */
  #current: readonly Segment[] = [];
  /** From a predecessor, not asked for yet. */
  #inherited: readonly InheritedSegment[];

  /** @param inherited are ours from now on; `retain` closes those that nobody has asked for */
  constructor(libc: Libc | undefined, inherited: readonly InheritedSegment[] = []) {
    this.#libc = libc;
    this.#inherited = inherited;
  }

  /** @throws {Error} there is no memory for them, or an inherited one is not what it is said to be */
  prepare(specs: readonly SegmentSpec[]): GenerationSegments {
    return new GenerationSegments(specs.map((spec) => this.#kept(spec) ?? this.#made(spec)));
  }

  /** That generation serves from now on; what nobody uses any more is closed. */
  retain({ list }: GenerationSegments): void {
    this.#current = list;
    for (const { fd } of this.#inherited) {
      if (!list.some((segment) => segment.fd === fd)) this.#libc?.close(fd);
    }
    this.#inherited = [];
  }

  /** For a successor; the descriptors stay ours. */
  get inventory(): InheritedSegment[] {
    return this.#current.flatMap(({ name, layout, size, contents, fd }) =>
      fd === undefined
        ? []
        : [{ name, layout, size, fd, ...(contents !== undefined && { contents }) }],
    );
  }

  #kept(spec: SegmentSpec): Segment | undefined {
    return this.#current.find((segment) => isSameTable(segment, spec)) ?? this.#adopted(spec);
  }

  #adopted(spec: SegmentSpec): Segment | undefined {
    const found = this.#inherited.find((segment) => isSameTable(segment, spec));
    if (found === undefined || this.#libc === undefined) return undefined;
    return mapSegment(spec, found.fd, this.#libc);
  }

  #made(spec: SegmentSpec): Segment {
    return createSegment(spec, this.#libc);
  }
}

/** The segments of one generation of workers. */
export class GenerationSegments {
  readonly list: readonly Segment[];

  constructor(list: readonly Segment[]) {
    this.list = list;
  }

  /** @throws {Error} the generation has no such segment */
  find(name: string): Segment {
    const segment = this.list.find((each) => each.name === name);
    if (segment === undefined) throw new Error(`there is no segment "${name}"`);
    return segment;
  }
}
