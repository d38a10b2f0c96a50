/**
 * A client's connection. It never tries again: whatever ends between the first
 * byte of a request and the last of its answer is a loss, and says which.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ProveFailure } from '../failure.ts';
import { Loss, type LossKind } from '../loss.ts';
import { AnswerReader, type AnswerHead } from './answer-reader.ts';
import { pairOf, type Connections, type Doomable } from './connections.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface Expectation {
  /** Throws a `Loss` if it is not the answer to this request. */
  readonly onHead: (head: AnswerHead) => void;
  readonly onBody?: (bytes: Buffer) => void;
  /** Asked at the end of the answer. Default: it is. */
  readonly isWhole?: () => boolean;
  /** Takes the connection over if the answer is a 101. */
  readonly tunnel?: TunnelEnd;
}

export interface ConnectionOptions {
  readonly connections: Connections;
  /** For the connection to be made, and then for the server to go on with what was asked. */
  readonly patienceMs: number;
  /** Bytes came that no request had asked for. */
  onUnasked(what: string): void;
}

/** Who takes the bytes after a 101. */
export interface TunnelEnd {
  onBytes(bytes: Buffer): void;
  onEnd(how: LossKind): void;
}

interface Reading {
  readonly reader: AnswerReader;
  readonly expectation: Expectation;
  readonly done: PromiseWithResolvers<AnswerHead>;
}

export class Connection implements Doomable {
  doomed = false;
  /** When we began to make it. */
  readonly openedAt = performance.now();
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  #reading: Reading | undefined;
  #tunnel: TunnelEnd | undefined;
  #localPort = 0;
  #answers = 0;
  #expectedAt = 0;
  #isConnected = false;
  #end: LossKind | undefined;
  readonly #opened = Promise.withResolvers<Connection>();
  readonly #ended = Promise.withResolvers<void>();

  /** @throws {Loss} refused, or reset before it was made */
  static open(endpoint: Endpoint, options: ConnectionOptions): Promise<Connection> {
    return new Connection(endpoint, options).#opened.promise;
  }

