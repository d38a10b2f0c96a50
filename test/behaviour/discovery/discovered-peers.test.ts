/** One server for the whole story: peers come and go, their source fails, workers die, a reload comes. */
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { startDnsServer } from '../../support/dns-server.ts';
import { eventually, startPeer, startSluice, type Sluice } from '../../support/index.ts';

describe('peers that are discovered', () => {
  test('are used by all workers, in requests that go on when they leave, and kept when their source fails', async (t) => {
    const held = Promise.withResolvers<void>();
    const [one, two] = [
      await startPeer(t, (request, response) => {
        if (request.url !== '/slow') return void response.end('one');
        response.write('be');
        void held.promise.then(() => response.end('gun'));
      }),
      await startPeer(t, (_request, response) => void response.end('two')),
    ];
    const file = new PeerFile(t);
    file.replace(`[${one.address}]`);
    const dns = await startDnsServer(t);
    dns.answer('A named.test', { addresses: ['127.0.0.1'], ttl: 1 });
    const named = { server: dns.address, port: two.address.split(':')[1]! };
    const sluice = await startSluice(t, conf(file.path, named), { threads: 2 });
    // The first sets were there before the server accepted anything.
    assert.deepEqual(await answers(sluice, 4), ['one', 'one', 'one', 'one']);
    assert.equal((await sluice.get('/named')).body, 'two');
    const slow = sluice.get('/slow');
    await fact(() => one.requests.some(({ target }) => target === '/slow'), 'the slow request');
    const peerSeries = (name: string, { address }: { address: string }) =>
      `sluice_upstream_peer_${name}{upstream="api",peer="${address}"}`;
    assert.equal(await sluice.metric(peerSeries('requests_in_flight', one)), 1);

    file.replace(`{peers: [{address: ${two.address}, weight: 2}]}`);
    await sluice.logged(
      ({ msg, removed }) => msg === 'peers changed' && String(removed) === one.address,
    );
    await usedByAll(sluice, 'two');
    held.resolve();
    assert.equal((await slow).body, 'begun', 'a request to a peer that has left ends normally');

    file.replace('nonsense');
    const failing = await sluice.logged(
      ({ msg }) => msg === 'discovery fails, the last set stays in use',
    );
    assert.match(String(failing['reason']), /peers\.yaml:1:1: expected a list of peers/);
    assert.equal(failing['upstream'], 'api');
    const series = (name: string) => `sluice_discovery_${name}{upstream="api"}`;
    assert.equal(await sluice.metric(series('failing')), 1);
    assert.equal(await sluice.metric(series('peers')), 1);
    assert.equal(await sluice.metric(peerSeries('healthy', two)), 1);

    // Who comes now knows the set, though the source does not tell it.
    const { workers } = await sluice.status();
    for (const { pid } of workers) process.kill(pid, 'SIGKILL');
    for (const { pid } of workers) await sluice.replaced(pid);
    assert.deepEqual(await answers(sluice, 4), ['two', 'two', 'two', 'two']);
    assert.equal((await sluice.reload()).kind, 'done');
    assert.deepEqual(await answers(sluice, 4), ['two', 'two', 'two', 'two']);
    assert.ok((await sluice.metric(series('age_seconds'))) > 0);

    file.replace(`[${one.address}]`);
    await sluice.logged(({ msg }) => msg === 'discovery works again');
    await usedByAll(sluice, 'one');

    // Those of a new configuration find out from its source before they serve.
    const other = new PeerFile(t);
    other.replace(`[${two.address}]`);
    sluice.configure(conf(other.path, named));
    const reloaded = sluice.reload();
    const during = await answersUntil(sluice, reloaded);
    assert.equal((await reloaded).kind, 'done');
    assert.deepEqual(
      during.filter((body) => body !== 'one' && body !== 'two'),
      [],
    );
    await usedByAll(sluice, 'two');
    other.replace('[]');
    await sluice.logged(({ msg }) => msg === 'no peers left');
    await fact(async () => (await sluice.get('/')).status === 503, 'a 503');
    assert.ok(!sluice.logs.some(({ msg }) => String(msg).startsWith('serving without peers')));
  });
});

class PeerFile {
  readonly path: string;

  constructor(t: TestContext) {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-peers-'));
    t.after(() => rmSync(folder, { recursive: true }));
    this.path = join(folder, 'peers.yaml');
  }

  replace(text: string): void {
    writeFileSync(`${this.path}.new`, text);
    renameSync(`${this.path}.new`, this.path);
  }
}

function conf(path: string, { server, port }: { server: string; port: string }): string {
  return `
    version: 1
    upstreams:
      api: { discovery: { type: file, path: ${path}, interval: 100ms } }
      named: { discovery: { type: dns, name: named.test, port: ${port}, servers: ['${server}'] } }
    services:
      - listen: [127.0.0.1:0]
        routes: [{ match: { path: /named }, upstream: named }, { upstream: api }]
  `;
}

async function answers(sluice: Sluice, count: number): Promise<string[]> {
  const all = await Promise.all(Array.from({ length: count }, () => sluice.get('/')));
  return all.map(({ body }) => body);
}

async function answersUntil(sluice: Sluice, over: Promise<unknown>): Promise<string[]> {
  const ended = over.then(() => true as const);
  const bodies: string[] = [];
  do bodies.push(...(await answers(sluice, 4)));
  while (!(await Promise.race([ended, Promise.resolve(false)])));
  return bodies;
}

/** Many connections reach both workers. */
async function usedByAll(sluice: Sluice, body: string): Promise<void> {
  await fact(
    async () => (await answers(sluice, 16)).every((each) => each === body),
    `answers of "${body}" alone`,
  );
}

async function fact(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  await eventually(async () => ((await isSo()) ? true : undefined), what);
}
