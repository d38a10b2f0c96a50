/** What a running server admits, over connections and workers; and what a refusal costs it. */
import { Agent, get } from 'node:http';
import { roundRobin, summarize } from '../../support/compare.ts';
import { cpuBetween, readCpu } from '../../support/cpu.ts';
import { BenchFailure } from '../../support/failure.ts';
import { load } from '../../support/load.ts';
import { nginxLimiting } from '../../support/peers/nginx.ts';
import { cutAccessLog, folderFor, USUAL_SETUP } from '../../support/peers/server.ts';
import type { Finding } from './finding.ts';
import { BURST, PACED_RATE, sluiceLimiting, startHeldClock } from './sluice-limiting.ts';

export interface ServerRun {
  readonly seconds: number;
  readonly repetitions: number;
  readonly folder: string;
  readonly signal: AbortSignal;
}

const CONNECTIONS = 64;
const SERVER_CORE = 0;
const LOAD_CORE = 1;

/** CPU per request that is refused, next to nginx. */
export async function refusals({
  seconds,
  repetitions,
  folder,
  signal,
}: ServerRun): Promise<Finding> {
  const what = '429 path, CPU per request, as a multiple of nginx limit_req';
  const goal = '<= 1.0';
  const missing = nginxLimiting.missing();
  if (missing !== undefined) return { what, goal, figure: missing, isMet: false };
  await using started = new AsyncDisposableStack();
  const contenders = [];
  for (const kind of [nginxLimiting, sluiceLimiting]) {
    const own = folderFor(folder, `refusing-${kind.name}`);
    const options = { origin: '', cores: [SERVER_CORE], folder: own, setup: USUAL_SETUP };
    contenders.push({
      name: kind.name,
      folder: own,
      server: started.use(await kind.start(options)),
    });
  }
  const samples = await roundRobin(
    contenders,
    repetitions,
    async ({ name, folder: own, server }) => {
      const before = readCpu(name, server.pid);
      const request = { path: '/limited' };
      const result = await load({
        port: server.port,
        request,
        connections: CONNECTIONS,
        seconds,
        core: LOAD_CORE,
        folder: own,
        signal,
      });
      const cpuNs = cpuBetween(before, readCpu(name, server.pid));
      cutAccessLog(server);
      // But for the one that its minute allows, which is a 404, all of them are refused.
      return {
        ...result,
        cpuNs,
        errors: result.socketErrors + (result.requests - result.badStatus),
      };
    },
  );
  const [nginx, sluice] = contenders.map(({ name }) => samples.get(name)!);
  const { ratio = Number.NaN, cpuUsPerRequest, errors } = summarize(sluice!, nginx);
  if (errors > 0) throw new BenchFailure(`${errors} requests were not refused`);
  const others = summarize(nginx!, undefined).cpuUsPerRequest;
  const figure = `${ratio.toFixed(2)} (${cpuUsPerRequest.toFixed(1)} to ${others.toFixed(1)} us)`;
  return { what, goal, figure, isMet: ratio <= 1 };
}

/** With a clock that stands still: exactly the burst, whichever workers the requests go to. */
export async function bursts({ repetitions, folder, signal }: ServerRun): Promise<Finding> {
  await using server = await startHeldClock({
    cores: [SERVER_CORE, LOAD_CORE],
    folder: folderFor(folder, 'bursts'),
    setup: { ...USUAL_SETUP, workers: 2 },
  });
  const rounds = repetitions * 10;
  const seen = new Map<number, number>();
  for (let round = 0; round < rounds; round++) {
    const headers = { 'x-client': `client ${round}` };
    const statuses = await Promise.all(
      Array.from({ length: BURST + 5 }, () =>
        ask(server.port, '/burst', new Agent(), signal, headers),
      ),
    );
    const admitted = statuses.filter((status) => status === 200).length;
    seen.set(admitted, (seen.get(admitted) ?? 0) + 1);
  }
  return {
    what: `${BURST + 5} at once, clock held, 2 workers, burst ${BURST}`,
    goal: `${BURST}, always`,
    figure: [...seen].map(([admitted, times]) => `${admitted} in ${times} of ${rounds}`).join(', '),
    isMet: seen.get(BURST) === rounds,
  };
}

/** Three times the rate for a while. */
export async function paced({ folder, signal }: ServerRun, seconds: number): Promise<Finding> {
  await using server = await sluiceLimiting.start({
    origin: '',
    cores: [SERVER_CORE, LOAD_CORE],
    folder: folderFor(folder, 'paced'),
    setup: { ...USUAL_SETUP, workers: 2 },
  });
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  // Connections and compiled code, on a path without a limit.
  await Promise.all(Array.from({ length: 500 }, () => ask(server.port, '/', agent, signal)));
  const statuses: Promise<number>[] = [];
  // What the limit counts from is the first request, and what it counts to is the last.
  let firstAt = Number.POSITIVE_INFINITY;
  const send = async () => {
    const status = await ask(server.port, '/paced', agent, signal);
    firstAt = Math.min(firstAt, performance.now());
    return status;
  };
  const startedAt = performance.now();
  while (performance.now() - startedAt < seconds * 1_000) {
    const due = ((performance.now() - startedAt) / 1_000) * PACED_RATE * 3;
    while (statuses.length < due) statuses.push(send());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const admitted = (await Promise.all(statuses)).filter((status) => status === 200).length;
  const lastedMs = performance.now() - firstAt;
  agent.destroy();
  const allowed = PACED_RATE + (PACED_RATE * lastedMs) / 1_000;
  const error = (admitted - allowed) / allowed;
  return {
    what: `${seconds} s at three times the rate of ${PACED_RATE}/s, 2 workers`,
    goal: 'within 0.1 % of burst + rate x t',
    figure: `${admitted} of ${allowed.toFixed(0)} (${(error * 100).toFixed(3)} %)`,
    isMet: Math.abs(error) <= 0.001,
  };
}

function ask(
  port: number,
  path: string,
  agent: Agent,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent, headers, signal }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
      response.on('error', reject);
    }).on('error', reject);
  });
}
