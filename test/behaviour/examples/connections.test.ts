import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  closedPort,
  get,
  rawClient,
  startExample,
  startPeer,
  type Example,
} from '../../support/index.ts';

describe('examples of connections', () => {
  test('backoff-retry: an origin that is away for a moment is waited for', async (t) => {
    const port = await closedPort();
    const conf = fileURLToPath(
      new URL('../../../examples/backoff-retry/conf.yaml', import.meta.url),
    );
    const example = await startExample(t, 'backoff-retry', {
      args: ['-c', conf],
      env: { ORIGIN: `127.0.0.1:${port}` },
    });
    await example.keepsItsPromises();
    await example.says(/^status=502 attempts=5 elapsed=\d+\.\dms$/);

    const pending = get(example.ports[0]!, '/', { method: 'POST', body: 'once' });
    // The first one's five attempts are over.
    await example.running.until(
      () => (notYet(example).length > 5 ? true : undefined),
      'another attempt that fails',
    );
    const origin = await startPeer(t, undefined, port);

    assert.equal((await pending).status, 200);
    assert.equal(String(origin.requests[0]?.body), 'once');
  });

  test('services: HTTP, an echo over TCP, and a task that counts', async (t) => {
    const env = { ECHO: '127.0.0.1:0', METRICS: '127.0.0.1:0' };
    const example = await startExample(t, 'services', { env, usualPorts: [6188, 6142, 9190] });

    await example.keepsItsPromises();

    const client = await rawClient(t, example.ports[1]!);
    client.send('hello\n');
    client.socket.end();
    assert.equal(await client.closed(), 'hello\n');
  });

  test('connection-filter: who is blocked gets a reset', async (t) => {
    const origin = await startPeer(t);
    const example = await startExample(t, 'connection-filter', { env: { ORIGIN: origin.address } });

    await example.keepsItsPromises();

    assert.equal(origin.requests.length, 1);
  });
});

function notYet({ running }: Example) {
  return running.logs.filter(({ msg }) => msg === 'no connection yet');
}
