/**
 * Exchanges between a raw client and a raw origin through one running Sluice:
 * every byte that either of them receives is compared.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { rawClient, rawPeer, type RawClient, type RawPeer } from './raw.ts';
import { startSluice, type Sluice } from './sluice.ts';

/** What Sluice adds to every request of a client at 127.0.0.1 that asked for host `a`. */
export const ADDED =
  'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nVia: 1.1 sluice\r\n';

/** A request that Sluice answers itself: whoever gets `IN_STEP` for it still agrees about where messages end. */
export const ASK_IN_STEP = 'GET /in-step HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
export const IN_STEP =
  'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 7\r\nConnection: close\r\n\r\nin step';

export interface WireRow {
  readonly name: string;
  readonly clientSends: string;
  /** All that its connection ever carried. */
  readonly originSees: string;
  /** Once it has seen all of it. */
  readonly originSends: string;
  /** The origin ends its connection then, as it does without this, but before the client has its answer. */
  readonly originEnds?: boolean;
  /** All that it receives until the connection closes. With `IN_STEP` at its end, it asks for that. */
  readonly clientSees: string;
}

export interface Wire {
  readonly sluice: Sluice;
  readonly peer: RawPeer;
}

/**
 * @param more of the service's settings, in YAML
 * @param routes after those for `/in-step` and `/refused`
 */
export async function startWire(
  t: TestContext,
  more = '',
  ofUpstream = '',
  routes = '- { upstream: api }',
): Promise<Wire> {
  const peer = await rawPeer(t);
  const sluice = await startSluice(
    t,
    `
    upstreams: { api: { peers: ['${peer.address}'], ${ofUpstream} } }
    services:
      - name: edge
        listen: [127.0.0.1:0]
        ${more}
        routes:
          - { match: { path: /in-step }, respond: { status: 200, body: in step } }
          - { match: { path: /refused }, respond: { status: 401 } }
          ${routes}
    `,
  );
  return { sluice, peer };
}

export async function runRow(t: TestContext, { sluice, peer }: Wire, row: WireRow): Promise<void> {
  const client = await rawClient(t, sluice.port);
  client.send(row.clientSends);
  const origin = await peer.nextConnection();
  await hasReceived(origin, row.originSees.length);
  origin.send(row.originSends);
  if (row.originEnds === true) origin.socket.end();
  try {
    await leavesClientWith(client, row.clientSees);
  } finally {
    // It must leave the pool, or the next row would be given this connection.
    origin.socket.end();
    await origin.closed();
  }
  assert.equal(origin.received, row.originSees, 'what the origin received');
}

/** Waits for the end of the client's connection, and compares all that it carried. */
export async function leavesClientWith(client: RawClient, expected: string): Promise<void> {
  if (expected.endsWith(IN_STEP)) {
    await hasReceived(client, expected.length - IN_STEP.length);
    client.send(ASK_IN_STEP);
  }
  assert.equal(undated(await client.closed()), expected, 'what the client received');
}

/** Resolves when so many bytes have come, or no more can. */
export function hasReceived(side: RawClient, length: number): Promise<void> {
  return Promise.race([
    side.receives(new RegExp(`^[^]{${length}}`)).then(
      () => {},
      () => {},
    ),
    side.closed().then(() => {}),
  ]);
}

/** The origins of the tests send `Date: now`. */
export function undated(text: string): string {
  return text.replaceAll(/\r\nDate: [^\r]+\r\n/g, '\r\nDate: now\r\n');
}
