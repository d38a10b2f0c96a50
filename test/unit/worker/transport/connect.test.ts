import assert from 'node:assert/strict';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { readFileSync } from 'node:fs';
import { createServer, isIP, type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import {
  connect,
  connectNodesWay,
  connectSocket,
  type ConnectTarget,
} from '../../../../src/worker/transport/connect.ts';
import { tcpInternals, type TcpHandle } from '../../../../src/worker/transport/node-internals.ts';
import { NOBODY } from '../../../../src/worker/transport/transport.ts';
import { closedPort } from '../../../support/index.ts';

describe('connecting to a name', () => {
  test('tries its addresses in turn, until one accepts', async (t) => {
    const port = await listening(t);
    resolveTo(t, ['127.0.0.3', '127.0.0.2', '127.0.0.1']);

    assert.equal(await outcome(t, 'api.test', port), '127.0.0.1');
  });

  test('fails as its last address fails, when all do', async (t) => {
    resolveTo(t, ['127.0.0.2', '127.0.0.1']);

    assert.equal(await outcome(t, 'api.test', await closedPort()), 'connect ECONNREFUSED');
  });

  test('fails if it has no address', async (t) => {
    resolveTo(t, []);

    assert.equal(await outcome(t, 'api.test', 1), 'api.test has no address');
  });

  test('fails if the name is not known', async (t) => {
    resolveTo(t, new Error('getaddrinfo ENOTFOUND api.test'));

    assert.equal(await outcome(t, 'api.test', 1), 'getaddrinfo ENOTFOUND api.test');
  });
});

describe('connecting to an address', () => {
  test('fails if the source address is not ours, and says which', async (t) => {
    const port = await listening(t);

    assert.equal(
      await outcome(t, '127.0.0.1', port, { bindToIpv4: '192.0.2.1' }),
      'connect EADDRNOTAVAIL from 192.0.2.1',
    );
  });

  test('can be stopped, and then nobody hears of it', async (t) => {
    const port = await listening(t);
    const heard: string[] = [];
    const stop = connect(
      { host: '127.0.0.1', port },
      { onConnected: () => heard.push('connected'), onFailed: () => heard.push('failed') },
    );
    stop();

    // Another one, begun later, has ended: so would the first have.
    await outcome(t, '127.0.0.1', port);
    assert.deepEqual(heard, []);
  });
});

const ways = [
  { name: 'over the handle', open: connectSocket },
  { name: 'with a socket of Node’s', open: connectNodesWay },
];
for (const { name, open } of ways) {
  describe(`connecting ${name}`, () => {
    const families = [
      { host: '127.0.0.1', bind: { bindToIpv4: '127.0.0.9' }, from: '127.0.0.9' },
      { host: '::1', bind: { bindToIpv6: '::1' }, from: '::1' },
      // The source of the other family is none of its business.
      { host: '127.0.0.1', bind: { bindToIpv6: '2001:db8::1' }, from: '127.0.0.1' },
      { host: '::1', bind: { bindToIpv4: '192.0.2.1' }, from: '::1' },
    ];
    for (const { host, bind, from } of families) {
      test(`to ${host} with ${JSON.stringify(bind)} comes from ${from}`, async (t) => {
        const { port, nextClient } = await remembering(t, host);

        await socketTo(t, open, { host, port, ...bind });

        assert.equal(await nextClient, from);
      });
    }

    for (const [address, from] of [
      ['127.0.0.1', '127.0.0.9'],
      ['::1', '::1'],
    ] as const) {
      test(`to a name that is ${address} comes from the source address of that family`, async (t) => {
        const { port, nextClient } = await remembering(t, address);
        resolveTo(t, [address]);
        const bind = { bindToIpv4: '127.0.0.9', bindToIpv6: '::1' };

        await socketTo(t, open, { host: 'api.test', port, ...bind });

        assert.equal(await nextClient, from);
      });
    }

    test('fails if a source address of IPv6 is not ours', async (t) => {
      const { port } = await remembering(t, '::1');
      const target = { host: '::1', port, bindToIpv6: '2001:db8::1' };

      await assert.rejects(socketTo(t, open, target), { code: 'EADDRNOTAVAIL' });
    });

    test('tries the addresses of a name in turn', async (t) => {
      const { port } = await remembering(t, '127.0.0.1');
      resolveTo(t, ['127.0.0.2', '127.0.0.1']);

      assert.equal((await socketTo(t, open, { host: 'api.test', port })).remotePort, port);
    });

    test('asks the kernel to look whether the other end is still there, if it should', async (t) => {
      const { port } = await remembering(t, '127.0.0.1');
      const target = { host: '127.0.0.1', port };
      const asked = t.mock.method(tcpInternals()!.TCP.prototype as TcpHandle, 'setKeepAlive');

      const plain = await socketTo(t, open, target);
      assert.deepEqual(timerOf(plain), { kind: 'none' });

      const tcpKeepAlive = { idleMs: 3_000, intervalMs: 2_000, count: 4 };
      const kept = await socketTo(t, open, { ...target, tcpKeepAlive });
      const timer = timerOf(kept);
      assert.equal(timer.kind, 'keep-alive');
      assert.ok(timer.ms! > 1_000 && timer.ms! <= 3_000, `${timer.ms} ms`);
      assert.deepEqual(asked.mock.calls.at(-1)!.arguments, [true, 3, 2, 4]);
    });
  });
}

/** A server whose next client's address the test wants to know. */
async function remembering(t: TestContext, host: string) {
  let seen: (address: string | undefined) => void;
  const nextClient = new Promise<string | undefined>((resolve) => {
    seen = resolve;
  });
  const server = createServer((socket) => {
    seen(socket.remoteAddress);
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, nextClient };
}

function socketTo(
  t: TestContext,
  open: typeof connectSocket,
  target: ConnectTarget,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    open(target, {
      onSocket(socket) {
        t.after(() => socket.destroy());
        resolve(socket);
      },
      onFailed: reject,
    });
  });
}

