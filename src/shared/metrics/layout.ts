/**
 * Which slot of a worker's metrics row counts what. A function of the names
 * alone, so supervisor and workers come to the same answer.
 */
import { errorCodes } from '../errors/catalog.ts';
import type { Plan } from '../ipc/plan.ts';
import { DURATION_BUCKETS } from './buckets.ts';
import { seriesOf, slotsPerSeries, type MetricSpec } from './spec.ts';

/** Slots of the process itself, before those of services and upstreams. */
export const ProcessSlot = {
  residentBytes: 0,
  cpuSeconds: 1,
  eventLoopDelay: 2,
  /** Of a worker: the number of its slot plus 1; 0 in a row that no process has. */
  worker: 3,
  /** Index into `WORKER_STATES`. */
  state: 4,
  /** Workers replaced; only in the base row, where the supervisor counts them. */
  restarts: 5,
  /** Grows once a second, by a timer: a worker where it does not is stuck. */
  beats: 6,
} as const;
const PROCESS_SLOTS = 7;

/** `waiting` is a slot without a process. */
export const WORKER_STATES = ['starting', 'ready', 'waiting', 'draining'] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

/** Slots of a service, relative to its first. */
export const ServiceSlot = {
  inFlight: 0,
  connectionsOpen: 1,
  connectionsAccepted: 2,
  requestBytes: 3,
  responseBytes: 4,
  limitAllowed: 5,
  limitRefused: 6,
  durationSum: 7,
  refusedFull: 8,
  refusedPerClient: 9,
  handshakesDone: 10,
  handshakesFailed: 11,
  subrequests: 12,
  durations: 13,
  /** Then one for each error code, then one for each status from 0 (nobody was there to answer) to 599. */
  errors: 13 + DURATION_BUCKETS.length + 1,
  statuses: 13 + DURATION_BUCKETS.length + 1 + errorCodes.length,
} as const;
const STATUSES = 600;
const SERVICE_SLOTS = ServiceSlot.statuses + STATUSES;

/** Slots of an upstream, relative to its first. */
export const UpstreamSlot = { opened: 0, reused: 1, retried: 2, ejected: 3 } as const;
const UPSTREAM_SLOTS = 4;

export interface Names {
  readonly services: readonly string[];
  readonly upstreams: readonly string[];
  /** Metrics of the program itself. */
  readonly program?: readonly MetricSpec[];
}

/** Where a metric of the program is. */
export interface ProgramPlace {
  readonly spec: MetricSpec;
  /** Its first slot. */
  readonly start: number;
  /** The first row in the label table of each of its labels; of no use for those with known values. */
  readonly labelStarts: readonly number[];
}

export interface Section {
  readonly name: string;
  readonly start: number;
  /** Slots. */
  readonly length: number;
}

export class MetricsLayout {
  readonly services: readonly string[];
  readonly upstreams: readonly string[];
  readonly program: readonly ProgramPlace[];
  readonly slots: number;
  /** Rows of the label table. */
  readonly labelRows: number;

  constructor({ services, upstreams, program = [] }: Names) {
    this.services = services;
    this.upstreams = upstreams;
    let slots = PROCESS_SLOTS + services.length * SERVICE_SLOTS + upstreams.length * UPSTREAM_SLOTS;
    let labelRows = 0;
    this.program = program.map((spec) => {
      const start = slots;
      slots += seriesOf(spec) * slotsPerSeries(spec);
      const labelStarts = spec.labels.map((label) => {
        const first = labelRows;
        labelRows += 'max' in label ? label.max : 0;
        return first;
      });
      return { spec, start, labelStarts };
    });
    this.slots = slots;
    this.labelRows = labelRows;
  }

  static of({ services, upstreams, metrics }: Plan): MetricsLayout {
    return new MetricsLayout({
      services: services.map(({ name }) => name),
      upstreams: upstreams.map(({ name }) => name),
      program: metrics,
    });
  }

  /** The one that `contents` was taken from; only this release's: figures of others may be elsewhere. */
  static from(contents: string): MetricsLayout {
    const [services, upstreams, program] = JSON.parse(contents) as [
      string[],
      string[],
      MetricSpec[],
    ];
    return new MetricsLayout({ services, upstreams, program });
  }

  /** Equal for layouts that have the same figure in every slot. */
  get contents(): string {
    const program = this.program.map(({ spec }) => spec);
    return JSON.stringify([this.services, this.upstreams, program, errorCodes.length]);
  }

  /** Equal for layouts that have the same label in every row of the label table. */
  get labelContents(): string {
    return JSON.stringify(
      this.program
        .filter(({ spec }) => hasOpenLabel(spec))
        .map(({ spec }) => [spec.name, spec.labels]),
    );
  }

  /**
   * What is counted where, by name. Sections of one name in two layouts count the
   * same: those of the program carry all that it says about a metric.
   */
  get sections(): readonly Section[] {
    return [
      { name: 'process', start: 0, length: PROCESS_SLOTS },
      ...this.services.map((name) => ({
        name: `service ${name}`,
        start: this.serviceStart(name),
        length: SERVICE_SLOTS,
      })),
      ...this.upstreams.map((name) => ({
        name: `upstream ${name}`,
        start: this.upstreamStart(name)!,
        length: UPSTREAM_SLOTS,
      })),
      ...this.program.map(({ spec, start }) => ({
        name: `program ${JSON.stringify(spec)}${hasOpenLabel(spec) ? this.labelContents : ''}`,
        start,
        length: seriesOf(spec) * slotsPerSeries(spec),
      })),
    ];
  }

  serviceStart(name: string): number {
    const index = this.services.indexOf(name);
    if (index < 0) throw new Error(`no figures are kept for a service "${name}"`);
    return PROCESS_SLOTS + index * SERVICE_SLOTS;
  }

  /** `undefined`: a peer that belongs to no balancer. */
  upstreamStart(name: string): number | undefined {
    const index = this.upstreams.indexOf(name);
    if (index < 0) return undefined;
    return PROCESS_SLOTS + this.services.length * SERVICE_SLOTS + index * UPSTREAM_SLOTS;
  }

  /** Slots that say how things are now: they end with their process and are not added to totals. */
  get passingSlots(): ReadonlySet<number> {
    const slots = new Set<number>(Object.values(ProcessSlot));
    slots.delete(ProcessSlot.cpuSeconds);
    slots.delete(ProcessSlot.restarts);
    for (const name of this.services) {
      const start = this.serviceStart(name);
      slots.add(start + ServiceSlot.inFlight).add(start + ServiceSlot.connectionsOpen);
    }
    for (const { spec, start } of this.program) {
      if (spec.kind !== 'gauge') continue;
      for (let series = 0; series < seriesOf(spec); series++) slots.add(start + series);
    }
    return slots;
  }
}

/** For each slot of `layout` the one of `older` that counts the same; -1 where there is none. */
export function slotsIn(older: MetricsLayout, layout: MetricsLayout): Int32Array {
  const slots = new Int32Array(layout.slots).fill(-1);
  const starts = new Map(older.sections.map(({ name, start }) => [name, start]));
  for (const { name, start, length } of layout.sections) {
    const there = starts.get(name);
    for (let at = 0; there !== undefined && at < length; at++) slots[start + at] = there + at;
  }
  return slots;
}

/** One whose values are not known before they are seen. */
function hasOpenLabel({ labels }: MetricSpec): boolean {
  return labels.some((label) => 'max' in label);
}
