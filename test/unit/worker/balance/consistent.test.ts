import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { consistent } from '../../../../src/worker/balance/consistent.ts';

/** As in the configuration of the nginx that made the tables below: `hash $arg_k consistent`. */
const peer = (address: string, weight: number) => ({
  address,
  weight,
  inFlight: 0,
  latencyUs: 0,
});

const PEERS = [
  peer('127.0.0.1:17001', 1),
  peer('127.0.0.1:17002', 3),
  peer('127.0.0.2:17003', 2),
  peer('127.0.0.1:17004', 1),
  peer('[::1]:17005', 1),
  peer('unix:/tmp/six.sock', 1),
];

const KEYS = Array.from({ length: 120 }, (_, nth) =>
  nth < 60 ? `key-${nth}` : `/path/${nth * 7919}.html`,
);

/** Ports of the peers that nginx 1.22.1 gave the keys to. */
const NGINX = `
  17002 17002 17002 unix 17001 17002 17005 17002 unix 17005 17003 unix unix unix 17004 17003 17001
  17003 unix unix unix 17002 17003 17003 17001 17001 17003 17002 17003 17001 unix 17001 17002
  17002 17003 17002 17001 17003 17003 17002 17002 17002 17001 17004 17001 17003 17002 17002 17005
  17003 17003 17002 17002 17003 17003 17001 17003 unix 17001 17005 17003 17003 17005 17002 17003
  17004 17003 17005 17002 17003 unix 17003 unix 17002 17003 17003 17002 17003 17002 17003 17002
  17004 17002 17002 17004 unix unix 17005 17005 unix 17002 17005 17002 17003 17005 17001 17004
  17003 17002 17002 17005 17001 17002 17002 17003 17001 17003 17003 17003 17003 17002 17005 unix
  17003 17001 17005 17005 17005 17004 17005
`;

/** The same, with 17002 marked `down`. */
const NGINX_WITHOUT_17002 = `
  17003 17004 17005 unix 17001 unix 17005 17005 unix 17005 17003 unix unix unix 17004 17003 17001
  17003 unix unix unix unix 17003 17003 17001 17001 17003 17003 17003 17001 unix 17001 17005 17005
  17003 17005 17001 17003 17003 17005 17003 17003 17001 17004 17001 17003 17003 17003 17005 17003
  17003 17003 17001 17003 17003 17001 17003 unix 17001 17005 17003 17003 17005 17005 17003 17004
  17003 17005 17003 17003 unix 17003 unix 17001 17003 17003 17003 17003 17003 17003 17003 17004
  unix 17001 17004 unix unix 17005 17005 unix 17004 17005 17004 17003 17005 17001 17004 17003
  17003 17003 17005 17001 unix 17003 17003 17001 17003 17003 17003 17003 17003 17005 unix 17003
  17001 17005 17005 17005 17004 17005
`;

const words = (text: string) => text.trim().split(/\s+/);

const portOf = (address: string | undefined) =>
  address?.startsWith('unix:') === true ? 'unix' : address?.split(':').at(-1);

describe('the ring', () => {
  const ring = consistent().build(PEERS);

  test('gives every key to the peer that nginx gives it to', () => {
    assert.deepEqual(
      KEYS.map((key) => portOf(ring.pick(() => true, key)?.address)),
      words(NGINX),
    );
  });

  test('gives the keys of a peer that is down to those that nginx gives them to', () => {
    const isUp = ({ address }: { address: string }) => !address.endsWith('17002');

    assert.deepEqual(
      KEYS.map((key) => portOf(ring.pick(isUp, key)?.address)),
      words(NGINX_WITHOUT_17002),
    );
  });

  test('has points for a peer of next to no weight', () => {
    const only = consistent().build([peer('10.0.0.1:80', 0.001)]);

    assert.equal(only.pick(() => true, 'any')?.address, '10.0.0.1:80');
  });

  test('is bounded, however heavy the peers are', () => {
    const heavy = consistent().build([
      peer('10.0.0.1:80', 1_000_000),
      peer('10.0.0.2:80', 3_000_000),
    ]);
    const counts = { '10.0.0.1:80': 0, '10.0.0.2:80': 0 };
    for (let key = 0; key < 4_000; key++) {
      counts[heavy.pick(() => true, String(key))!.address as keyof typeof counts] += 1;
    }

    assert.ok(Math.abs(counts['10.0.0.2:80'] / counts['10.0.0.1:80'] - 3) < 0.5);
  });
});
