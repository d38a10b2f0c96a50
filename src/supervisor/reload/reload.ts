/**
 * A reload: the new configuration is tried out first, then workers that serve it
 * take over from those that serve the old one. Until they do, everything can be
 * taken back, and nobody has noticed.
 */
import type { Log } from '../../shared/log/log.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import { done, refused, type Outcome } from '../operations.ts';
import { checkProgram } from './check.ts';
import { fixedSettings } from './fixed-settings.ts';
import type { Draft, Staging } from './staging.ts';

export interface ReloaderParts {
  readonly staging: Staging;
  readonly libc: Libc | undefined;
  /** What serves now. */
  readonly first: Draft;
  readonly log: Log;
  readonly version: string;
  /** Root was given up after the start. */
  readonly hasDropped: boolean;
}

const STOPPED = 'it was told to stop';

export class Reloader {
  readonly #parts: ReloaderParts;
  #serving: Draft;

  constructor(parts: ReloaderParts) {
    this.#parts = parts;
    this.#serving = parts.first;
  }

  get serving(): Draft {
    return this.#serving;
  }

  async reload(stop: AbortSignal): Promise<Outcome> {
    const { version, libc } = this.#parts;
    const checked = await checkProgram(version, libc, stop);
    // What comes up now would serve while everything else ends.
    if (stop.aborted) return refused(STOPPED);
    if (checked.kind === 'refused') return this.#refused(checked.reason);
    for (const warning of checked.warnings) this.#parts.log.warn({}, warning);
    let next: Draft;
    try {
      next = this.#parts.staging.draft(checked.plan);
    } catch (thrown) {
      return this.#refused((thrown as Error).message);
    }
    const failure = await this.#bringUp(next, stop);
    if (failure !== undefined) return this.#refused(failure);
    return done([this.#succeeded(next), ...checked.warnings].join('\n'));
  }

  /** @returns why it does not serve; then the one before does as if nothing had been */
  async #bringUp(next: Draft, stop: AbortSignal): Promise<string | undefined> {
    const giveUp = () => void next.giveUp();
    stop.addEventListener('abort', giveUp, { once: true });
    try {
      await next.prepare();
    } catch (thrown) {
      return stop.aborted ? STOPPED : (thrown as Error).message;
    } finally {
      stop.removeEventListener('abort', giveUp);
    }
    try {
      await next.open();
    } catch (thrown) {
      this.#parts.staging.turnBack(next, this.#serving);
      return (thrown as Error).message;
    }
    return undefined;
  }

  #succeeded(next: Draft): string {
    const before = this.#serving;
    this.#serving = next;
    this.#parts.staging.turnTo(next, before);
    const { number, addresses } = next.generation;
    this.#parts.log.info({ generation: number, addresses }, 'reloaded');
    const kept = fixedSettings(this.#parts.first.plan.settings, next.plan.settings);
    if (kept.length === 0) return 'reloaded';
    return `reloaded; not before the next start or upgrade: ${kept.join(', ')}`;
  }

  #refused(reason: string): Outcome {
    return refused(this.#parts.hasDropped ? `${reason}${hintFor(reason)}` : reason);
  }
}

/** The way that works is a successor that root starts: it binds and reads before it gives up root. */
function hintFor(reason: string): string {
  if (!/permission denied|EACCES|EPERM/.test(reason)) return '';
  return `\nThis process has given up root and cannot do that any more; as root, start a new process with -d -u, and send QUIT to this one (${process.pid})`;
}
