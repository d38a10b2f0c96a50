/** Clients that make a connection for every request: one after the other, taking the time, and in bursts. */
import { targetOf } from '../addresses.ts';
import type { Gaps } from '../gaps.ts';
import type { Account } from '../ledger.ts';
import {
  ask,
  connectTo,
  endpointFor,
  expectBody,
  pause,
  requestHead,
  type Scene,
} from './scene.ts';

/** Between two attempts, start to start. The ports of each stay taken for a minute after it. */
const EVERY_MS = 10;

const BYTES = 64;

export async function runNewConnections(
  scene: Scene,
  account: Account,
  gaps: Gaps,
  during: () => string,
): Promise<void> {
  for (let turn = 0; !scene.stop.aborted; turn++) {
    const nextAt = performance.now() + EVERY_MS;
    gaps.attempt();
    if (await askOnce(scene, account, turn)) gaps.answered(during());
    const waitMs = nextAt - performance.now();
    if (waitMs > 0) await pause(waitMs, scene);
  }
}

/** Many at the same moment, so that some wait in the kernel's queues whenever a socket changes hands. */
export async function runBursts(scene: Scene, account: Account): Promise<void> {
  for (let turn = 0; !scene.stop.aborted; turn++) {
    const all = Array.from({ length: BURST }, () => askOnce(scene, account, turn));
    await Promise.all([...all, pause(BURST_EVERY_MS, scene)]);
  }
}

const BURST = 10;
const BURST_EVERY_MS = 200;

/** @returns whether there was an answer */
async function askOnce(scene: Scene, account: Account, turn: number): Promise<boolean> {
  const endpoint = endpointFor(scene, turn);
  const connection = await connectTo(scene, endpoint, account);
  if (connection === undefined) return false;
  const name = { run: scene.run, client: account.client, number: account.nextNumber() };
  const bytes = requestHead({
    endpoint,
    method: 'GET',
    target: targetOf(name, 'echo', `?bytes=${BYTES}`),
    fields: { connection: 'close' },
  });
  const head = await ask(scene, connection, {
    account,
    bytes,
    expectation: expectBody(name, BYTES),
  });
  // Open until the server ends it, to see what else comes; the next attempt need not wait for that.
  connection.closeWithin(LINGER_MS);
  return head !== undefined;
}

const LINGER_MS = 1_000;
