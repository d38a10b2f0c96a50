/** A listening address of a service in this worker, and the connections it has accepted. */
import type { ServiceRecorder } from '../../shared/metrics/recorder.ts';
import type { SocketAddress } from '../http/exchange.ts';
import { accept, type Acceptor, type ListenTarget } from './accept.ts';
import { Http1Connection } from './http1-connection.ts';
import { NOBODY, type Transport, type TransportOwner } from '../transport/transport.ts';
import type { ConnectionOptions, DownstreamOptions } from './settings.ts';

/** The oldest connections come first; looking at more of them would make a flood expensive. */
const MAX_LOOKED_AT = 64;

export class Listener {
  readonly #connections = new Set<Http1Connection>();
  #options: ConnectionOptions;
  readonly #figures: ServiceRecorder;
  #acceptor: Acceptor | undefined;
  #onEmpty: (() => void) | undefined;

  private constructor(options: ConnectionOptions, figures: ServiceRecorder) {
    this.#options = options;
    this.#figures = figures;
  }

  /** @throws {Error} the address cannot be listened on */
  static async open(
    target: ListenTarget,
    options: DownstreamOptions,
    figures: ServiceRecorder,
    onError: (error: Error) => void,
  ): Promise<Listener> {
    const listener = new Listener({ ...options, server: NOT_LISTENING }, figures);
    listener.#acceptor = await accept(target, (transport) => listener.#admit(transport), onError);
    const { host, port } = listener.#acceptor.address;
    listener.#options = { ...options, server: { address: host, port } };
    return listener;
  }

  #admit(transport: Transport): TransportOwner {
    const { admission, mayConnect, server } = this.#options;
    if (mayConnect !== undefined && !mayConnect(clientOf(transport), server)) {
      transport.reset();
      return NOBODY;
    }
    if (admission.isFull) this.#makeRoom();
    const address = transport.remoteAddress;
    const refusal = admission.enter(address);
    if (refusal !== undefined) {
      this.#figures.connectionRefused(refusal);
      transport.reset();
      return NOBODY;
    }
    const connection = new Http1Connection(transport, this.#options, () =>
      this.#forget(connection, address),
    );
    this.#connections.add(connection);
    this.#figures.connectionOpened();
    return connection;
  }

  /** Closes an idle connection: its client loses nothing but a handshake. */
  #makeRoom(): void {
    let looked = 0;
    for (const connection of this.#connections) {
      if (connection.isIdle) {
        this.#forget(connection, connection.client.address);
        return connection.destroy();
      }
      looked += 1;
      if (looked === MAX_LOOKED_AT) return;
    }
  }

  #forget(connection: Http1Connection, address: string): void {
    if (!this.#connections.delete(connection)) return;
    this.#options.admission.leave(address);
    this.#figures.connectionClosed();
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  get address(): { readonly host: string; readonly port: number } {
    return this.#acceptor!.address;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Accepts no more. */
  stopAccepting(): void {
    this.#acceptor!.close();
  }

  /**
   * Lets every connection finish its request, and idle ones live for `idleMs`.
   *
   * @returns resolves when the last connection has ended; `cut` makes that happen
   */
  drain(idleMs: number): Promise<void> {
    for (const connection of this.#connections) connection.drain(idleMs);
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Closes what is left, in the middle of whatever it does. */
  cut(): void {
    for (const connection of this.#connections) connection.destroy();
  }
}

/** Until the system has said which address it is; no connection is accepted before. */
const NOT_LISTENING = { address: '', port: 0 };

function clientOf({ remoteAddress, remotePort }: Transport): SocketAddress {
  return { address: remoteAddress, port: remotePort };
}
