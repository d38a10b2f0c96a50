/**
 * One proof: traffic through Sluice, and what is done to it meanwhile. It starts
 * Sluice as its child, as an operator would, and knows no part of it but its
 * command line.
 */
import { setMaxListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { clientNames, runClients } from './clients/all.ts';
import { copyConfig } from './copied-config.ts';
import { CopiedSluice } from './copied-sluice.ts';
import { ProveFailure } from './failure.ts';
import { Gaps } from './gaps.ts';
import { intervene, inTurns, type Intervention, type Stage } from './interventions.ts';
import { Ledger } from './ledger.ts';
import { checkReach, REACH_CLIENT } from './reach.ts';
import type { Options } from './options.ts';
import { Origin } from './origin.ts';
import type { Result } from './report.ts';
import { Retirements } from './retirements.ts';
import { runningSluice } from './running-sluice.ts';
import type { Subject } from './subject.ts';
import { Connections } from './wire/connections.ts';

/** Traffic before the first intervention, between two, and after the last. */
const QUIET_MS = 100;

/** A transfer takes this part of the grace period, so that no worker may cut it. */
const PART_OF_GRACE = 0.5;
const MAX_STREAM_MS = 5_000;

/** Far more than anything takes: longer is as good as lost. */
const PATIENCE_MS = 10_000;

/**
 * @param command runs `sluice`, without arguments
 * @param abort ends what was started, and then the proof
 * @throws {ProveFailure} it could not begin
 */
export async function prove(
  options: Options,
  command: readonly string[],
  abort: AbortSignal,
): Promise<Result> {
  await using opened = new AsyncDisposableStack();
  const run = process.pid.toString(36) + Date.now().toString(36);
  const origin = opened.use(
    await Origin.start({ run, clients: [...clientNames, REACH_CLIENT], ...options.running }),
  );
  const subject = await subjectFor(options, command, origin.address, opened);
  await checkReach(subject.endpoints, { run, origin: origin.address });
  // Loads what only the first question needs, before anybody is measured.
  await subject.workers();

  const ledger = new Ledger();
  const gaps = opened.use(new Gaps());
  const connections = new Connections();
  const retirements = new Retirements(subject.graceMs);
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const scene = {
    run,
    endpoints: subject.endpoints,
    connections,
    retirements,
    patienceMs: PATIENCE_MS,
    streamMs: Math.min(MAX_STREAM_MS, Math.round(subject.graceMs * PART_OF_GRACE)),
    stop: stop.signal,
  };
  const startedAt = performance.now();
  const done = { upgrade: 0, reload: 0, kill: 0 };
  const traffic = runClients({ scene, ledger, gaps, clients: options.clients });
  const failure = await Promise.race([
    interveneAll(options, { subject, connections, retirements }, ledger, done),
    traffic.then(() => Promise.reject(new Error('the clients left before they were told to'))),
    untilAborted(abort),
  ]).then(() => undefined, asFailure);
  stop.abort();
  await traffic;
  return {
    done,
    failure,
    seconds: (performance.now() - startedAt) / 1000,
    columns: ledger.close((client) => origin.repeatedOf(client)),
    gaps: gaps.longest,
    incidents: ledger.incidents,
  };
}

/** What was counted until then is worth telling; a bug of the proof is not one of these. */
function asFailure(thrown: unknown): string {
  if (thrown instanceof ProveFailure) return thrown.message;
  throw thrown;
}

async function subjectFor(
  options: Options,
  command: readonly string[],
  origin: string,
  opened: AsyncDisposableStack,
): Promise<Subject> {
  if (options.running !== undefined) return runningSluice({ conf: options.conf!, command });
  const folder = mkdtempSync(join(tmpdir(), 'sluice-prove-'));
  opened.defer(() => rmSync(folder, { recursive: true, force: true }));
  const copy = await copyConfig({ ...options, origin, folder });
  const resize = options.resize ? copy.resize : undefined;
  return opened.use(await CopiedSluice.start({ ...copy, resize, command }));
}

async function interveneAll(
  { upgrades, reloads, kills, seconds, atMostSeconds }: Options,
  stage: Stage,
  ledger: Ledger,
  done: Record<Intervention, number>,
): Promise<void> {
  const startedAt = performance.now();
  await wait(QUIET_MS);
  for (const kind of inTurns({ upgrade: upgrades, reload: reloads, kill: kills })) {
    if (performance.now() - startedAt > atMostSeconds * 1000) break;
    ledger.intervention(kind, done[kind] + 1);
    await intervene(kind, stage);
    done[kind] += 1;
    await wait(QUIET_MS);
  }
  await wait(Math.max(0, startedAt + seconds * 1000 - performance.now()));
}

/** Rejects when it is time to clean up and leave. */
function untilAborted(abort: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const leave = () => reject(new ProveFailure('ended before it was done'));
    if (abort.aborted) leave();
    else abort.addEventListener('abort', leave, { once: true });
  });
}
