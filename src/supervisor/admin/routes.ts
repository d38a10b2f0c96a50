/**
 * Everything the admin address answers. A route is one row here; whoever adds
 * one that changes something must know that on a loopback address without a
 * token every user of the machine may call it, and every web page that a browser
 * of this machine shows may try to.
 */
import type { Operations, PeerSwitch } from '../operations.ts';

export interface AdminParts {
  readonly operations: Operations;
  /** In Prometheus’ text format. */
  readonly metrics: () => Promise<string>;
}

export interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  /** Of a 405: the methods that there are (RFC 9110 §10.2.1). */
  readonly allow?: string;
}

export interface Route {
  readonly path: string;
  /** GET answers HEAD too; POST changes something, and needs a token. */
  readonly method: 'GET' | 'POST';
  readonly means: string;
  /** Needs no token: probes of load balancers have none, and learn nothing else. */
  readonly open?: true;
  readonly page: (parts: AdminParts, query: URLSearchParams) => Page | Promise<Page>;
}

const TEXT = 'text/plain; charset=utf-8';

export const routes: readonly Route[] = [
  {
    path: '/metrics',
    method: 'GET',
    means: 'figures in Prometheus’ text format',
    page: async ({ metrics }) => ({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: await metrics(),
    }),
  },
  {
    path: '/healthz',
    method: 'GET',
    means: '200 while the supervisor runs',
    open: true,
    page: () => ({ status: 200, type: TEXT, body: 'ok\n' }),
  },
  {
    path: '/readyz',
    method: 'GET',
    means: '200 while new connections are taken, by at least one worker',
    open: true,
    page({ operations }) {
      const reason = whyNotReady(operations);
      return {
        status: reason === undefined ? 200 : 503,
        type: TEXT,
        body: `${reason ?? 'ready'}\n`,
      };
    },
  },
  {
    path: '/status',
    method: 'GET',
    means: 'what runs, as JSON: state, addresses, workers, the last reload',
    page: ({ operations }) => json(200, operations.status()),
  },
  {
    path: '/peers',
    method: 'GET',
    means: 'the peers of all upstreams, and their health, as JSON',
    page: ({ operations }) => json(200, operations.peers()),
  },
  {
    path: '/peers/drain',
    method: 'POST',
    means: '?peer=ADDRESS[&upstream=NAME]: give the peer no new requests',
    page: ({ operations }, query) => switchPeer(operations, 'drained', query),
  },
  {
    path: '/peers/enable',
    method: 'POST',
    means: '?peer=ADDRESS[&upstream=NAME]: give it requests again',
    page: ({ operations }, query) => switchPeer(operations, 'enabled', query),
  },
];

function switchPeer(operations: Operations, to: PeerSwitch['to'], query: URLSearchParams): Page {
  const peer = query.get('peer');
  if (peer === null) return json(400, { error: 'expected ?peer=ADDRESS' });
  const outcome = operations.switchPeer({ to, peer, upstream: query.get('upstream') ?? undefined });
  if (outcome.kind === 'refused') return json(409, { error: outcome.reason });
  return json(200, { done: outcome.text });
}

export function json(status: number, value: unknown): Page {
  return { status, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}

/** A draining server still answers, but wants no new clients. */
function whyNotReady(operations: Operations): string | undefined {
  const { state, workers = [] } = operations.status();
  if (state !== 'serving') return state;
  return workers.some((worker) => worker.state === 'ready') ? undefined : 'no worker is ready';
}
