/** The end of the connection that a successor gets from the supervisor that starts it. */
import { closeSync, writeSync } from 'node:fs';
import type { Libc } from '../../shared/memory/libc.ts';
import { encodeFrame } from './frames.ts';

/** Set by `spawn.ts`: the number of the descriptor. */
export const HANDOFF_VARIABLE = 'SLUICE_HANDOFF_FD';

export function wasStartedBySupervisor(): boolean {
  return inheritedNumber() !== undefined;
}

/** @returns a connected socket, closed on exec */
export function takeInheritedSocket(libc: Libc): number {
  const inherited = inheritedNumber();
  if (inherited === undefined) throw new Error(`${HANDOFF_VARIABLE} names no descriptor`);
  // What this process starts is not meant.
  delete process.env[HANDOFF_VARIABLE];
  const fd = libc.dup(inherited);
  closeSync(inherited);
  return fd;
}

/** This process cannot even start: whoever has started it hears why. */
export function tellWhoStartedUs(reason: string): void {
  const fd = inheritedNumber();
  if (fd === undefined) return;
  try {
    writeSync(fd, encodeFrame({ kind: 'refuse', reason }, 0));
  } catch {
    // It is gone; there is nobody to tell.
  }
}

function inheritedNumber(): number | undefined {
  const given = process.env[HANDOFF_VARIABLE];
  return given !== undefined && /^\d+$/.test(given) ? Number(given) : undefined;
}
