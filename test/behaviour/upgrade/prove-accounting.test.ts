/**
 * The clients of `sluice prove-upgrade` against servers that lose things: a
 * proof that cannot fail would prove nothing.
 */
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { runEvents, runWebSockets } from '../../../src/prove/clients/endless.ts';
import { runKeepAlive } from '../../../src/prove/clients/keep-alive.ts';
import { runBursts, runNewConnections } from '../../../src/prove/clients/new-connections.ts';
import type { Scene } from '../../../src/prove/clients/scene.ts';
import { runDownloads, runUploads } from '../../../src/prove/clients/transfers.ts';
import { Gaps } from '../../../src/prove/gaps.ts';
import { Ledger, type Account, type Columns } from '../../../src/prove/ledger.ts';
import { Origin } from '../../../src/prove/origin.ts';
import { Retirements } from '../../../src/prove/retirements.ts';
import { Connections } from '../../../src/prove/wire/connections.ts';
import { closedPort } from '../../support/index.ts';
import { meddlingProxy, type Meddling } from '../../support/meddling-proxy.ts';

type Client = (scene: Scene, account: Account) => Promise<void>;

const keepAlive: Client = (scene, account) => runKeepAlive(scene, account, 0);
const newConnections: Client = async (scene, account) => {
  using gaps = new Gaps();
  await runNewConnections(scene, account, gaps, () => 'nothing');
};

/** Changes the first bytes that contain `from`, once. */
function once(from: string, to: string): NonNullable<Meddling['toClient']> {
  let isDone = false;
  return (bytes, { client }) => {
    const text = bytes.toString('latin1');
    if (isDone || !text.includes(from)) return void client.write(bytes);
    isDone = true;
    client.write(text.replace(from, to), 'latin1');
  };
}

interface Fault {
  readonly name: string;
  readonly client: Client;
  readonly meddling: () => Meddling;
  /** The only column of losses that it may show in. */
  readonly column: 'failed' | 'reset' | 'repeated' | 'unasked' | 'broken';
  readonly says?: RegExp;
}

