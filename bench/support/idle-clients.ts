/** Many clients that each asked once and then keep their connection open without a word. */
import { connect, type Socket } from 'node:net';
import { answerLength } from './answers.ts';
import { BenchFailure } from './failure.ts';

/** At a time: more would make the server open more connections to its origin than it keeps. */
const OPENED_TOGETHER = 32;
const ANSWERED_WITHIN_MS = 10_000;

/** All open, and all closed at the end of their scope. */
export class IdleClients implements Disposable {
  readonly #sockets: Socket[] = [];

  /** @throws {BenchFailure} one of them got no answer */
  static async open(port: number, count: number, signal: AbortSignal): Promise<IdleClients> {
    const clients = new IdleClients();
    try {
      for (let opened = 0; opened < count; opened += OPENED_TOGETHER) {
        signal.throwIfAborted();
        const length = Math.min(OPENED_TOGETHER, count - opened);
        const sockets = Array.from({ length }, () => clients.#add(port));
        await Promise.all(sockets.map(askOnce));
      }
      return clients;
    } catch (thrown) {
      clients[Symbol.dispose]();
      throw thrown;
    }
  }

  /** How many the server has closed. */
  get closed(): number {
    return this.#sockets.filter(({ readyState }) => readyState !== 'open').length;
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #add(port: number): Socket {
    const socket = connect({ port, host: '127.0.0.1' });
    this.#sockets.push(socket);
    return socket;
  }
}

function askOnce(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    const fail = (reason: string) => reject(new BenchFailure(`a client got no answer: ${reason}`));
    socket.setTimeout(ANSWERED_WITHIN_MS, () => fail(`none within ${ANSWERED_WITHIN_MS / 1000} s`));
    socket.on('error', ({ message }) => fail(message));
    socket.on('close', () => fail('the connection was closed'));
    socket.on('data', (piece) => {
      text += piece.toString('latin1');
      const length = answerLengthOr(reject, text);
      if (length === undefined || text.length < length) return;
      socket.setTimeout(0);
      resolve();
    });
    socket.write('GET / HTTP/1.1\r\nHost: bench\r\n\r\n');
  });
}

function answerLengthOr(reject: (reason: unknown) => void, text: string): number | undefined {
  try {
    return answerLength(text);
  } catch (thrown) {
    reject(thrown);
    return undefined;
  }
}
