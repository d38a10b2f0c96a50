/** Connections that a program makes itself. */
import { once } from 'node:events';
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';

export interface StreamListener {
  onStream(stream: Duplex): void;
  onFailed(error: Error): void;
}

/** @returns stops it, if it has not ended yet */
export function connectWith(
  make: (signal: AbortSignal) => Promise<Duplex>,
  listener: StreamListener,
): () => void {
  const stopping = new AbortController();
  const { signal } = stopping;
  checked(make, signal).then(
    (stream) => {
      if (signal.aborted) discard(stream);
      else listener.onStream(stream);
    },
    (thrown: unknown) => {
      if (!signal.aborted) listener.onFailed(asError(thrown));
    },
  );
  return () => stopping.abort();
}

async function checked(
  make: (signal: AbortSignal) => Promise<Duplex>,
  signal: AbortSignal,
): Promise<Duplex> {
  const stream: unknown = await make(signal);
  if (!(stream instanceof Duplex)) {
    throw new TypeError(`connector: expected a Duplex stream, got ${String(stream)}`);
  }
  try {
    if (stream instanceof Socket && stream.connecting) await once(stream, 'connect', { signal });
    if (stream.destroyed) throw new Error('connector: the stream that it made is closed already');
  } catch (thrown) {
    discard(stream);
    throw thrown;
  }
  // Either side may say that it is done while the other one goes on.
  stream.allowHalfOpen = true;
  return stream;
}

function discard(stream: Duplex): void {
  stream.on('error', () => {});
  stream.destroy();
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
