/**
 * The page for operators and scrapers: metrics, health, status. It reads memory
 * and asks no worker, so a stuck worker cannot make it slow.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { METRICS_TYPE } from '../../shared/metrics/content-type.ts';

export interface AdminOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly metrics: () => Promise<string>;
  /** Why Sluice cannot take requests; `undefined` if it can. */
  readonly readiness: () => string | undefined;
  readonly status: () => unknown;
}

export interface AdminServer {
  readonly address: { readonly host: string; readonly port: number };
  close(): Promise<void>;
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

interface Route {
  readonly path: string;
  readonly means: string;
  readonly page: (options: AdminOptions) => Page | Promise<Page>;
}

const TEXT = 'text/plain; charset=utf-8';

const routes: readonly Route[] = [
  {
    path: '/metrics',
    means: 'figures in Prometheus’ text format',
    page: async ({ metrics }) => ({
      status: 200,
      type: METRICS_TYPE,
      body: await metrics(),
    }),
  },
  {
    path: '/healthz',
    means: '200 while the supervisor runs',
    page: () => ({ status: 200, type: TEXT, body: 'ok\n' }),
  },
  {
    path: '/readyz',
    means: '200 while at least one worker takes requests',
    page({ readiness }) {
      const reason = readiness();
      return {
        status: reason === undefined ? 200 : 503,
        type: TEXT,
        body: `${reason ?? 'ready'}\n`,
      };
    },
  },
  {
    path: '/status',
    means: 'the workers, as JSON',
    page: ({ status }) => ({
      status: 200,
      type: 'application/json',
      body: `${JSON.stringify(status(), null, 2)}\n`,
    }),
  },
];

const MAX_CONNECTIONS = 64;
const REQUEST_TIMEOUT_MS = 10_000;

/** @throws {Error} the address cannot be listened on; the message names it */
export async function startAdminServer(options: AdminOptions): Promise<AdminServer> {
  const server = createServer((request, response) => void answer(request, response, options));
  server.maxConnections = MAX_CONNECTIONS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.headersTimeout = REQUEST_TIMEOUT_MS;
  const { host, port } = options.listen;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new Error(`admin cannot listen on ${host}:${port}: ${error.message}`, { cause: error }),
      ),
    );
    server.listen({ host, port, exclusive: true }, resolve);
  });
  const { address, port: chosen } = server.address() as AddressInfo;
  return {
    address: { host: address, port: chosen },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminOptions,
): Promise<void> {
  const { status, type, body } = await pageFor(request, options);
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 405 && { allow: 'GET, HEAD' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function pageFor(request: IncomingMessage, options: AdminOptions): Promise<Page> {
  if (!isDirect(request.headers.host, options.listen.host)) {
    return {
      status: 421,
      type: TEXT,
      body: 'ask for this page by its address: a name could be somebody else’s\n',
    };
  }
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, type: TEXT, body: 'only GET and HEAD\n' };
  const path = (request.url ?? '/').split('?')[0];
  const route = routes.find((each) => each.path === path);
  if (route === undefined) {
    const list = routes.map(({ path: known, means }) => `${known}  ${means}\n`).join('');
    return { status: 404, type: TEXT, body: `There is:\n${list}` };
  }
  try {
    return await route.page(options);
  } catch (thrown) {
    return { status: 500, type: TEXT, body: `${(thrown as Error).message}\n` };
  }
}

/**
 * A web page elsewhere could point its own name at this address and read what it
 * gets (DNS rebinding); it cannot send an address as its Host.
 */
function isDirect(hostField: string | undefined, listenHost: string): boolean {
  const host = (hostField ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return isIP(host) !== 0 || host === 'localhost' || host === listenHost;
}
