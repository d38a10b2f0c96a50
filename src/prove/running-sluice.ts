/**
 * The Sluice that runs from a configuration, put to the proof where it is. It is
 * asked as an operator would ask it, by the commands.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { loadConfig } from '../shared/config/load.ts';
import { formatProblems } from '../shared/config/problem.ts';
import { showPlace, type Place } from '../shared/ipc/place.ts';
import { ProveFailure } from './failure.ts';
import { PATIENCE_MS, StatusPage } from './status-page.ts';
import type { Subject } from './subject.ts';
import type { Endpoint } from './wire/connection.ts';

export interface RunningSluiceOptions {
  /** The file it runs from. */
  readonly conf: string;
  readonly command: readonly string[];
}

/** @throws {ProveFailure} it cannot be put to the proof as it is; the message says what to change */
export function runningSluice({ conf, command }: RunningSluiceOptions): Subject {
  const loaded = loadConfig(conf, process.env);
  if (!loaded.ok) throw new ProveFailure(formatProblems(loaded.problems, loaded.source));
  const { services, admin, grace_period_seconds } = loaded.settings;
  if (admin === undefined || 'path' in admin.listen) {
    throw new ProveFailure(
      `${conf}: the proof reads the admin page over TCP; add one, such as admin: { listen: 127.0.0.1:9180 }`,
    );
  }
  const page = new StatusPage(showPlace(admin.listen), admin.token);
  const endpoints = services.flatMap(({ listen }) => listen.flatMap(endpointOf));
  if (endpoints.length === 0)
    throw new ProveFailure(
      `${conf}: no service listens on a TCP address, so there is nothing to prove`,
    );
  const ask = async (verb: string) => {
    const [file = '', ...args] = command;
    try {
      await promisify(execFile)(file, [...args, verb, '-c', conf], { timeout: PATIENCE_MS });
    } catch (thrown) {
      const { stderr = '', message } = thrown as Error & { stderr?: string };
      throw new ProveFailure(`sluice ${verb} failed: ${stderr.trim() || message}`);
    }
  };
  return {
    endpoints,
    graceMs: grace_period_seconds * 1000,
    upgrade: () => ask('upgrade'),
    reload: () => ask('reload'),
    workers: () => page.workers(),
    replaced: (pid, among) => page.replaced(pid, among),
  };
}

interface Listen {
  readonly place: Place;
  readonly tls?: unknown;
}

function endpointOf({ place, tls }: Listen): Endpoint[] {
  if ('path' in place) return [];
  const { host, port } = place;
  return [{ host: ANY[host] ?? host, port, tls: tls !== undefined }];
}

/** Where a client on this machine finds what listens everywhere. */
const ANY: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
