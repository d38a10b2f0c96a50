/** A service whose clients speak a protocol of the program's own, over TCP, TLS or a Unix socket. */
import { refuseUnknown } from '../shared/config/options.ts';
import type { StreamHandler } from '../worker/downstream/streams.ts';
import type { StreamLimits } from '../worker/start.ts';
import { ListeningService } from './service.ts';

export interface TcpServiceOptions extends StreamLimits {
  /** In logs and metrics. Default: `tcp`. */
  readonly name?: string;
}

export class TcpService extends ListeningService {
  readonly handler: StreamHandler;
  readonly limits: StreamLimits;

  constructor(name: string, handler: StreamHandler, limits: StreamLimits) {
    super(name, undefined);
    this.handler = handler;
    this.limits = limits;
  }
}

const KNOWN = {
  name: true,
  maxConnections: true,
  maxConnectionsPerClient: true,
  idleTimeoutMs: true,
  allowHalfOpen: true,
} as const;

/**
 * Makes a service of a handler, which gets a stream of Node's for each connection; give it
 * addresses and add it to a server. Connections are limited, drained and handed to the next
 * version as those of HTTP are.
 *
 * @throws {TypeError} an option is unknown, or no number above 0
 *
 * @example
 * server.addService(tcpService((stream) => stream.pipe(stream)).addTcp('127.0.0.1:6142'));
 */
export function tcpService(handler: StreamHandler, options: TcpServiceOptions = {}): TcpService {
  refuseUnknown('tcpService', options, KNOWN);
  const { name = 'tcp', ...limits } = options;
  const { allowHalfOpen: _, ...numbers } = limits;
  for (const [key, value] of Object.entries(numbers)) {
    if (value === undefined || (Number.isInteger(value) && value > 0)) continue;
    throw new TypeError(`tcpService: ${key}: expected a whole number above 0, got ${value}`);
  }
  return new TcpService(name, handler, limits);
}
