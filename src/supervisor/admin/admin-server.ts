/**
 * The pages for operators and scrapers: metrics, health, status. They read
 * memory and ask no worker, so a stuck worker cannot make them slow.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { showPlace, type Place } from '../../shared/ipc/place.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import type { InheritedSockets } from '../inheritance.ts';
import { acceptOn, openOwnSocket, type OwnSocket } from '../own-socket.ts';
import type { Identity } from '../privileges.ts';
import { refusalOf } from './access.ts';
import { json, routes, type AdminParts, type Page } from './routes.ts';

export interface AdminOptions extends AdminParts {
  readonly place: Place;
  /** What a request must show; without one, only its address protects the page. */
  readonly token: string | undefined;
  readonly owner: Identity;
  readonly inherited: InheritedSockets | undefined;
  readonly libc: Libc | undefined;
}

export interface AdminServer {
  readonly place: Place;
  /** For a successor; absent where sockets cannot be passed. */
  readonly socket: OwnSocket | undefined;
  /** Answers from now on; who asks before that waits. */
  accept(): Promise<void>;
  /** @param keepFile it is a successor's now */
  close(keepFile: boolean): Promise<void>;
}

const MAX_CONNECTIONS = 64;
const MAX_HEAD_BYTES = 8 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
/** Then a client that does not read its answer is cut. */
const STALLED_MS = 30_000;

/** @throws {Error} the place cannot be listened on; the message names it */
export async function startAdminServer(options: AdminOptions): Promise<AdminServer> {
  const server = createServer({ maxHeaderSize: MAX_HEAD_BYTES }, (request, response) => {
    void answer(request, response, options);
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.headersTimeout = REQUEST_TIMEOUT_MS;
  server.timeout = STALLED_MS;
  const { place, libc } = options;
  try {
    const socket = libc && openOwnSocket(libc, options);
    const bound = socket?.place ?? (await listen(server, place));
    return {
      place: bound,
      socket,
      async accept() {
        if (libc !== undefined && socket !== undefined) await acceptOn(server, socket, libc);
      },
      async close(keepFile) {
        await closed(server);
        socket?.close(keepFile);
      },
    };
  } catch (thrown) {
    throw new Error(`admin cannot listen on ${showPlace(place)}: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

/** Where no calls of the C library can be made. */
function listen(server: Server, place: Place): Promise<Place> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    if ('path' in place) return void server.listen(place.path, () => resolve(place));
    return void server.listen({ ...place, exclusive: true }, () => {
      const { address, port } = server.address() as AddressInfo;
      resolve({ host: address, port });
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminOptions,
): Promise<void> {
  // Nothing that is asked here has a body worth waiting for.
  request.resume();
  const { status, type, body, allow } = await pageFor(request, options);
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(allow !== undefined && { allow }),
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function pageFor(request: IncomingMessage, options: AdminOptions): Promise<Page> {
  const { headers, method, url = '/' } = request;
  const [path, query = ''] = url.split('?', 2);
  const found = routes.filter((each) => each.path === path);
  const open = found.some((each) => each.open === true);
  const refusal = refusalOf(
    { host: headers.host, authorization: headers.authorization },
    options.place,
    options.token,
    open,
  );
  if (refusal !== undefined) return json(refusal.status, { error: refusal.error });
  if (found.length === 0) {
    const known = routes.map(({ path: each, means }) => ({ path: each, means }));
    return json(404, { error: 'there is no such page', pages: known });
  }
  const route = found.find((each) => each.method === (method === 'HEAD' ? 'GET' : method));
  if (route === undefined) {
    const allow = found
      .map((each) => (each.method === 'GET' ? 'GET, HEAD' : each.method))
      .join(', ');
    return { ...json(405, { error: `${path} does not take ${method}` }), allow };
  }
  if (route.method === 'POST' && options.token === undefined) {
    // Every program of the machine can reach the address, and every page in a browser on it.
    return json(403, { error: 'only with admin.token: without one, anybody here could do this' });
  }
  try {
    return await route.page(options, new URLSearchParams(query));
  } catch (thrown) {
    return json(500, { error: (thrown as Error).message });
  }
}
