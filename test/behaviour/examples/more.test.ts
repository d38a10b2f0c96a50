import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  closedPort,
  eventually,
  get,
  rawClient,
  startExample,
  startPeer,
  type Example,
} from '../../support/index.ts';

describe('the other examples', () => {
  test('gateway: a password, a peer by path, a counter', async (t) => {
    const origins = [await startPeer(t), await startPeer(t)];
    const [main, family] = origins;
    const example = await startExample(t, 'gateway', {
      env: { ORIGINS: `${main!.address},${family!.address}`, METRICS: '127.0.0.1:0' },
      usualPorts: [6188, 9190],
      origins: { 9101: main!.port, 9102: family!.port },
    });

    await example.keepsItsPromises();

    assert.deepEqual(
      origins.map(({ requests }) => requests.map(({ target }) => target)),
      [['/', '/login'], ['/family/']],
    );
  });

  test('modify-response: JSON becomes YAML, and nothing else does', async (t) => {
    const bodies: Record<string, string> = { '/': '{"fruit":["apple"]}', '/broken': '{"fruit":' };
    const origin = await startPeer(t, ({ url = '' }, response) => {
      const type = url === '/text' ? 'text/plain' : 'application/json';
      response.setHeader('content-type', type).end(bodies[url] ?? '{"not": "json"}');
    });
    const example = await startExample(t, 'modify-response', { env: { ORIGIN: origin.address } });

    await example.keepsItsPromises();

    const [port = 0] = example.ports;
    assert.equal((await get(port, '/')).body, 'fruit:\n  - apple\n');
    assert.equal((await get(port, '/text')).body, '{"not": "json"}');
    await assert.rejects(get(port, '/broken'));
  });

  test('multi-lb: two balancers behind one address', async (t) => {
    const [web, api] = [await startPeer(t), await startPeer(t)];
    const env = { ORIGINS: web.address, API_ORIGINS: api.address };
    const example = await startExample(t, 'multi-lb', { env });

    await example.keepsItsPromises();

    assert.equal(api.requests[0]?.target, '/api/one');
    await example.says(/^status=200 upstream=api elapsed=\d+\.\dms$/);
  });

  test('subrequests: who the client is, and what it has done', async (t) => {
    const [origin, auditor] = [await startPeer(t), await startPeer(t)];
    const example = await startExample(t, 'subrequests', {
      env: { ORIGINS: `${origin.address},${auditor.address}` },
    });

    await example.keepsItsPromises();

    assert.deepEqual(
      origin.requests.map(({ target, headers }) => [target, headers['x-user']]),
      [['/', 'ada']],
    );
    await eventually(
      async () => (auditor.requests.length === 2 ? true : undefined),
      'both requests to be reported',
    );
    const reports = auditor.requests.map(({ body }) => String(body)).toSorted();
    assert.deepEqual(reports, ['ada 200 /', 'undefined 401 /']);
  });

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
