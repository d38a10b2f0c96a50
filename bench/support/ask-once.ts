/** One request, to see what becomes of it: for that, and not for speed, Node's own client is right. */
import { request as send } from 'node:http';
import { BenchFailure } from './failure.ts';
import type { Request } from './load.ts';

const ANSWERED_WITHIN_MS = 10_000;

export interface Seen {
  readonly status: number;
  /** Of the answer's body. */
  readonly bytes: number;
  /** Bytes of the request that the origin says it got; 0 if it does not say. */
  readonly received: number;
}

/**
 * On a connection of its own, which is closed.
 *
 * @throws {BenchFailure} there was no complete answer in time
 */
export function askOnce(port: number, request: Request, signal: AbortSignal): Promise<Seen> {
  const { path, headers, bodyBytes = 0 } = request;
  const options = {
    host: '127.0.0.1',
    port,
    path,
    method: bodyBytes > 0 ? 'POST' : 'GET',
    headers: { ...headers, Connection: 'close' },
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWERED_WITHIN_MS)]),
  };
  return new Promise((resolve, reject) => {
    const fail = ({ message }: Error) =>
      reject(signal.aborted ? signal.reason : new BenchFailure(`no answer to ${path}: ${message}`));
    const asking = send(options, (response) => {
      let bytes = 0;
      const received = Number(response.headers['x-received'] ?? 0);
      response.on('data', (piece: Buffer) => (bytes += piece.length));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, bytes, received }));
      response.on('error', fail);
    });
    asking.on('error', fail);
    asking.end(bodyBytes > 0 ? Buffer.alloc(bodyBytes, 'x') : undefined);
  });
}
