/**
 * Streams that never end by themselves: a WebSocket and a stream of events. The
 * server may end one when the grace period of its worker is over; an end before
 * that, or a message that is missing, is a broken stream.
 */
import { createHash, randomBytes } from 'node:crypto';
import { targetOf, type RequestName } from '../addresses.ts';
import type { Account } from '../ledger.ts';
import { Loss, type LossKind } from '../loss.ts';
import { ACCEPT_GUID, CLOSE, encodeFrame, FrameReader, TEXT } from '../wire/websocket-frames.ts';
import type { Connection, Endpoint } from '../wire/connection.ts';
import { checkHead, onConnections, pause, requestHead, type Scene } from './scene.ts';

const MESSAGE_EVERY_MS = 50;

const PAUSE_MS = 20;

export function runWebSockets(scene: Scene, account: Account): Promise<void> {
  return onConnections(scene, account, PAUSE_MS, (endpoint, connection) =>
    converse(scene, account, endpoint, connection),
  );
}

async function converse(
  scene: Scene,
  account: Account,
  endpoint: Endpoint,
  connection: Connection,
): Promise<void> {
  const name = { run: scene.run, client: account.client, number: account.nextNumber() };
  const key = randomBytes(16).toString('base64');
  const request = requestHead({
    endpoint,
    method: 'GET',
    target: targetOf(name, 'websocket'),
    fields: {
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-version': 13,
      'sec-websocket-key': key,
    },
  });
  const ended = Promise.withResolvers<End>();
  const echoes = new Echoes(ended.resolve);
  const openedAt = performance.now();
  account.sent();
  const answer = connection.expect({
    onHead(head) {
      checkHead(head, name, 101);
      const accept = createHash('sha1').update(`${key}${ACCEPT_GUID}`).digest('base64');
      if (head.fields.get('sec-websocket-accept') !== accept)
        throw new Loss('wrong', 'Sec-WebSocket-Accept does not answer our key');
    },
    tunnel: {
      onBytes: (bytes) => echoes.received(bytes),
      onEnd: (how) => ended.resolve({ kind: 'connection', how }),
    },
  });
  connection.write(request);
  try {
    await answer;
  } catch (thrown) {
    account.lost(thrown);
    return connection.destroy();
  }
  account.answered(performance.now() - openedAt);
  void chat(scene, connection, echoes);
  judge(scene, account, { name, openedAt, connection }, await ended.promise);
  connection.destroy();
}

/** Says one number after the other, then goodbye. */
async function chat(scene: Scene, connection: Connection, echoes: Echoes): Promise<void> {
  for (let number = 1; !scene.stop.aborted && connection.isOpen; number++) {
    echoes.said(String(number));
    connection.write(encodeFrame({ opcode: TEXT, text: String(number) }, true));
    await pause(MESSAGE_EVERY_MS, scene);
  }
  if (!connection.isOpen) return;
  echoes.goodbye();
  connection.write(encodeFrame({ opcode: CLOSE, text: '' }, true));
}

/** Everything comes back once, in order. */
class Echoes {
  readonly #reader = new FrameReader();
  readonly #onEnd: (end: End) => void;
  /** As many as were said while one was on its way. */
  readonly #awaited: string[] = [];
  #saidGoodbye = false;

  constructor(onEnd: (end: End) => void) {
    this.#onEnd = onEnd;
  }

  said(text: string): void {
    this.#awaited.push(text);
  }

  goodbye(): void {
    this.#saidGoodbye = true;
  }

  received(bytes: Buffer): void {
    const frames = this.#reader.read(bytes);
    if (frames === undefined) return this.#broken('bytes that are no frame');
    for (const { opcode, text } of frames) {
      if (opcode === CLOSE) return this.#closed();
      const awaited = this.#awaited.shift();
      if (text !== awaited) return this.#broken(`message "${text}" instead of "${awaited}"`);
    }
  }

