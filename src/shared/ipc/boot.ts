/**
 * What every worker of a generation must know before its first line of program
 * runs: the checked configuration and the segments to map. The supervisor puts
 * it into a file without a name that the workers inherit, so that it can be read
 * synchronously, and so that a worker forked later sees what its siblings saw
 * even if the configuration file was edited since.
 */
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceSettings, Settings } from '../config/settings.ts';

/** The first descriptor after stdin, stdout, stderr and the channel. */
export const BOOT_FD = 4;

export interface SegmentGrant {
  readonly name: string;
  readonly layout: number;
  readonly size: number;
  /** The number it has in the worker; absent where there is no shared memory. */
  readonly fd: number | undefined;
}

/** What a worker needs to know of a service beyond what its program says. */
export type BootService = Pick<
  ServiceSettings,
  'name' | 'limits' | 'timeouts' | 'retry' | 'trusted_proxies' | 'paths' | 'forwarded' | 'via'
>;

export interface Boot {
  readonly settings: Settings;
  /** Top-level keys of the file that are not Sluice's. */
  readonly user: Readonly<Record<string, unknown>>;
  readonly services: readonly BootService[];
  readonly upstreams: readonly string[];
  readonly segments: readonly SegmentGrant[];
}

/** @returns a descriptor of the file; the caller closes it */
export function writeBoot(boot: Boot): number {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-boot-'));
  const path = join(folder, 'boot.json');
  const writer = openSync(path, 'wx', 0o600);
  try {
    const text = Buffer.from(JSON.stringify(boot));
    for (let at = 0; at < text.length;) at += writeSync(writer, text, at);
    return openSync(path, 'r');
  } finally {
    closeSync(writer);
    unlinkSync(path);
    rmdirSync(folder);
  }
}

let read: Boot | undefined;

/** In a worker: what the supervisor wrote. */
export function readBoot(): Boot {
  if (read === undefined) {
    const bytes = Buffer.alloc(fstatSync(BOOT_FD).size);
    // With a position of its own for each read: the descriptor's is shared by all workers.
    for (let at = 0; at < bytes.length;) {
      at += readSync(BOOT_FD, bytes, at, bytes.length - at, at);
    }
    read = JSON.parse(bytes.toString('utf8')) as Boot;
  }
  return read;
}
