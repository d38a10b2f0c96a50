/** Clients that keep their connection and speak now and then, each at a pace of its own. */
import { setImmediate as untilRead, setTimeout as wait } from 'node:timers/promises';
import { targetOf, type RequestName } from '../addresses.ts';
import { contentOf } from '../content.ts';
import type { Account } from '../ledger.ts';
import type { Connection, Endpoint } from '../wire/connection.ts';
import {
  ask,
  connectTo,
  endpointFor,
  expectBody,
  pause,
  requestHead,
  saysClose,
  type Scene,
} from './scene.ts';

/** From 20 ms to 320 ms: some meet a hand-over busy, others idle. */
const SHORTEST_PAUSE_MS = 20;
const PACES = 5;

/** In the middle of some requests. */
const HESITATION_MS = 60;

export async function runKeepAlive(scene: Scene, account: Account, index: number): Promise<void> {
  const pauseMs = SHORTEST_PAUSE_MS * 2 ** (index % PACES);
  const endpoint = endpointFor(scene, index);
  let connection: Connection | undefined;
  while (!scene.stop.aborted) {
    // Timers run before sockets are read: hear first whether the server has closed it meanwhile.
    await untilRead();
    if (connection?.isOpen !== true) connection = await connectTo(scene, endpoint, account);
    if (connection !== undefined && !(await exchange(scene, account, endpoint, connection))) {
      connection.close();
      connection = undefined;
    }
    await pause(pauseMs, scene);
  }
  connection?.close();
}

/** @returns whether the connection may be used again */
async function exchange(
  scene: Scene,
  account: Account,
  endpoint: Endpoint,
  connection: Connection,
): Promise<boolean> {
  const number = account.nextNumber();
  const name: RequestName = { run: scene.run, client: account.client, number };
  const bytes = 1 + ((number * 97) % 3000);
  const request = number % 3 === 0 ? post(endpoint, name, bytes) : get(endpoint, name, bytes);
  const first = number % 5 === 0 ? Math.floor(request.length / 2) : request.length;
  const answer = ask(scene, connection, {
    account,
    bytes: request.subarray(0, first),
    expectation: expectBody(name, bytes),
  });
  if (first < request.length) {
    await wait(HESITATION_MS);
    connection.write(request.subarray(first));
  }
  const head = await answer;
  return head !== undefined && !saysClose(head);
}

/** Some requests are under way for long when a hand-over begins. */
const DELAYS_MS = [0, 0, 20, 150];

function queryFor({ number }: RequestName, bytes: number): string {
  return `?bytes=${bytes}&ms=${DELAYS_MS[number % DELAYS_MS.length]}`;
}

function get(endpoint: Endpoint, name: RequestName, bytes: number): Buffer {
  const target = targetOf(name, 'echo', queryFor(name, bytes));
  return Buffer.from(requestHead({ endpoint, method: 'GET', target }));
}

function post(endpoint: Endpoint, name: RequestName, bytes: number): Buffer {
  const target = targetOf(name, 'echo', queryFor(name, bytes));
  const head = requestHead({
    endpoint,
    method: 'POST',
    target,
    fields: { 'content-length': bytes },
  });
  return Buffer.concat([Buffer.from(head), contentOf(name.number, 0, bytes)]);
}
