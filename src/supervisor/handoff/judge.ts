/** Whether a successor can take an offer, before it takes anything. */
import { readdirSync } from 'node:fs';
import { openFilesLimit } from '../../shared/open-files.ts';
import type { Offer } from './messages.ts';

export interface Circumstances {
  /** The systemd service of this process. */
  readonly unit: string | undefined;
  /** Soft limit on open files. */
  readonly openFilesLimit: number;
  readonly openFiles: number;
}

/** A worker that starts gets a copy of each of its sockets. */
const COPIES = 2;
/** For the workers' channels, logs, the admin page. */
const RESERVED = 64;

/** @returns why the offer cannot be accepted, and what to do instead */
export function judge(
  { unit, descriptors }: Offer,
  { unit: ownUnit, openFilesLimit: limit, openFiles }: Circumstances,
): string | undefined {
  if (unit !== undefined && unit !== ownUnit) {
    return `the running process belongs to the systemd service ${unit} and this one does not, so systemd would take the service for stopped; upgrade with: systemctl reload ${unit}`;
  }
  const needed = openFiles + descriptors * COPIES + RESERVED;
  if (needed > limit) {
    return `${descriptors} sockets and segments need ${needed} open files and the limit is ${limit}; raise it (ulimit -n, or LimitNOFILE= of the service)`;
  }
  return undefined;
}

export function circumstances(unit: string | undefined): Circumstances {
  return { unit, openFilesLimit: openFilesLimit(), openFiles: readdirSync('/proc/self/fd').length };
}
