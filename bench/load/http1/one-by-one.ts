/**
 * A work that looks at the memory of a server. Each server is started anew for
 * every measurement, and alone: memory that was needed once is rarely given
 * back, and a second measurement would find room that the first one made.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { load } from '../../support/load.ts';
import { readPss } from '../../support/memory.ts';
import { cutAccessLog } from '../../support/peers/server.ts';
import { CONNECTIONS } from './cpu-per-request.ts';
import {
  canRun,
  startContender,
  startOriginFor,
  USUAL_CORES,
  type Run,
  type RunningContender,
} from './work.ts';

/** For garbage to be collected and idle connections to the origin to settle. */
const SETTLING_MS = 1_500;

/**
 * The samples of each contender, by name, one per repetition.
 *
 * @param measure gets a server that has served for a while and rests
 */
export async function oneByOne<S>(
  work: string,
  run: Run,
  measure: (contender: RunningContender) => Promise<S>,
): Promise<ReadonlyMap<string, readonly S[]>> {
  await using origin = await startOriginFor(run, USUAL_CORES);
  const samples = new Map<string, S[]>();
  for (let round = 1; round <= run.repetitions; round++) {
    for (const each of run.contenders.filter(canRun)) {
      run.progress(`${work}: ${each.name}, run ${round} of ${run.repetitions}`);
      const up = await startContender(each, { origin, cores: USUAL_CORES, run });
      await using _ended = up.server;
      await warmUp(up, run);
      const own = samples.get(each.name) ?? [];
      samples.set(each.name, [...own, await measure(up)]);
    }
  }
  return samples;
}

/** Memory that any traffic needs, such as compiled code, is not the price of what is measured. */
async function warmUp({ server }: RunningContender, { folder, signal }: Run): Promise<void> {
  await load({
    port: server.port,
    request: { path: '/' },
    connections: CONNECTIONS,
    seconds: 2,
    core: USUAL_CORES.load,
    folder,
    signal,
  });
  cutAccessLog(server);
  await settle(signal);
}

export async function settle(signal: AbortSignal): Promise<void> {
  await wait(SETTLING_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
}

export function pssOf({ name, server }: RunningContender): number {
  return readPss(name, server.pid);
}