const faults: readonly Fault[] = [
  {
    name: 'resets every connection as soon as it has a request',
    client: newConnections,
    meddling: () => ({ toPeer: (_bytes, { client }) => void client.resetAndDestroy() }),
    column: 'reset',
  },
  {
    name: 'resets a connection that is kept, in the middle of an answer',
    client: keepAlive,
    meddling: () => ({
      toClient: (bytes, { client }) => {
        client.write(bytes.subarray(0, 40));
        setImmediate(() => client.resetAndDestroy());
      },
    }),
    column: 'reset',
  },
  {
    name: 'ends the connection when the request arrives',
    client: keepAlive,
    meddling: () => ({ toPeer: (_bytes, { client }) => void client.end() }),
    column: 'failed',
    says: /^cut: /,
  },
  {
    name: 'cuts an answer before its last byte',
    client: newConnections,
    meddling: () => ({ toClient: (bytes, { client }) => void client.end(bytes.subarray(0, -1)) }),
    column: 'failed',
    says: /^cut: /,
  },
  {
    name: 'is silent',
    client: newConnections,
    meddling: () => ({ toPeer: () => {} }),
    column: 'failed',
    says: /^late: /,
  },
  {
    name: 'says that it failed',
    client: keepAlive,
    meddling: () => ({ toClient: once('HTTP/1.1 200 OK', 'HTTP/1.1 502 No') }),
    column: 'failed',
    says: /^wrong: status 502/,
  },
  {
    name: 'gives the answer to another request',
    client: keepAlive,
    meddling: () => ({ toClient: once('/client/2\r\n', '/client/1\r\n') }),
    column: 'failed',
    says: /^wrong: the answer to .*\/client\/1 came for .*\/client\/2/,
  },
  {
    name: 'speaks something that is not HTTP',
    client: keepAlive,
    meddling: () => ({ toClient: once('HTTP/1.1', 'ICY') }),
    column: 'failed',
    says: /^wrong: got the status line/,
  },
  {
    name: 'changes a byte of a body',
    client: newConnections,
    meddling: () => ({
      toClient(bytes, { client }) {
        const changed = Buffer.from(bytes);
        changed[changed.length - 1]! ^= 1;
        client.write(changed);
      },
    }),
    column: 'failed',
    says: /^wrong: byte 63 of the body/,
  },
  {
    name: 'changes a byte of an upload',
    client: runUploads,
    meddling: () => {
      let seen = 0;
      return {
        toPeer(bytes, { peer }) {
          const changed = Buffer.from(bytes);
          if (seen > 0) changed[0]! ^= 1;
          seen += bytes.length;
          peer.write(changed);
        },
      };
    },
    column: 'failed',
    says: /^wrong: status 400 \(byte \d+ of the body is not what was sent\)/,
  },
  {
    name: 'leaves out a part of a download',
    client: runDownloads,
    meddling: () => {
      let piece = 0;
      return {
        toClient(bytes, { client }) {
          piece += 1;
          client.write(piece === 3 ? bytes.subarray(100) : bytes);
        },
      };
    },
    column: 'failed',
    says: /^wrong: byte \d+ of the body/,
  },
  {
    name: 'answers twice',
    client: newConnections,
    meddling: () => ({
      toClient(bytes, { client }) {
        client.write(bytes);
        client.write(bytes);
      },
    }),
    column: 'unasked',
  },
  {
    name: 'answers twice on a connection that is kept',
    client: keepAlive,
    meddling: () => ({
      toClient(bytes, { client }) {
        client.write(bytes);
        setImmediate(() => client.write(bytes));
      },
    }),
    column: 'unasked',
  },
  {
    name: 'sends a request to the origin twice',
    client: keepAlive,
    meddling: () => ({
      toPeer(bytes, { peer, again }) {
        peer.write(bytes);
        again(bytes);
      },
    }),
    column: 'repeated',
  },
  {
    name: 'ends a WebSocket before its time',
    client: runWebSockets,
    meddling: () => ({
      onConnection: ({ client }) => void setTimeout(() => client.end(), 100),
    }),
    column: 'broken',
    says: /cut after \d+ ms, although nothing had retired its worker/,
  },
  {
    name: 'loses a message of a WebSocket',
    client: runWebSockets,
    meddling: () => {
      let frames = 0;
      return {
        toPeer(bytes, { peer }) {
          frames += 1;
          if (frames !== 3) peer.write(bytes);
        },
      };
    },
    column: 'broken',
    says: /message "3" instead of "2"/,
  },
  {
    name: 'loses an event',
    client: runEvents,
    meddling: () => ({ toClient: once('id: 2\ndata: event 2\n\n', 'id: 3\ndata: event 3\n\n') }),
    column: 'broken',
    says: /event "id: 3/,
  },
  {
    name: 'ends a stream of events before its time',
    client: runEvents,
    meddling: () => ({
      onConnection: ({ client }) => void setTimeout(() => client.end(), 150),
    }),
    column: 'broken',
    says: /cut after/,
  },
  {
    name: 'pretends that a stream of events was complete',
    client: runEvents,
    meddling: () => ({ toClient: once('id: 2\n', '\r\n0\r\n\r\n') }),
    column: 'broken',
  },
];

describe('a server that', () => {
  for (const { name, client, meddling, column, says } of faults) {
    test(`${name} shows under "${column}"`, async (t) => {
      const driven = await drive(t, client, meddling());
      await driven.until((columns) => columns.includes(column));
      const { columns, incidents } = await driven.end();

      const losses = Object.fromEntries(LOSSES.map((each) => [each, columns[each]]));
      assert.ok(columns[column] > 0);
      assert.deepEqual({ ...losses, [column]: 0 }, NO_LOSSES);
      if (says !== undefined) assert.match(incidents[0]!, says);
    });
  }

  test('refuses connections shows under "refused", and nothing counts as sent', async (t) => {
    const driven = await drive(t, newConnections, {}, await closedPort());
    await driven.until((columns) => columns.includes('refused'));
    const { columns } = await driven.end();

    assert.ok(columns.refused > 0);
    assert.equal(columns.sent, 0);
  });
});

