/** Connects the proxy with its clients and its peers, without leaving the process. */
import { constants } from 'node:os';
import type { Socket } from 'node:net';
import type { Accept } from '../../worker/downstream/accept.ts';
import type { SocketAddress, TlsFacts } from '../../worker/http/exchange.ts';
import type { Network } from '../../worker/start.ts';
import type { Connected } from '../../worker/transport/connect.ts';
import { SocketTransport } from '../../worker/transport/socket-transport.ts';
import { systemError } from '../../worker/transport/system-error.ts';
import type { Transport, TransportOwner } from '../../worker/transport/transport.ts';
import type { Dial } from '../../worker/upstream/dial.ts';
import { MemorySocket, type Traffic } from './memory-socket.ts';
import type { ScriptedPeer } from './scripted-peer.ts';

const PROXY: SocketAddress = { address: '127.0.0.1', port: 6188 };
/** Turns of the event loop without anything arriving: a write waits for one, a read for another. */
const QUIET_TURNS = 6;

export class MemoryNetwork implements Network {
  readonly #traffic: Traffic = { arrivals: 0 };
  readonly #peerAt: (address: string) => ScriptedPeer;
  #ownerOf: ((transport: Transport) => TransportOwner) | undefined;
  #lastPort = 49_151;

  /** @param peerAt what is there at an address */
  constructor(peerAt: (address: string) => ScriptedPeer) {
    this.#peerAt = peerAt;
  }

  readonly accept: Accept = (_target, ownerOf) => {
    this.#ownerOf = ownerOf;
    return Promise.resolve({
      address: { host: PROXY.address, port: PROXY.port },
      close: () => {
        this.#ownerOf = undefined;
      },
    });
  };

  /**
   * A client connects.
   *
   * @param tls what its handshake would have agreed on
   * @returns the client's end
   */
  connect(address: string, tls: TlsFacts | undefined): MemorySocket {
    const [client, proxy] = MemorySocket.pair(this.#newAddress(address), PROXY, this.#traffic);
    const ownerOf = this.#ownerOf;
    if (ownerOf === undefined) {
      client.destroy(systemError(-constants.errno.ECONNREFUSED, 'connect'));
    } else setImmediate(() => overMemory(proxy, tls)(ownerOf));
    return client;
  }

  readonly dial: Dial = (peer, listener) => {
    let isStopped = false;
    setImmediate(() => {
      const found = this.#peerAt(peer.address);
      if (isStopped || found.connects === 'ignore') return;
      if (found.connects === 'refuse') {
        return listener.onFailed(systemError(-constants.errno.ECONNREFUSED, 'connect'));
      }
      const { host: address, port } = peer;
      const [proxy, other] = MemorySocket.pair(
        this.#newAddress(PROXY.address),
        { address, port },
        this.#traffic,
      );
      found.accept(other, peer.address);
      listener.onConnected(overMemory(proxy, undefined));
    });
    return () => {
      isStopped = true;
    };
  };

  #newAddress(address: string): SocketAddress {
    this.#lastPort = this.#lastPort === 65_535 ? 49_152 : this.#lastPort + 1;
    return { address, port: this.#lastPort };
  }

  /** Resolves when everything that was sent has arrived, and nothing was sent because of it. */
  async settle(): Promise<void> {
    let seen = this.#traffic.arrivals;
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#traffic.arrivals === seen) continue;
      seen = this.#traffic.arrivals;
      quiet = -1;
    }
  }
}

/** Our sockets have all that the transport uses of one of Node's. */
function overMemory(socket: MemorySocket, tls: TlsFacts | undefined): Connected {
  const nodes = socket as unknown as Socket;
  const secured = tls === undefined ? undefined : { facts: tls, raw: nodes };
  return (ownerOf) => SocketTransport.over(nodes, ownerOf, secured);
}
