import assert from 'node:assert/strict';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { createServer, type AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { connect } from '../../../../src/worker/transport/connect.ts';
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
  test('comes from the source address that is asked for', async (t) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const from = new Promise((resolve) =>
      server.once('connection', (socket) => {
        resolve(socket.remoteAddress);
        socket.destroy();
      }),
    );

    await outcome(t, '127.0.0.1', (server.address() as AddressInfo).port, '127.0.0.9');

    assert.equal(await from, '127.0.0.9');
  });

  test('fails if the source address is not ours', async (t) => {
    const port = await listening(t);

    assert.match(await outcome(t, '127.0.0.1', port, '192.0.2.1'), /connect EADDRNOTAVAIL/);
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
        found.map((address) => ({ address, family: 4 })),
      );
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

/** The address that accepted, or why none did. */
function outcome(t: TestContext, host: string, port: number, bindToIpv4?: string): Promise<string> {
  return new Promise((resolve) => {
    connect(
      { host, port, bindToIpv4 },
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
