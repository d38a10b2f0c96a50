/** What all clients of a run share, and the steps that all of them take. */
import { ID_FIELD, idOf, type RequestName } from '../addresses.ts';
import { firstDifference } from '../content.ts';
import type { Account } from '../ledger.ts';
import { Loss } from '../loss.ts';
import type { Retirements } from '../retirements.ts';
import type { AnswerHead } from '../wire/answer-reader.ts';
import { Connection, type Endpoint, type Expectation } from '../wire/connection.ts';
import type { Connections } from '../wire/connections.ts';

export interface Scene {
  /** In the name of every request: the origin leaves others alone. */
  readonly run: string;
  /** Clients take turns among them. */
  readonly endpoints: readonly Endpoint[];
  readonly connections: Connections;
  readonly retirements: Retirements;
  /** How long clients wait for a connection, or for the next byte of an answer. */
  readonly patienceMs: number;
  /** Of one download or upload: less than the grace period, so that none may be cut. */
  readonly streamMs: number;
  /** Aborted when clients shall finish what they do, and leave. */
  readonly stop: AbortSignal;
}

export function endpointFor({ endpoints }: Scene, turn: number): Endpoint {
  return endpoints[turn % endpoints.length]!;
}

/** @returns `undefined` if it was not made; the account says so */
export async function connectTo(
  scene: Scene,
  endpoint: Endpoint,
  account: Account,
): Promise<Connection | undefined> {
  try {
    const { connections, patienceMs } = scene;
    const onUnasked = (what: string) => account.unasked(what);
    return await Connection.open(endpoint, { connections, patienceMs, onUnasked });
  } catch (thrown) {
    account.notConnected(thrown);
    return undefined;
  }
}

/**
 * Again and again a new connection for `use`, until the run stops.
 *
 * @param pauseMs before the next one: else a server that refuses would be asked without a break
 */
export async function onConnections(
  scene: Scene,
  account: Account,
  pauseMs: number,
  use: (endpoint: Endpoint, connection: Connection) => Promise<void>,
): Promise<void> {
  for (let turn = 0; !scene.stop.aborted; turn++) {
    const endpoint = endpointFor(scene, turn);
    const connection = await connectTo(scene, endpoint, account);
    if (connection !== undefined) await use(endpoint, connection);
    await pause(pauseMs, scene);
  }
}

export interface Question {
  readonly account: Account;
  /** The whole request, or its beginning. */
  readonly bytes: string | Buffer;
  readonly expectation: Expectation;
}

/** @returns `undefined` if the answer was lost; the account says so */
export async function ask(
  scene: Scene,
  connection: Connection,
  { account, bytes, expectation }: Question,
): Promise<AnswerHead | undefined> {
  const sentAt = performance.now();
  account.sent();
  const answer = connection.expect(expectation);
  connection.write(bytes);
  try {
    const head = await answer;
    account.answered(performance.now() - sentAt);
    return head;
  } catch (thrown) {
    if (isCut(thrown) && outlived(scene, connection, sentAt)) account.outlived();
    else account.lost(thrown);
    connection.destroy();
    return undefined;
  }
}

function isCut(thrown: unknown): boolean {
  return thrown instanceof Loss && (thrown.kind === 'cut' || thrown.kind === 'reset');
}

/** No worker need wait longer; it happens where the machine is too busy for this traffic. */
function outlived({ retirements }: Scene, { openedAt }: Connection, sentAt: number): boolean {
  const now = performance.now();
  return now - sentAt >= retirements.graceMs && now >= retirements.earliestEnd(openedAt);
}

export interface RequestParts {
  readonly endpoint: Endpoint;
  readonly method: 'GET' | 'POST';
  readonly target: string;
  readonly fields?: Readonly<Record<string, string | number>>;
}

export function requestHead({ endpoint, method, target, fields = {} }: RequestParts): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\nHost: ${endpoint.host}:${endpoint.port}\r\n${lines.join('')}\r\n`;
}

/** The answer must bear the request's name, and that body. */
export function expectBody(name: RequestName, bytes: number): Expectation {
  let received = 0;
  return {
    onHead(head) {
      checkHead(head, name, 200);
      const length = head.fields.get('content-length');
      if (length !== undefined && Number(length) !== bytes)
        throw new Loss('wrong', `announced ${length} bytes of body instead of ${bytes}`);
      if (length === undefined && bytes > 0 && !head.fields.has('transfer-encoding'))
        throw new Loss('wrong', 'the length of the body is missing');
    },
    onBody(piece) {
      const difference = firstDifference(name.number, received, piece);
      if (difference !== undefined)
        throw new Loss('wrong', `byte ${difference} of the body is not the origin’s`);
      received += piece.length;
      if (received > bytes) throw new Loss('wrong', `the body has more than ${bytes} bytes`);
    },
    isWhole: () => received === bytes,
  };
}

export function checkHead({ status, fields }: AnswerHead, name: RequestName, wanted: number): void {
  if (status !== wanted) {
    const problem = fields.get('x-prove-problem');
    throw new Loss('wrong', `status ${status}${problem === undefined ? '' : ` (${problem})`}`);
  }
  const id = fields.get(ID_FIELD);
  if (id !== idOf(name))
    throw new Loss('wrong', `the answer to ${id ?? 'no request of ours'} came for ${idOf(name)}`);
}

/** RFC 9112 §9.6: after such an answer, no request may follow. */
export function saysClose({ fields }: AnswerHead): boolean {
  return /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(fields.get('connection') ?? '');
}

/** Returns early when the clients shall leave. */
export function pause(ms: number, { stop }: Scene): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (stop.aborted) return Promise.resolve();
  const timer = setTimeout(done, ms);
  stop.addEventListener('abort', done);
  function done(): void {
    clearTimeout(timer);
    stop.removeEventListener('abort', done);
    resolve();
  }
  return promise;
}
