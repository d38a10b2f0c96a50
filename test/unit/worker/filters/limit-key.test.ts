import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rateLimit } from '../../../../src/shared/config/schema/rate-limit.ts';
import { limitKey, loggedKey } from '../../../../src/worker/filters/limit-key.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import type { Session } from '../../../../src/worker/proxy/session.ts';

interface Sent {
  readonly clientIp?: string;
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function keyOf(
  settings: object,
  { clientIp = '192.0.2.1', method = 'GET', target = '/', headers = {} }: Sent,
) {
  const session = { clientIp, request: { method, target, headers: Headers.from(headers) } };
  return limitKey(rateLimit.parse({ rate: '1/s', ...settings }))(session as unknown as Session);
}

describe('the key of a limit', () => {
  const alike: { name: string; settings: object; one: Sent; other: Sent }[] = [
    {
      name: 'addresses of one IPv6 network',
      settings: {},
      one: { clientIp: '2001:db8::1' },
      other: { clientIp: '2001:db8::ffff:1' },
    },
    {
      name: 'an IPv4 address and its mapped spelling',
      settings: {},
      one: { clientIp: '192.0.2.1' },
      other: { clientIp: '::ffff:c000:201' },
    },
    {
      name: 'hosts in any case',
      settings: { key: 'host' },
      one: { headers: { host: 'A.test' } },
      other: { headers: { host: 'a.test' } },
    },
    {
      name: 'queries of one path',
      settings: { key: 'path' },
      one: { target: '/a?b' },
      other: { target: '/a?c' },
    },
    {
      name: 'clients with the same cookie',
      settings: { key: 'cookie:session' },
      one: { clientIp: '192.0.2.1', headers: { cookie: 'session=1' } },
      other: { clientIp: '192.0.2.2', headers: { cookie: 'a=b; session=1' } },
    },
    {
      name: 'clients of a Unix socket',
      settings: {},
      one: { clientIp: 'unix:' },
      other: { clientIp: 'unix:' },
    },
  ];
  for (const { name, settings, one, other } of alike) {
    test(`is one for ${name}`, () => {
      assert.notEqual(keyOf(settings, one), undefined);
      assert.equal(keyOf(settings, one), keyOf(settings, other));
    });
  }

  const apart: { name: string; settings: object; one: Sent; other: Sent }[] = [
    {
      name: 'IPv6 networks',
      settings: {},
      one: { clientIp: '2001:db8:0:1::1' },
      other: { clientIp: '2001:db8:0:2::1' },
    },
    {
      name: 'IPv6 addresses, if all bits count',
      settings: { ipv6_prefix: 128 },
      one: { clientIp: '2001:db8::1' },
      other: { clientIp: '2001:db8::2' },
    },
    {
      name: 'a header that looks like an address, and that address',
      settings: { key: 'header:x-app' },
      one: { headers: { 'x-app': '192.0.2.1' } },
      other: { clientIp: '192.0.2.1' },
    },
    {
      name: 'combinations, wherever one value ends',
      settings: { key: ['header:x-a', 'header:x-b'] },
      one: { headers: { 'x-a': 'ab', 'x-b': 'c' } },
      other: { headers: { 'x-a': 'a', 'x-b': 'bc' } },
    },
    {
      name: 'methods of one client',
      settings: { key: ['client_ip', 'method'] },
      one: { method: 'GET' },
      other: { method: 'POST' },
    },
  ];
  for (const { name, settings, one, other } of apart) {
    test(`tells apart ${name}`, () => {
      assert.notEqual(keyOf(settings, one), keyOf(settings, other));
    });
  }

  const free: { name: string; settings: object; sent: Sent }[] = [
    { name: 'another method', settings: { method: ['POST', 'PUT'] }, sent: {} },
    { name: 'an exempt network', settings: { exempt: ['192.0.2.0/24'] }, sent: {} },
    {
      name: 'an exempt network, mapped',
      settings: { exempt: ['192.0.2.0/24'] },
      sent: { clientIp: '::ffff:192.0.2.1' },
    },
    {
      name: 'an exempt key',
      settings: { key: 'header:x-app', exempt_keys: ['monitor'] },
      sent: { headers: { 'x-app': 'monitor' } },
    },
    {
      name: 'an exempt part of a key',
      settings: { key: ['header:x-app', 'method'], exempt_keys: ['OPTIONS'] },
      sent: { method: 'OPTIONS' },
    },
  ];
  for (const { name, settings, sent } of free) {
    test(`is none for ${name}`, () => {
      assert.equal(keyOf(settings, sent), undefined);
    });
  }

  test('shows addresses in the log, and only a hash of what fields say', () => {
    const key = keyOf({ key: ['client_ip', 'header:x-key'] }, { headers: { 'x-key': 's3cret' } })!;

    assert.match(loggedKey(key), /^192\.0\.2\.1 [0-9a-f]{12}$/);
  });
});
