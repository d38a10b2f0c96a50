/** A client that asks for much and takes it slowly. */
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { answerLength } from './answers.ts';
import { BenchFailure } from './failure.ts';

/** It reads nothing at first, then a burst every now and then: about 5 MiB/s. */
const FIRST_STALL_MS = 1_000;
const BURST_BYTES = 1_048_576;
const STALL_MS = 200;
const REST_WITHIN_MS = 30_000;

export interface SlowRead {
  readonly port: number;
  readonly path: string;
  /** How long it is slow; then it takes the rest at once. */
  readonly slowMs: number;
  readonly signal: AbortSignal;
}

/**
 * @param whileSlow called often until the rest is taken
 * @returns bytes that were read slowly
 * @throws {BenchFailure} the answer did not arrive complete
 */
export async function readSlowly(options: SlowRead, whileSlow: () => void): Promise<number> {
  const { port, path, slowMs, signal } = options;
  const socket = connect({ port, host: '127.0.0.1' });
  using _destroyed = { [Symbol.dispose]: () => socket.destroy() };
  let received = 0;
  let beginning = '';
  let length: number | undefined;
  let pauseAt = BURST_BYTES;
  const complete = new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('data', (piece: Buffer) => {
      received += piece.length;
      if (received >= pauseAt) socket.pause();
      if (length === undefined) length = answerLength((beginning += piece.toString('latin1')));
      if (received === length) resolve();
    });
    socket.on('close', () =>
      reject(new BenchFailure(`got ${received} of ${length} bytes of an answer`)),
    );
  });
  complete.catch(() => {}); // awaited only once it has been slow
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`);
  socket.pause();

  const slowUntil = performance.now() + slowMs;
  await stall(FIRST_STALL_MS);
  while (performance.now() < slowUntil) {
    pauseAt = received + BURST_BYTES;
    socket.resume();
    await stall(STALL_MS);
  }
  const readSlowly = received;
  pauseAt = Number.POSITIVE_INFINITY;
  socket.resume();
  await Promise.race([complete, tooLate(signal)]);
  return readSlowly;

  async function stall(ms: number): Promise<void> {
    const until = performance.now() + ms;
    while (performance.now() < until) {
      signal.throwIfAborted();
      whileSlow();
      await wait(20);
    }
  }
}

async function tooLate(signal: AbortSignal): Promise<never> {
  await wait(REST_WITHIN_MS, undefined, { signal, ref: false }).catch(() =>
    signal.throwIfAborted(),
  );
  throw new BenchFailure(`the rest of an answer did not come within ${REST_WITHIN_MS / 1000} s`);
}