/** What the kernel waits for on a connection over IPv4, and how long it still will. */
function timerOf({ localPort, remotePort }: Socket): { kind: string; ms?: number } {
  const ends = [localPort, remotePort].map((port) => `:${hex(port!)}`);
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, local = '', remote = '', , , timer = ''] = line.trim().split(/\s+/);
    if (!local.endsWith(ends[0]!) || !remote.endsWith(ends[1]!)) continue;
    const [kind, jiffies = '0'] = timer.split(':');
    if (kind === '00') return { kind: 'none' };
    // proc(5): in hundredths of a second.
    return {
      kind: kind === '02' ? 'keep-alive' : 'another',
      ms: Number.parseInt(jiffies, 16) * 10,
    };
  }
  throw new Error('the kernel knows no such connection');
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}

async function listening(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function resolveTo(t: TestContext, found: readonly string[] | Error): void {
  t.mock.method(dns, 'lookup', (...args: unknown[]) => {
    const done = args.at(-1) as (error: Error | null, found?: object[]) => void;
    if (found instanceof Error) setImmediate(done, found);
    else
      setImmediate(
        done,
        null,
        found.map((address) => ({ address, family: isIP(address) })),
      );
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

/** The address that accepted, or why none did. */
function outcome(
  t: TestContext,
  host: string,
  port: number,
  bind: Pick<ConnectTarget, 'bindToIpv4'> = {},
): Promise<string> {
  return new Promise((resolve) => {
    connect(
      { host, port, ...bind },
      {
        onConnected: (connected) =>
          connected((transport) => {
            t.after(() => transport.destroy());
            resolve(transport.remoteAddress);
            return NOBODY;
          }),
        onFailed: ({ message }) => resolve(message),
      },
    );
  });
}