  private constructor(endpoint: Endpoint, options: ConnectionOptions) {
    const { connections, patienceMs } = options;
    const socket = socketTo(endpoint);
    this.#socket = socket;
    this.#options = options;
    let pair = '';
    socket.setTimeout(patienceMs);
    // Known by its ports before any handshake: a kill may meet it there.
    socket.once('connect', () => {
      this.#localPort = socket.localPort ?? 0;
      pair = pairOf(this.#localPort, endpoint.port);
      this.#isConnected = true;
      connections.add(pair, this);
    });
    socket.once(endpoint.tls ? 'secureConnect' : 'connect', () => {
      socket.setTimeout(0);
      this.#opened.resolve(this);
    });
    socket.on('timeout', () => this.#over('late'));
    socket.on('data', (bytes: Buffer) => this.#received(bytes));
    socket.on('end', () => this.#over('cut'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#opened.reject(openingLoss(error, this.doomed));
      this.#over('reset');
    });
    socket.on('close', () => {
      this.#over('cut');
      connections.remove(pair, this);
    });
  }

  /** False from the moment on at which we know that the server has closed it. */
  get isOpen(): boolean {
    return this.#end === undefined;
  }

  write(bytes: string | Buffer): void {
    this.#socket.write(bytes);
  }

  /**
   * The next answer. To be called before its request is written.
   *
   * @throws {Loss} the answer is not complete, or not the right one
   */
  expect(expectation: Expectation): Promise<AnswerHead> {
    const { onHead, onBody = () => {} } = expectation;
    if (this.#reading !== undefined) throw new Error('one answer after the other');
    const done = Promise.withResolvers<AnswerHead>();
    const reader = new AnswerReader({ onHead, onBody });
    this.#reading = { reader, expectation, done };
    this.#expectedAt = performance.now();
    this.#socket.setTimeout(this.#options.patienceMs);
    if (this.#end !== undefined) this.#lose(this.#end);
    return done.promise;
  }

  /** Ends our side; to be called when nothing is expected any more. */
  close(): void {
    this.#end ??= 'cut';
    this.#socket.end();
    // Nobody reads what may still come, and the server need not answer our end.
    this.#socket.destroySoon();
  }

  /** Leaves the end to the server, which was told to close, and still reports what nobody asked for. */
  closeWithin(ms: number): void {
    if (!this.isOpen) return;
    const timer = setTimeout(() => this.destroy(), ms).unref();
    void this.#ended.promise.then(() => clearTimeout(timer));
  }

  destroy(): void {
    this.#end ??= 'cut';
    this.#socket.destroy();
  }

  #received(bytes: Buffer): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onBytes(bytes);
    const reading = this.#reading;
    if (reading === undefined) return this.#unasked(bytes);
    try {
      const rest = reading.reader.read(bytes);
      const { done, head } = reading.reader;
      if (!done || head === undefined) return;
      this.#finish(reading, head);
      if (head.status === 101) this.#tunnel = reading.expectation.tunnel;
      if (rest.length > 0) this.#received(rest);
    } catch (thrown) {
      if (!(thrown instanceof Loss)) throw thrown;
      this.#lose(thrown.kind, thrown.message);
      this.destroy();
    }
  }

  #finish(reading: Reading, head: AnswerHead): void {
    const { tunnel, isWhole } = reading.expectation;
    if (isWhole?.() === false) return this.#lose('wrong', 'the body is shorter than the origin’s');
    this.#reading = undefined;
    this.#answers += 1;
    this.#socket.setTimeout(tunnel === undefined ? 0 : this.#options.patienceMs);
    reading.done.resolve(head);
  }

  #unasked(bytes: Buffer): void {
    if (this.#end !== undefined) return;
    this.#options.onUnasked(
      `${bytes.length} bytes: ${JSON.stringify(bytes.toString('latin1', 0, 60))}`,
    );
    this.destroy();
  }

  #over(how: LossKind): void {
    const isFirst = this.#end === undefined;
    this.#end ??= how;
    this.#ended.resolve();
    this.#opened.reject(
      new Loss(this.#isConnected ? how : 'refused', 'the connection was not made', this.doomed),
    );
    if (how === 'late') this.#socket.destroy();
    const reading = this.#reading;
    if (reading !== undefined) {
      const { reader } = reading;
      if (how === 'cut' && reader.end() && reader.head !== undefined)
        return this.#finish(reading, reader.head);
      return this.#lose(how);
    }
    if (isFirst) this.#tunnel?.onEnd(how);
  }

  #lose(kind: LossKind, message = endings[kind]): void {
    const reading = this.#reading;
    this.#reading = undefined;
    reading?.done.reject(new Loss(kind, `${message}; ${this.#circumstances()}`, this.doomed));
  }

  /** What it takes to find the reason. */
  #circumstances(): string {
    const now = performance.now();
    return (
      `sent ${Math.round(now - this.#expectedAt)} ms ago, after ${this.#answers} answers ` +
      `on a connection of ${Math.round(now - this.openedAt)} ms, port ${this.#localPort}`
    );
  }
}

const endings: Readonly<Record<LossKind, string>> = {
  refused: 'the connection was not made',
  reset: 'the connection was reset before the answer was complete',
  cut: 'the connection ended before the answer was complete',
  wrong: 'not the answer to this request',
  late: 'the server was silent for too long',
};

function socketTo({ host, port, tls }: Endpoint): Socket {
  const socket = tls
    ? // The proof is about connections; certificates of a copy are for other names.
      connectTls({ host, port, rejectUnauthorized: false, servername: isIP(host) ? '' : host })
    : connectTcp({ host, port });
  socket.setNoDelay(true);
  return socket;
}

/** Failures of our own machine must not pass for those of the server. */
const OUR_OWN: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL:
    'this machine has run out of ports for clients; use fewer clients, or a lower rate',
  EMFILE: 'this process has run out of open files; raise its limit (ulimit -n)',
  ENFILE: 'this machine has run out of open files',
};

function openingLoss(
  { code = '', message }: NodeJS.ErrnoException,
  byKill: boolean,
): Loss | ProveFailure {
  const ours = OUR_OWN[code];
  if (ours !== undefined) return new ProveFailure(ours);
  return new Loss(code === 'ECONNREFUSED' ? 'refused' : 'reset', message, byKill);
}