describe('a server that loses nothing', () => {
  const clients: Readonly<Record<string, Client>> = {
    keepAlive,
    newConnections,
    runBursts,
    runDownloads,
    runUploads,
    runWebSockets,
    runEvents,
  };
  for (const [name, client] of Object.entries(clients)) {
    test(`shows under nothing but sent and answered (${name})`, async (t) => {
      const driven = await drive(t, client, {});
      await wait(400);
      const { columns, incidents } = await driven.end();

      assert.deepEqual(incidents, []);
      assert.ok(columns.sent > 0);
      assert.deepEqual({ ...columns, longestMs: 0 }, { ...NOTHING, ...bothOf(columns) });
    });
  }

  test('is not blamed for a stream that the client leaves before its answer', async (t) => {
    const driven = await drive(t, runEvents, {
      toClient: (bytes, { client }) => void setTimeout(() => client.write(bytes), 100),
    });
    while (driven.account.counts.sent === 0) await wait(5);
    const { columns, incidents } = await driven.end();

    assert.deepEqual(incidents, []);
    assert.deepEqual({ ...columns, longestMs: 0 }, { ...NOTHING, ...bothOf(columns) });
  });

  test('may close a connection that is idle', async (t) => {
    const slowest: Client = (scene, account) => runKeepAlive(scene, account, 4);
    const driven = await drive(t, slowest, {
      toClient: (bytes, { client }) => void client.end(bytes),
    });
    while (driven.account.counts.answered < 2) await wait(5);
    const { columns, incidents } = await driven.end();

    assert.deepEqual(incidents, []);
    assert.deepEqual({ ...columns, longestMs: 0 }, { ...NOTHING, ...bothOf(columns) });
  });

  test('may end a WebSocket when the grace period of its worker is over', async (t) => {
    const driven = await drive(t, runWebSockets, {
      onConnection: ({ client }) => void setTimeout(() => client.end(), 250),
    });
    driven.retirements.begin(performance.now());
    await wait(400);
    const { columns, incidents } = await driven.end();

    assert.deepEqual(incidents, []);
    assert.ok(columns.answered > 1, 'there was a second WebSocket');
  });
});

test('what takes longer than the grace period is in a column of its own', async (t) => {
  const driven = await drive(t, keepAlive, {
    toClient: (_bytes, { client }) => void setTimeout(() => client.end(), 300),
  });
  driven.retirements.begin(performance.now());
  while (driven.account.counts.outlived === 0) await wait(5);
  const { columns, incidents } = await driven.end();

  assert.deepEqual(incidents, []);
  assert.equal(columns.sent, columns.outlived);
});

test('what ends with a worker that was killed is in a column of its own', async (t) => {
  const links: { port: number; cut(): void }[] = [];
  const driven = await drive(t, keepAlive, {
    onConnection: ({ client }) =>
      void links.push({ port: client.remotePort!, cut: () => client.resetAndDestroy() }),
    toClient: () => {},
  });
  while (links.length === 0) await wait(5);
  const [link] = links;
  driven.connections.doom([`${link!.port}>${driven.port}`]);
  link!.cut();
  while (links.length === 1) await wait(5);
  const [, second] = links;
  await wait(10);
  second!.cut();
  await driven.until((columns) => columns.includes('reset'));
  const { columns } = await driven.end();

  assert.equal(columns.killed, 1);
  assert.ok(columns.reset >= 1);
});

const LOSSES = [
  'failed',
  'refused',
  'reset',
  'repeated',
  'unasked',
  'broken',
  'killed',
  'outlived',
] as const;
const NO_LOSSES = Object.fromEntries(LOSSES.map((each) => [each, 0]));
const NOTHING = { client: 'client', longestMs: 0, ...NO_LOSSES };

function bothOf({ sent }: Columns) {
  return { sent, answered: sent };
}

async function drive(t: TestContext, client: Client, meddling: Meddling, port?: number) {
  const run = 'test';
  const origin = await Origin.start({ run, clients: ['client'] });
  t.after(() => origin[Symbol.asyncDispose]());
  const proxyPort = port ?? (await meddlingProxy(t, origin.address, meddling));
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const connections = new Connections();
  const retirements = new Retirements(200);
  const ledger = new Ledger();
  const account = ledger.account('client');
  const running = client(
    {
      run,
      endpoints: [{ host: '127.0.0.1', port: proxyPort, tls: false }],
      connections,
      retirements,
      patienceMs: 500,
      streamMs: 100,
      stop: stop.signal,
    },
    account,
  );
  const seen = () => {
    const counts = { ...account.counts, repeated: origin.repeatedOf('client') };
    return Object.entries(counts).flatMap(([column, count]) => (count > 0 ? [column] : []));
  };
  return {
    account,
    connections,
    retirements,
    port: proxyPort,
    async until(holds: (columns: readonly string[]) => boolean) {
      while (!holds(seen())) await Promise.race([wait(5), running]);
    },
    async end() {
      stop.abort();
      await running;
      const [columns] = ledger.close((name) => origin.repeatedOf(name));
      return { columns: columns!, incidents: ledger.incidents.map(({ what }) => what) };
    },
  };
}
