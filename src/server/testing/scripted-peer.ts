/** A peer that does what a test tells it to, and remembers what it was asked. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Time } from '../../shared/time/time.ts';
import { Headers } from '../../worker/http/headers.ts';
import type { MemorySocket } from './memory-socket.ts';

/** What a peer got. */
export interface ReceivedRequest {
  /** The address that it was sent to. */
  readonly peer: string;
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** What a peer does with a request. */
export type PeerAnswer =
  | {
      /** Default 200. */
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Uint8Array;
      /** On the test's clock, before the answer begins. Default 0. */
      readonly delayMs?: number;
    }
  /** Bytes as they are, for answers that are none; then the connection closes. */
  | { readonly raw: string | Uint8Array }
  /** Takes the request and says nothing. */
  | 'hang'
  /** Closes the connection, or resets it, without an answer. */
  | 'close'
  | 'reset';

export type PeerScript = PeerAnswer | ((request: ReceivedRequest) => PeerAnswer);

const DEFAULT_ANSWER: PeerAnswer = { body: 'hello from the peer\n' };

export class ScriptedPeer {
  /** What happens to connections that are made from now on; `'ignore'` lets them time out. */
  connects: 'accept' | 'refuse' | 'ignore' = 'accept';
  /** In order of arrival, each with its whole body. */
  readonly requests: ReceivedRequest[] = [];
  readonly #time: Time;
  readonly #server: Server;
  readonly #connections = new Map<unknown, string>();
  readonly #waiting = new Set<() => void>();
  #script: readonly PeerScript[] = [DEFAULT_ANSWER];
  #answered = 0;

  constructor(time: Time) {
    this.#time = time;
    this.#server = createServer((request, response) => void this.#receive(request, response));
    // What the proxy sends is what the test is about; it need not be well-formed to be looked at.
    this.#server.on('clientError', (_error, socket) => socket.destroy());
  }

  /** From now on: one after the other, then the last one for ever. */
  answer(...script: readonly [PeerScript, ...PeerScript[]]): void {
    this.#script = script;
    this.#answered = 0;
  }

  /** Resolves with that request, counted from 1, once it has arrived. */
  received(count = 1): Promise<ReceivedRequest> {
    return new Promise((resolve) => {
      const look = () => {
        const request = this.requests[count - 1];
        if (request === undefined) return;
        this.#waiting.delete(look);
        resolve(request);
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Closes the connections that there are, as a process that ends does. */
  dropConnections(): void {
    for (const socket of this.#connections.keys()) (socket as MemorySocket).destroy();
  }

  accept(socket: MemorySocket, address: string): void {
    this.#connections.set(socket, address);
    socket.on('close', () => this.#connections.delete(socket));
    this.#server.emit('connection', socket);
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    try {
      for await (const piece of request) pieces.push(piece as Buffer);
    } catch {
      return; // the proxy has given up
    }
    const received: ReceivedRequest = {
      peer: this.#connections.get(request.socket) ?? '',
      method: request.method ?? '',
      target: request.url ?? '',
      headers: new Headers([...request.rawHeaders]),
      body: Buffer.concat(pieces),
    };
    const script = this.#script[Math.min(this.#answered, this.#script.length - 1)]!;
    this.#answered += 1;
    this.requests.push(received);
    for (const look of this.#waiting) look();
    this.#act(typeof script === 'function' ? script(received) : script, response);
  }

  #act(answer: PeerAnswer, response: ServerResponse): void {
    const socket: (Socket & { resetAndClosing?: boolean }) | null = response.socket;
    if (answer === 'hang' || socket === null) return;
    if (answer === 'close') return void socket.destroy();
    if (answer === 'reset') {
      socket.resetAndClosing = true;
      return void socket.destroy();
    }
    if ('raw' in answer) return void socket.end(answer.raw);
    const { delayMs = 0 } = answer;
    if (delayMs === 0) send(answer, response);
    else this.#time.after(delayMs, () => send(answer, response));
  }
}

function send(
  { status = 200, headers = {}, body = '' }: Exclude<PeerAnswer, string | { raw: unknown }>,
  response: ServerResponse,
): void {
  response.sendDate = false;
  response.writeHead(status, headers).end(body);
}
