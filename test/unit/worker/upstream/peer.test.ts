import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpPeer, type PeerOptions } from '../../../../src/worker/upstream/peer.ts';

const accepted = [
  { address: 'a.example:80', host: 'a.example', port: 80, path: undefined },
  { address: '192.0.2.1:8080', host: '192.0.2.1', port: 8_080, path: undefined },
  { address: '[2001:db8::1]:443', host: '2001:db8::1', port: 443, path: undefined },
  { address: 'unix:/run/a b.sock', host: 'localhost', port: 0, path: '/run/a b.sock' },
];

const refused = [
  '',
  'a.example',
  'a.example:0',
  'a.example:65536',
  '2001:db8::1:80',
  'unix:',
  'unix:a',
];

describe('the address of a peer', () => {
  for (const { address, host, port, path } of accepted) {
    test(`may be ${address}`, () => {
      const peer = new HttpPeer(address);
      const parts = { host: peer.host, port: peer.port, path: peer.path };
      assert.deepEqual(parts, { host, port, path });
    });
  }
  for (const address of refused) {
    test(`may not be ${JSON.stringify(address)}`, () => {
      assert.throws(() => new HttpPeer(address), { name: 'TypeError', message: /got "/ });
    });
  }
});

describe('a connection to a peer', () => {
  const differences: readonly PeerOptions[] = [
    { groupKey: 'a' },
    { groupKey: 'b' },
    { upstream: 'api' },
    { bindToIpv4: '127.0.0.2' },
    { bindToIpv6: '::1' },
    { readTimeoutMs: 1 },
    { writeTimeoutMs: 1 },
    { idleTimeoutMs: 1 },
    { maxIdle: 1 },
    { pipelining: 2 },
  ];

  test('is shared by peers that mean the same', () => {
    for (const options of differences) {
      const [one, other] = [new HttpPeer('a:80', options), new HttpPeer('a:80', options)];
      assert.equal(one.poolKey, other.poolKey);
    }
  });

  test('is never shared by peers that differ in what it means', () => {
    const keys = [{}, ...differences].map((options) => new HttpPeer('a:80', options).poolKey);
    keys.push(new HttpPeer('a:81').poolKey, new HttpPeer('unix:/a').poolKey);
    assert.equal(new Set(keys).size, keys.length);
  });
});
