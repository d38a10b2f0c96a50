/**
 * What every worker of a generation must know before its first line of program
 * runs: the checked configuration, certificates and keys, and the segments to
 * map. The supervisor puts it into memory that the workers inherit as a file, so
 * that it can be read synchronously, and so that a worker forked later sees what
 * its siblings saw even if a file was edited since.
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
import type { Libc } from '../memory/libc.ts';
import type { Plan } from './plan.ts';

/** The first descriptor after stdin, stdout, stderr and the channel. */
const BOOT_FD = 4;

export interface SegmentGrant {
  readonly name: string;
  readonly layout: number;
  readonly size: number;
  /** The number it has in the worker; absent where there is no shared memory. */
  readonly fd: number | undefined;
}

export interface Boot extends Plan {
  readonly segments: readonly SegmentGrant[];
}

/**
 * @param libc where there is one, keys never come near a disk
 * @returns a descriptor of the file; the caller closes it
 */
export function writeBoot(boot: Boot, libc: Libc | undefined): number {
  return writeFile('boot', Buffer.from(JSON.stringify(boot)), libc);
}

/** For a process that only checks the configuration; as `writeBoot`. */
export function writeCheckBoot(libc: Libc | undefined): number {
  return writeFile('check', Buffer.from(JSON.stringify(CHECK)), libc);
}

/** For what such a process has found, which may have keys in it; as `writeBoot`. */
export function writeEmptyFile(libc: Libc | undefined): number {
  return writeFile('verdict', Buffer.alloc(0), libc);
}

const CHECK = { check: true } as const;

function writeFile(name: string, text: Buffer, libc: Libc | undefined): number {
  if (libc === undefined) return writeNamelessFile(text);
  const fd = libc.createMemory(name, text.length);
  try {
    writeAll(fd, text);
    return fd;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

function writeNamelessFile(text: Buffer): number {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-boot-'));
  const path = join(folder, 'boot.json');
  const writer = openSync(path, 'wx', 0o600);
  try {
    writeAll(writer, text);
    return openSync(path, 'r+');
  } finally {
    closeSync(writer);
    unlinkSync(path);
    rmdirSync(folder);
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
}

let read: Boot | typeof CHECK | undefined;

/** In a forked process: whether it is to check the configuration and not to serve. */
export function isCheck(): boolean {
  return 'check' in readIt();
}

/** In a worker: what the supervisor wrote. */
export function readBoot(): Boot {
  const boot = readIt();
  if ('check' in boot) throw new Error('this process has no configuration: it checks one');
  return boot;
}

function readIt(): Boot | typeof CHECK {
  read ??= JSON.parse(readWhole(BOOT_FD)) as Boot | typeof CHECK;
  return read;
}

/** With a position of its own for each read: the descriptor's is shared by all processes. */
export function readWhole(fd: number): string {
  const bytes = Buffer.alloc(fstatSync(fd).size);
  for (let at = 0; at < bytes.length;) at += readSync(fd, bytes, at, bytes.length - at, at);
  return bytes.toString('utf8');
}
