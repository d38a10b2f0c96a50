import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { proxyHeader } from '../../../../../src/worker/protocol/proxy-protocol/encode.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';

const end = (address: string, port: number) => ({ address, port });

/** Text of version 1; of version 2 the bytes after the signature, in hexadecimal. */
const cases = [
  {
    name: 'IPv4',
    source: end('192.0.2.1', 51_234),
    destination: end('198.51.100.7', 443),
    v1: 'TCP4 192.0.2.1 198.51.100.7 51234 443',
    v2: '21 11 000c c0000201 c6336407 c822 01bb',
  },
  {
    name: 'IPv6',
    source: end('2001:db8::1', 1),
    destination: end('::', 65_535),
    v1: 'TCP6 2001:db8::1 :: 1 65535',
    v2: `21 21 0024 20010db8${'0'.repeat(23)}1 ${'0'.repeat(32)} 0001 ffff`,
  },
  {
    name: 'IPv4 on a dual-stack socket',
    source: end('::ffff:192.0.2.1', 80),
    destination: end('::ffff:192.0.2.2', 80),
    v1: 'TCP4 192.0.2.1 192.0.2.2 80 80',
    v2: '21 11 000c c0000201 c0000202 0050 0050',
  },
  {
    name: 'a client of IPv6 that proxies vouch for, on a connection of IPv4',
    source: end('2001:db8:1:2:3:4:5:6', 0),
    destination: end('192.0.2.2', 80),
    v1: 'TCP6 2001:db8:1:2:3:4:5:6 ::ffff:192.0.2.2 0 80',
    v2: `21 21 0024 20010db8000100020003000400050006 ${'0'.repeat(20)}ffffc0000202 0000 0050`,
  },
  {
    name: 'an address of a link, whose zone means nothing elsewhere',
    source: end('fe80::a%eth0', 7),
    destination: end('fe80::b%eth0', 8),
    v1: 'TCP6 fe80::a fe80::b 7 8',
    v2: `21 21 0024 fe80${'0'.repeat(27)}a fe80${'0'.repeat(27)}b 0007 0008`,
  },
  {
    name: 'a client that proxies vouch for, on a Unix socket',
    source: end('192.0.2.1', 0),
    destination: end('unix:', 0),
    v1: 'TCP4 192.0.2.1 0.0.0.0 0 0',
    v2: '21 11 000c c0000201 00000000 0000 0000',
  },
  {
    name: 'a client of a Unix socket',
    source: end('unix:', 0),
    destination: end('unix:', 0),
    v1: 'UNKNOWN',
    v2: '20 00 0000',
  },
];

describe('the header of the PROXY protocol', () => {
  for (const { name, v1, v2, ...connection } of cases) {
    test(`tells of ${name}`, () => {
      assert.equal(proxyHeader('v1', connection), `PROXY ${v1}\r\n`);
      const bytes = Buffer.from(proxyHeader('v2', connection), 'latin1').toString('hex');
      assert.equal(bytes, SIGNATURE + v2.replaceAll(' ', ''));
    });
  }

  test('says so where there is no client', () => {
    assert.equal(proxyHeader('v1', undefined), 'PROXY UNKNOWN\r\n');
    const bytes = Buffer.from(proxyHeader('v2', undefined), 'latin1').toString('hex');
    assert.equal(bytes, `${SIGNATURE}20000000`);
  });
});