  #closed(): void {
    if (!this.#saidGoodbye) return this.#broken('a goodbye that the origin did not send');
    if (this.#awaited.length > 0)
      return this.#broken(`${this.#awaited.length} messages are missing`);
    this.#onEnd({ kind: 'ours' });
  }

  #broken(what: string): void {
    this.#onEnd({ kind: 'content', what });
  }
}

export function runEvents(scene: Scene, account: Account): Promise<void> {
  return onConnections(scene, account, PAUSE_MS, (endpoint, connection) =>
    subscribe(scene, account, endpoint, connection),
  );
}

async function subscribe(
  scene: Scene,
  account: Account,
  endpoint: Endpoint,
  connection: Connection,
): Promise<void> {
  const name = { run: scene.run, client: account.client, number: account.nextNumber() };
  const openedAt = performance.now();
  const ended = Promise.withResolvers<End>();
  const events = new Events();
  let isAnswered = false;
  account.sent();
  const answer = connection.expect({
    onHead(head) {
      checkHead(head, name, 200);
      isAnswered = true;
      account.answered(performance.now() - openedAt);
      if (scene.stop.aborted) ended.resolve({ kind: 'ours' });
    },
    onBody: (bytes) => events.received(bytes),
  });
  const request = requestHead({ endpoint, method: 'GET', target: targetOf(name, 'events') });
  connection.write(request);
  // Not before there is an answer: it would look like one that was cut.
  const leave = () => {
    if (isAnswered) ended.resolve({ kind: 'ours' });
  };
  scene.stop.addEventListener('abort', leave, { once: true });
  answer.then(
    () => ended.resolve({ kind: 'content', what: 'a stream without an end was ended' }),
    (thrown: unknown) => {
      if (!isAnswered) account.lost(thrown);
      ended.resolve(isAnswered ? endFrom(thrown) : { kind: 'ours' });
    },
  );
  judge(scene, account, { name, openedAt, connection }, await ended.promise);
  scene.stop.removeEventListener('abort', leave);
  connection.destroy();
}

/** Numbers without a hole. */
class Events {
  #pending = '';
  #next = 1;

  received(bytes: Buffer): void {
    this.#pending += bytes.toString('latin1');
    for (;;) {
      const end = this.#pending.indexOf('\n\n');
      if (end < 0) return;
      const event = this.#pending.slice(0, end);
      this.#pending = this.#pending.slice(end + 2);
      if (event !== `id: ${this.#next}\ndata: event ${this.#next}`)
        throw new Loss(
          'wrong',
          `event ${JSON.stringify(event.slice(0, 60))} instead of ${this.#next}`,
        );
      this.#next += 1;
    }
  }
}

/** How a stream ended. */
type End =
  | { readonly kind: 'ours' }
  | { readonly kind: 'connection'; readonly how: LossKind }
  | { readonly kind: 'content'; readonly what: string };

function endFrom(thrown: unknown): End {
  if (!(thrown instanceof Loss)) throw thrown;
  const { kind, message } = thrown;
  if (kind === 'wrong') return { kind: 'content', what: message };
  return { kind: 'connection', how: kind };
}

interface Stream {
  readonly name: RequestName;
  readonly openedAt: number;
  readonly connection: Connection;
}

function judge(scene: Scene, account: Account, stream: Stream, end: End): void {
  const { openedAt, connection, name } = stream;
  const now = performance.now();
  switch (end.kind) {
    case 'ours':
      return;
    case 'content':
      return account.broke(`number ${name.number}: ${end.what}`);
    case 'connection': {
      if (connection.doomed) return account.brokeByKill();
      const allowedAt = scene.retirements.earliestEnd(openedAt);
      if (end.how !== 'late' && now >= allowedAt) return;
      const early = Number.isFinite(allowedAt)
        ? `${Math.round(allowedAt - now)} ms before its grace period was over`
        : 'although nothing had retired its worker';
      return account.broke(
        `number ${name.number}: ${end.how} after ${Math.round(now - openedAt)} ms, ${early}`,
      );
    }
  }
}
