import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually, get, startExample, startPeer } from '../../support/index.ts';

describe('examples of requests and answers', () => {
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
});
