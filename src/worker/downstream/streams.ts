/** Gives connections to the handler of a program, one by one, and sees to it that none is left behind. */
import type { Duplex } from 'node:stream';
import type { Log } from '../../shared/log/log.ts';
import type { ServiceRecorder } from '../../shared/metrics/recorder.ts';
import type { Deadlines } from '../../shared/time/deadlines.ts';
import type { SocketAddress, TlsFacts } from '../http/exchange.ts';
import type { Transport } from '../transport/transport.ts';
import type { Connect } from './listener.ts';
import { StreamConnection } from './stream-connection.ts';

/** What is known of a connection beside its bytes. */
export interface StreamFacts {
  readonly client: SocketAddress;
  /** The listener that accepted it. */
  readonly server: SocketAddress;
  /** What TLS agreed on with the client; `undefined` on a connection without it. */
  readonly tls: TlsFacts | undefined;
  /** Aborted when the worker drains; the connection then has the grace period to come to its end. */
  readonly signal: AbortSignal;
  /** Lines written here carry the service's name and the client. */
  readonly log: Log;
}

/**
 * Has a connection from its first byte on. It lives until both sides have ended, whatever
 * the handler returns. Throwing is logged, and resets it. A connection that breaks closes the
 * stream without an `error` event.
 */
export type StreamHandler = (stream: Duplex, facts: StreamFacts) => unknown;

export interface StreamsParts {
  readonly handler: StreamHandler;
  readonly deadlines: Deadlines;
  readonly idleMs: number;
  readonly allowHalfOpen: boolean;
  readonly figures: ServiceRecorder;
  readonly signal: AbortSignal;
  readonly log: Log;
}

export function streamConnector(parts: StreamsParts): (server: SocketAddress) => Connect {
  return (server) => (transport, onClosed) => connect(parts, server, transport, onClosed);
}

function connect(
  { handler, deadlines, idleMs, allowHalfOpen, figures, signal, log: ofService }: StreamsParts,
  server: SocketAddress,
  transport: Transport,
  onClosed: () => void,
): StreamConnection {
  const stream = new StreamConnection(transport, {
    deadlines,
    idleMs,
    allowHalfOpen,
    onClosed(error) {
      figures.bytesPassed(stream.bytesReceived, stream.bytesSent);
      // At debug, since any client can make as many of these as it likes.
      if (error !== undefined) facts.log.debug({ err: error }, 'connection broken');
      onClosed();
    },
  });
  const { client } = stream;
  let own: Log | undefined;
  const facts: StreamFacts = {
    client,
    server,
    tls: transport.tls,
    signal,
    get log() {
      own ??= ofService.child({ client: client.address });
      return own;
    },
  };
  // Of the program's own `destroy(error)`; one that nobody listens to would end the process.
  stream.on('error', (error) => facts.log.debug({ err: error }, 'connection destroyed'));
  const failed = (thrown: unknown) => {
    facts.log.error({ err: thrown }, 'the handler of a connection threw');
    stream.abort(thrown instanceof Error ? thrown : new Error(String(thrown)));
  };
  // Later: the listener does not know the connection yet.
  queueMicrotask(() => {
    try {
      const done = handler(stream, facts);
      if (done instanceof Promise) done.catch(failed);
    } catch (thrown) {
      failed(thrown);
    }
  });
  return stream;
}
