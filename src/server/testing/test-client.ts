/** A client of the proxy, with one connection that it keeps. */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import type { TlsFacts } from '../../worker/http/exchange.ts';
import { Headers } from '../../worker/http/headers.ts';
import type { MemoryNetwork } from './memory-network.ts';
import type { MemorySocket } from './memory-socket.ts';

export interface FetchInit {
  /** Default `GET`. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface ClientInit {
  /** Where it connects from. Default `203.0.113.1`. */
  readonly address?: string;
  /** Makes the connection one over TLS, in the proxy's eyes: no handshake happens. */
  readonly tls?: Partial<TlsFacts>;
}

export interface TestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  /** The body as UTF-8. */
  readonly text: string;
}

const TLS_FACTS: TlsFacts = {
  version: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
  sni: undefined,
  alpn: undefined,
};

export function connectClient(
  network: MemoryNetwork,
  { address = '203.0.113.1', tls }: ClientInit,
): MemorySocket {
  return network.connect(address, tls && { ...TLS_FACTS, ...tls });
}

export class TestClient {
  readonly #network: MemoryNetwork;
  readonly #agent: MemoryAgent;

  constructor(network: MemoryNetwork, init: ClientInit) {
    this.#network = network;
    this.#agent = new MemoryAgent(() => connectClient(network, init));
  }

  /**
   * The answer, when all of it is here and the proxy is done with the request.
   *
   * @throws {Error} the connection broke before that
   */
  async fetch(path: string, { method = 'GET', headers, body }: FetchInit = {}) {
    const answer = await new Promise<TestAnswer>((resolve, reject) => {
      const options = { host: 'proxy.test', path, method, headers: { ...headers } };
      const request = httpRequest({ ...options, agent: this.#agent }, (response) => {
        readAnswer(response).then(resolve, reject);
      });
      request.on('error', reject);
      request.end(body);
    });
    await this.#network.settle();
    return answer;
  }

  /** Closes the connection. To the proxy that may mean that nothing more is asked: it still answers. */
  leave(): void {
    this.#agent.destroy();
  }

  /** Ends the connection with a reset: nobody waits for an answer any more. */
  reset(): void {
    this.#agent.reset();
  }
}

class MemoryAgent extends Agent {
  readonly #open: () => MemorySocket;
  #socket: MemorySocket | undefined;

  constructor(open: () => MemorySocket) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#open = open;
  }

  override createConnection(): MemorySocket {
    this.#socket = this.#open();
    return this.#socket;
  }

  reset(): void {
    if (this.#socket !== undefined) this.#socket.resetAndClosing = true;
    this.#socket?.destroy();
  }
}

async function readAnswer(response: IncomingMessage): Promise<TestAnswer> {
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  const body = Buffer.concat(pieces);
  return {
    status: response.statusCode ?? 0,
    headers: new Headers([...response.rawHeaders]),
    body,
    text: body.toString(),
  };
}
