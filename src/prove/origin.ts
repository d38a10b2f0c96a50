/**
 * The origin behind the Sluice that is put to the proof. It answers with what
 * follows from the request's name, and remembers which requests it has seen.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { ID_FIELD, idOf, parseTarget, type Target } from './addresses.ts';
import { ProveFailure } from './failure.ts';
import { contentOf, firstDifference } from './content.ts';
import { Sightings } from './sightings.ts';
import { ACCEPT_GUID, CLOSE, encodeFrame, FrameReader } from './wire/websocket-frames.ts';

/** A stream is cut into pieces of this long. */
const PIECE_MS = 25;

/** Between two events of a stream that never ends. */
export const EVENT_MS = 50;

export interface OriginOptions {
  readonly run: string;
  readonly clients: readonly string[];
  /** Default: loopback, a port of the system's choice. */
  readonly host?: string;
  readonly port?: number;
}

export class Origin implements AsyncDisposable {
  readonly #server: Server;
  readonly #run: string;
  readonly #seen: ReadonlyMap<string, Sightings>;

  private constructor({ run, clients }: OriginOptions) {
    this.#run = run;
    this.#seen = new Map(clients.map((client) => [client, new Sightings()]));
    this.#server = createServer((request, response) => {
      // A connection that breaks is the client's to report.
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.#server.on('upgrade', (request, socket) => this.#upgrade(request, socket));
    // Never the first to close: a request could be on its way, and would be lost by our doing.
    this.#server.keepAliveTimeout = 0;
    this.#server.requestTimeout = 0;
    this.#server.headersTimeout = 0;
  }

  static async start(options: OriginOptions): Promise<Origin> {
    const { host = '127.0.0.1', port = 0 } = options;
    const origin = new Origin(options);
    await new Promise<void>((resolve, reject) => {
      origin.#server.once('error', ({ message }) =>
        reject(new ProveFailure(`the origin cannot listen on ${host}:${port}: ${message}`)),
      );
      origin.#server.listen({ host, port, backlog: 4096 }, resolve);
    });
    return origin;
  }

  /** `host:port` */
  get address(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `${address}:${port}`;
  }

  /** How many requests of that client came once more. */
  repeatedOf(client: string): number {
    return this.#seen.get(client)?.repeated ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** @returns `undefined` for a request that is not of this run */
  #see({ url = '' }: IncomingMessage): Target | undefined {
    const target = parseTarget(url);
    const seen = target?.run === this.#run ? this.#seen.get(target.client) : undefined;
    if (target === undefined || seen === undefined) return undefined;
    seen.add(target.number);
    return target;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = this.#see(request);
    if (target === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader(ID_FIELD, idOf(target));
    switch (target.kind) {
      case 'echo':
        return echo(target, request, response);
      case 'download':
        return download(target, response);
      case 'upload':
        return takeUpload(target, request, response);
      case 'events':
        return sendEvents(response);
      case 'websocket':
        response.writeHead(426, { upgrade: 'websocket' }).end();
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex): void {
    const target = this.#see(request);
    const key = request.headers['sec-websocket-key'];
    // The client hears of it by the end of its connection.
    socket.on('error', () => {});
    if (target === undefined || key === undefined) return void socket.destroy();
    const accept = createHash('sha1').update(`${key}${ACCEPT_GUID}`).digest('base64');
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\n${ID_FIELD}: ${idOf(target)}\r\n\r\n`,
    );
    echoFrames(socket);
  }
}

async function echo(
  { number, query }: Target,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const bytes = numberIn(query, 'bytes');
  if (request.method === 'POST') {
    const problem = await checkBody(number, bytes, request);
    if (problem !== undefined) return refuse(response, problem);
  }
  const delayMs = numberIn(query, 'ms');
  if (delayMs > 0) await pause(delayMs);
  response.end(contentOf(number, 0, bytes));
}

async function download({ number, query }: Target, response: ServerResponse): Promise<void> {
  const bytes = numberIn(query, 'bytes');
  const pieces = Math.max(1, Math.round(numberIn(query, 'ms') / PIECE_MS));
  response.setHeader('content-length', bytes);
  for (let piece = 0; piece < pieces; piece++) {
    const from = Math.floor((bytes * piece) / pieces);
    const to = Math.floor((bytes * (piece + 1)) / pieces);
    response.write(contentOf(number, from, to - from));
    await pause(PIECE_MS);
    if (response.destroyed) return;
  }
  response.end();
}

async function takeUpload(
  { number, query }: Target,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const problem = await checkBody(number, numberIn(query, 'bytes'), request);
  if (problem !== undefined) return refuse(response, problem);
  response.end();
}

async function sendEvents(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  for (let number = 1; !response.destroyed; number++) {
    response.write(`id: ${number}\ndata: event ${number}\n\n`);
    await pause(EVENT_MS);
  }
}

function echoFrames(socket: Duplex): void {
  const reader = new FrameReader();
  socket.on('data', (bytes: Buffer) => {
    const frames = reader.read(bytes);
    if (frames === undefined) return void socket.destroy();
    for (const frame of frames) {
      socket.write(encodeFrame(frame, false));
      if (frame.opcode === CLOSE) socket.end();
    }
  });
  socket.on('end', () => socket.end());
}

/** @returns what is wrong with it */
async function checkBody(
  seed: number,
  length: number,
  request: IncomingMessage,
): Promise<string | undefined> {
  let received = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    const difference = firstDifference(seed, received, piece);
    if (difference !== undefined) return `byte ${difference} of the body is not what was sent`;
    received += piece.length;
  }
  return received === length ? undefined : `the body has ${received} of ${length} bytes`;
}

function refuse(response: ServerResponse, problem: string): void {
  response.writeHead(400, { 'x-prove-problem': problem }).end();
}

function numberIn(query: URLSearchParams, name: string): number {
  return Number(query.get(name) ?? 0);
}
