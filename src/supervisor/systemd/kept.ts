/**
 * Sockets and memory that the service manager passes to us: those it has opened
 * for a listener of the configuration (socket activation), and those it kept for
 * us from a process of ours that is gone (FD store). The latter have names that
 * say what they are:
 *
 *   sluice.socket,SLOT,KEY                         a socket of an address
 *   sluice.memory,LAYOUT,SIZE,NAME[,CONTENTS]      a segment
 */
import { existsSync } from 'node:fs';
import { showPlace, type Place } from '../../shared/ipc/place.ts';
import type { ListenAddress } from '../../shared/ipc/plan.ts';
import type { Log } from '../../shared/log/log.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import { LABELS_SEGMENT, METRICS_SEGMENT } from '../../shared/memory/segments.ts';
import type { Inheritance, InheritedSegment, InheritedSockets } from '../inheritance.ts';
import { addressKeys } from '../listeners/sockets.ts';
import type { PassedDescriptor } from './passed-sockets.ts';
import type { ServiceManager } from './service-manager.ts';

/** Of FDNAME in systemd. */
const MAX_NAME_LENGTH = 255;

type Descriptors = Pick<Libc, 'listeningPlace' | 'close'>;

export interface KeptParts {
  readonly listen: readonly ListenAddress[];
  readonly libc: Descriptors;
  readonly log: Log;
}

/** @returns undefined if nothing that was passed is of use; what is not, is closed */
export function inheritPassed(
  passed: readonly PassedDescriptor[],
  { listen, libc, log }: KeptParts,
): Inheritance | undefined {
  const sockets = new Map<string, { key: string; place: Place; fds: number[] }>();
  const segments: InheritedSegment[] = [];
  const unused: string[] = [];
  const add = (key: string, place: Place, fd: number) => {
    const known = sockets.get(key);
    if (known === undefined) sockets.set(key, { key, place, fds: [fd] });
    else known.fds.push(fd);
  };
  // By slot, since the kernel spreads connections over sockets by the order they began in.
  for (const { name, fd } of passed.toSorted((a, b) => slotIn(a.name) - slotIn(b.name))) {
    const memory = readMemoryName(name);
    const place = libc.listeningPlace(fd);
    const key = readSocketName(name) ?? (place && keyFor(place, name, listen));
    if (memory !== undefined) segments.push({ ...memory, fd });
    else if (place !== undefined && key !== undefined && isReachable(place))
      add(key, withMode(place, key, listen), fd);
    else {
      unused.push(
        `${name}${place === undefined ? '' : ` (${showPlace(withMode(place, '', []))})`}`,
      );
      libc.close(fd);
    }
  }
  if (unused.length > 0)
    log.warn({ unused }, 'the service manager passed descriptors that no listener wants; closed');
  if (sockets.size === 0 && segments.length === 0) return undefined;
  log.info(
    { sockets: [...sockets.keys()], segments: segments.map(({ name }) => name) },
    'taken over from the service manager',
  );
  return { sockets: [...sockets.values()], segments };
}

type Found = { host: string; port: number } | { path: string };

/** The address that the socket has, or else that of the service that has the socket's name. */
function keyFor(found: Found, name: string, listen: readonly ListenAddress[]): string | undefined {
  const keys = addressKeys(listen);
  const at = listen.findIndex(({ place }) => isSame(place, found));
  if (at >= 0) return keys[at];
  return keys[listen.findIndex(({ service }) => service === name)];
}

function isSame(wanted: Place, found: Found): boolean {
  if ('path' in wanted || 'path' in found)
    return 'path' in wanted && 'path' in found && wanted.path === found.path;
  const host = wanted.host === 'localhost' ? '127.0.0.1' : wanted.host;
  return host === found.host && wanted.port === found.port;
}

/** A Unix socket whose file was removed, as we do at an orderly end, is one that nobody can connect to. */
function isReachable(place: Found): boolean {
  return !('path' in place) || existsSync(place.path);
}

function withMode(found: Found, key: string, listen: readonly ListenAddress[]): Place {
  if (!('path' in found)) return found;
  const wanted = listen[addressKeys(listen).indexOf(key)]?.place;
  return { ...found, mode: wanted !== undefined && 'path' in wanted ? wanted.mode : 0 };
}

const SOCKET_NAME = /^sluice\.socket,(\d+),([^,]+)$/;
const MEMORY_NAME = /^sluice\.memory,(\d+),(\d+),([^,]+)(?:,([^,]+))?$/;
/** Counted for processes that are gone by then: they begin anew, as Prometheus expects of a restart. */
const FIGURES: ReadonlySet<string> = new Set([METRICS_SEGMENT, LABELS_SEGMENT]);

function slotIn(name: string): number {
  return Number(SOCKET_NAME.exec(name)?.[1] ?? 0);
}

/** Names of ours only; but who knows what a predecessor of another release called its own. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function readSocketName(name: string): string | undefined {
  const key = SOCKET_NAME.exec(name)?.[2];
  return key === undefined ? undefined : decoded(key);
}

function readMemoryName(name: string): Omit<InheritedSegment, 'fd'> | undefined {
  const [, layout, size, segment, contents] = MEMORY_NAME.exec(name) ?? [];
  if (segment === undefined) return undefined;
  return {
    name: decoded(segment),
    layout: Number(layout),
    size: Number(size),
    ...(contents !== undefined && { contents: decoded(contents) }),
  };
}

type Keeper = Pick<ServiceManager, 'store' | 'unstore'>;

/** What the service manager keeps for us, brought up to date. */
export class DescriptorStore {
  readonly #manager: Keeper;
  #stored = new Map<string, number>();

  /** @param passed what it has kept so far */
  constructor(manager: Keeper, passed: readonly PassedDescriptor[]) {
    this.#manager = manager;
    this.#stored = new Map(
      passed.filter(({ name }) => name.startsWith('sluice.')).map(({ name, fd }) => [name, fd]),
    );
  }

  /** What a predecessor handed over to us is what it had stored. */
  assume(inheritance: Inheritance): void {
    this.#stored = namesOf(inheritance);
  }

  keep(inventory: Inheritance): void {
    const wanted = namesOf(inventory);
    for (const name of this.#stored.keys()) {
      if (!wanted.has(name)) this.#manager.unstore(name);
    }
    for (const [name, fd] of wanted) {
      if (this.#stored.get(name) === fd) continue;
      if (this.#stored.has(name)) this.#manager.unstore(name);
      this.#manager.store(name, [fd]);
    }
    this.#stored = wanted;
  }
}

function namesOf({ sockets, segments }: Inheritance): Map<string, number> {
  const tables = segments.filter(({ name }) => !FIGURES.has(name));
  const named = [...sockets.flatMap(socketNames), ...tables.map(memoryName)];
  return new Map(named.filter(([name]) => name.length <= MAX_NAME_LENGTH));
}

function socketNames({ key, fds }: InheritedSockets): [string, number][] {
  return fds.map((fd, slot) => [`sluice.socket,${slot},${encodeURIComponent(key)}`, fd]);
}

function memoryName({ name, layout, size, contents, fd }: InheritedSegment): [string, number] {
  const parts = [layout, size, encodeURIComponent(name)];
  if (contents !== undefined) parts.push(encodeURIComponent(contents));
  return [`sluice.memory,${parts.join(',')}`, fd];
}
