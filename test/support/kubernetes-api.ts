/** An API server of Kubernetes for tests: over TLS, and it says what the test has told it to. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { edge } from './tls.ts';

export interface ApiRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  /** Answers, whole. */
  answer(status: number, body: object): void;
  /** Answers 200; events follow. */
  open(): void;
  send(event: object): void;
  /** Ends the watch as the server does after a while. */
  end(): void;
  /** Ends it in the middle of a line. */
  cut(): void;
  /** Resolves once the other side has gone. */
  readonly left: Promise<void>;
}

export interface KubernetesApi {
  readonly url: string;
  /** The next request that nobody has taken yet. */
  next(): Promise<ApiRequest>;
}

export async function startKubernetesApi(t: TestContext): Promise<KubernetesApi> {
  const arrived: ApiRequest[] = [];
  const waiting: ((request: ApiRequest) => void)[] = [];
  const server = createServer({ cert: edge.cert, key: edge.key }, (request, response) => {
    const made = apiRequest(request, response);
    const taker = waiting.shift();
    if (taker === undefined) arrived.push(made);
    else taker(made);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    next() {
      const first = arrived.shift();
      return first === undefined
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve(first);
    },
  };
}

function apiRequest(request: IncomingMessage, response: ServerResponse): ApiRequest {
  const { pathname, searchParams } = new URL(request.url!, 'https://api.test');
  return {
    path: pathname,
    query: searchParams,
    authorization: request.headers.authorization,
    answer(status, body) {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    },
    open() {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
    },
    send: (event) => void response.write(`${JSON.stringify(event)}\n`),
    end: () => void response.end(),
    cut() {
      response.write('{"type":"MODI');
      setImmediate(() => response.destroy());
    },
    left: new Promise((resolve) => response.on('close', () => resolve())),
  };
}

export interface PodState {
  readonly ip: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
}

/** One with a port 8080 named `http`. */
export function endpointSlice(
  name: string,
  version: string,
  pods: readonly (string | PodState)[],
): object {
  return {
    metadata: { name, resourceVersion: version },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: pods.map((pod) => {
      if (typeof pod === 'string') return { addresses: [pod], conditions: { ready: true } };
      const { ip, ...conditions } = pod;
      return { addresses: [ip], conditions };
    }),
  };
}
