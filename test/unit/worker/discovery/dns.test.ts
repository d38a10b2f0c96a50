import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dnsPeers, type DnsOptions } from '../../../../src/worker/discovery/dns.ts';
import { dnsSrvPeers } from '../../../../src/worker/discovery/dns-srv.ts';
import { startDnsServer } from '../../../support/dns-server.ts';
import { watching } from './watching.ts';

describe('peers by the addresses of a name', () => {
  test('are of both families, and asked for again when the shortest time to live is over', async (t) => {
    const dns = await startDnsServer(t);
    dns.answer('A api.test', { addresses: ['10.0.0.2', '10.0.0.1'], ttl: 7 });
    dns.answer('AAAA api.test', { addresses: ['2001:db8::1'], ttl: 30 });
    const watch = watching(t, dnsPeers({ name: 'api.test', port: 80, servers: [dns.address] }));

    const first = ['10.0.0.1:80', '10.0.0.2:80', '[2001:db8::1]:80'];
    assert.deepEqual((await watch.addresses()).toSorted(), first);
    dns.answer('A api.test', { addresses: ['10.0.0.3'], ttl: 5 });
    assert.equal(await watch.pause(), 7_000);

    assert.deepEqual(await watch.addresses(), ['10.0.0.3:80', '[2001:db8::1]:80']);
    assert.equal(await watch.pause(), 5_000);
  });

  const bounds = [
    { ttl: 0, options: {}, pause: 1_000 },
    { ttl: 86_400, options: {}, pause: 300_000 },
    { ttl: 2, options: { minTtlMs: 4_000 }, pause: 4_000 },
    { ttl: 60, options: { maxTtlMs: 10_000 }, pause: 10_000 },
  ];
  test('are asked for again neither too soon nor too late', async (t) => {
    const dns = await startDnsServer(t);
    for (const { ttl, options, pause } of bounds) {
      dns.answer('A api.test', { addresses: ['10.0.0.1'], ttl });
      const watch = watching(t, dnsPeers({ ...api(dns.address), ...options }));
      assert.equal(await watch.pause(), pause, `a time to live of ${ttl} s`);
      watch.stop();
    }
  });

  const answers = ['unknown-name', 'server-failure', { addresses: [], ttl: 1 }] as const;
  for (const answer of answers) {
    test(`are not given up because of ${JSON.stringify(answer)}`, async (t) => {
      const dns = await startDnsServer(t);
      dns.answer('A api.test', answer);
      dns.answer('AAAA api.test', answer);
      const watch = watching(t, dnsPeers(api(dns.address)));

      const told = await watch.told();
      assert.match('failed' in told ? told.failed : '', /api\.test/);
      dns.answer('A api.test', { addresses: ['10.0.0.1'], ttl: 1 });
      const pause = await watch.pause();
      assert.ok(pause >= 500 && pause <= 1_000, `a pause of ${pause} ms`);
      assert.deepEqual(await watch.addresses(), ['10.0.0.1:80']);
    });
  }

  test('of one family stay while its questions fail and those of the other do not', async (t) => {
    const dns = await startDnsServer(t);
    dns.answer('A api.test', { addresses: ['10.0.0.1'], ttl: 1 });
    dns.answer('AAAA api.test', { addresses: ['2001:db8::1'], ttl: 1 });
    const watch = watching(t, dnsPeers(api(dns.address)));
    await watch.addresses();

    dns.answer('A api.test', { addresses: ['10.0.0.2'], ttl: 1 });
    dns.answer('AAAA api.test', 'server-failure');
    await watch.pause();
    assert.deepEqual(await watch.told(), {
      found: [{ address: '10.0.0.2:80' }, { address: '[2001:db8::1]:80' }],
      doubt: 'queryAaaa ESERVFAIL api.test',
    });

    dns.answer('A api.test', { addresses: [], ttl: 1 });
    await watch.pause();
    assert.deepEqual(await watch.told(), { failed: 'queryAaaa ESERVFAIL api.test' });

    dns.answer('A api.test', { addresses: ['10.0.0.3'], ttl: 1 });
    dns.answer('AAAA api.test', { addresses: [], ttl: 1 });
    await watch.pause();
    assert.deepEqual(await watch.told(), { found: [{ address: '10.0.0.3:80' }] });
  });

  test('are no worse for a family that was never answered for, which is asked for again soon', async (t) => {
    const dns = await startDnsServer(t);
    dns.answer('A api.test', { addresses: ['10.0.0.1'], ttl: 60 });
    dns.answer('AAAA api.test', 'server-failure');
    const watch = watching(t, dnsPeers(api(dns.address)));
    assert.deepEqual(await watch.told(), { found: [{ address: '10.0.0.1:80' }] });
    assert.ok((await watch.pause()) <= 1_000);
  });

  test('are not waited for without end, and asking can be stopped', async (t) => {
    const dns = await startDnsServer(t);
    dns.answer('A api.test', 'silence');
    const options = { ...api(dns.address), family: 'ipv4' as const };
    const impatient = watching(t, dnsPeers({ ...options, timeoutMs: 50, tries: 1 }));
    const stopped = watching(t, dnsPeers({ ...options, timeoutMs: 60_000 }));

    assert.match(JSON.stringify(await impatient.told()), /ETIMEOUT/);
    stopped.stop();
    await stopped.ended;
  });

  const refused = [
    { options: { name: '' }, says: /name: expected a host name/ },
    { options: { port: 0 }, says: /port: expected 1 to 65535, got 0/ },
    { options: { servers: ['ns.test'] }, says: /servers: expected "address" or "address:port"/ },
    { options: { minTtlMs: 10, maxTtlMs: 5 }, says: /1 <= minTtlMs <= maxTtlMs/ },
    { options: { nam: 'x' }, says: /unknown option "nam"; did you mean "name"/ },
  ];
  for (const { options, says } of refused) {
    test(`cannot be looked for with ${JSON.stringify(options)}`, () => {
      const given = { name: 'api.test', port: 80, ...options } as DnsOptions;
      assert.throws(() => dnsPeers(given), says);
    });
  }
});

describe('peers by the targets of a service', () => {
  test('have its ports, priorities and weights, and are asked for again after the interval', async (t) => {
    const dns = await startDnsServer(t);
    dns.answer('SRV _http._tcp.api.test', {
      targets: [
        { name: 'c.api.test', port: 83, priority: 20, weight: 5 },
        { name: 'a.api.test', port: 81, priority: 10, weight: 60 },
        { name: 'b.api.test', port: 82, priority: 10, weight: 0 },
      ],
    });
    const discovery = dnsSrvPeers({ name: '_http._tcp.api.test', servers: [dns.address] });
    const watch = watching(t, discovery);

    const told = await watch.told();
    assert.ok('found' in told, JSON.stringify(told));
    assert.deepEqual(
      told.found.toSorted((one, other) => (one.address < other.address ? -1 : 1)),
      [
        { address: 'a.api.test:81', weight: 60, priority: 0 },
        { address: 'b.api.test:82', weight: 1, priority: 0 },
        { address: 'c.api.test:83', weight: 5, priority: 1 },
      ],
    );
    dns.answer('SRV _http._tcp.api.test', 'unknown-name');
    assert.equal(await watch.pause(), 10_000);

    assert.deepEqual(await watch.told(), { failed: '_http._tcp.api.test has no target' });
    assert.ok((await watch.pause()) <= 1_000);
  });
});

function api(server: string): DnsOptions {
  return { name: 'api.test', port: 80, servers: [server] };
}
