import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { get, startSluice } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/plain-http.ts', import.meta.url));

describe('a plain HTTP service', () => {
  test('answers by itself: a value, a body, a stream', async (t) => {
    const sluice = await startSluice(t, '', { program });

    const hello = await sluice.get('/hello');
    assert.deepEqual(JSON.parse(hello.body), { hello: '127.0.0.1' });
    const echo = await sluice.get('/echo', { method: 'POST', body: 'the same' });
    assert.equal(echo.body, 'the same');
    assert.equal((await sluice.get('/count')).body, '1 2 3 ');
  });

  test('has a 404 for what it does not answer, a 413 and a 500 as a proxy has', async (t) => {
    const sluice = await startSluice(t, '', { program });

    assert.equal((await sluice.get('/elsewhere')).status, 404);
    const long = await sluice.get('/echo', { method: 'POST', body: 'x'.repeat(1_001) });
    assert.equal(long.status, 413);
    const thrown = await sluice.get('/throw');
    assert.equal(thrown.status, 500);
    const line = await sluice.logged(({ request }) => /\/throw/.test(String(request)));
    assert.match(JSON.stringify(line), /made for the test/);
  });
});

describe('the Prometheus service', () => {
  test('shows the figures of all workers, whichever of them answers', async (t) => {
    const sluice = await startSluice(t, '', { program, threads: 2 });
    const { port } = sluice.addresses[1]!;
    await Promise.all(Array.from({ length: 20 }, () => sluice.get('/hello')));

    // Each connection may reach another worker; all of them must say the same.
    for (let scrape = 0; scrape < 8; scrape++) {
      const page = linesOf((await get(port, '/metrics')).body);
      assert.equal(page.get('hello_greeted_total'), '20');
      assert.equal(page.get('sluice_requests_total{service="http",status="200"}'), '20');
      assert.equal(page.get('sluice_workers{state="ready"}'), '2');
      assert.equal(page.get('sluice_shared_memory'), '1');
    }
  });

  test('has every line of the admin page but what only the supervisor knows', async (t) => {
    const sluice = await startSluice(t, '', { program, threads: 2 });
    const [worker] = (await sluice.status()).workers;
    process.kill(worker!.pid, 'SIGKILL');
    await sluice.replaced(worker!.pid);

    const own = await get(sluice.addresses[1]!.port, '/metrics');
    const admin = await get(sluice.adminPort, '/metrics');

    assert.equal(own.headers['content-type'], admin.headers['content-type']);
    const [ownPage, adminPage] = [linesOf(own.body), linesOf(admin.body)];
    const isOfSupervisor = (name: string) =>
      /^(process|nodejs|sluice_config_last_reload)_/.test(name);
    // Counted with the first of the two scrapes, so only in the second.
    const isOfScrape = (name: string) => name.includes('service="metrics",status=');
    assert.deepEqual(
      [...ownPage.keys()],
      [...adminPage.keys()].filter((name) => !isOfSupervisor(name) && !isOfScrape(name)),
    );
    for (const name of ['sluice_worker_restarts_total', 'sluice_workers{state="ready"}'])
      assert.equal(ownPage.get(name), adminPage.get(name), name);
    assert.equal(ownPage.get('sluice_worker_restarts_total'), '1');
  });

  test('shows what the worker that answers has counted, where no memory is shared', async (t) => {
    const alone = fileURLToPath(new URL('programs/without-memory.ts', import.meta.url));
    const sluice = await startSluice(t, '', { program: alone });
    await sluice.logged(({ msg }) => String(msg).startsWith('no shared memory'));
    await sluice.get('/hello');

    const page = linesOf((await get(sluice.addresses[1]!.port, '/metrics')).body);
    assert.equal(page.get('hello_greeted_total'), '1');
    assert.equal(page.get('sluice_shared_memory'), '0');
  });

  test('has nothing else', async (t) => {
    const sluice = await startSluice(t, '', { program });
    const { port } = sluice.addresses[1]!;

    assert.equal((await get(port, '/')).status, 404);
    assert.equal((await get(port, '/metrics?name=a')).status, 200);
    assert.equal((await get(port, '/metrics', { method: 'POST' })).status, 405);
    const head = await get(port, '/metrics', { method: 'HEAD' });
    assert.deepEqual([head.status, head.body], [200, '']);
  });
});

/** Series and their values. */
function linesOf(page: string): Map<string, string> {
  const lines = page.split('\n').filter((line) => /^[^#]/.test(line));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), line.slice(at + 1)] as const;
    }),
  );
}
