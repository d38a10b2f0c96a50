import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Exchange } from '../../../../src/worker/http/exchange.ts';
import { clientAddress } from '../../../../src/worker/http/client-address.ts';
import { setForwarded } from '../../../../src/worker/http/forwarded.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import { trustFrom } from '../../../../src/worker/http/trust.ts';

const forged = {
  'X-Forwarded-For': '6.6.6.6',
  'x-forwarded-proto': 'https',
  'X-Forwarded-Host': 'evil.test',
};

const cases = [
  {
    name: 'a client is described as it is seen',
    client: '192.0.2.1',
    sent: {},
    told: {
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'a.test',
    },
  },
  {
    name: "a client's own claims are overwritten",
    client: '192.0.2.1',
    sent: { ...forged, Forwarded: 'for=6.6.6.6' },
    told: {
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'a.test',
    },
  },
  {
    name: 'a client that named no host brings none in',
    client: '192.0.2.1',
    authority: '',
    sent: forged,
    told: { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'http' },
  },
  {
    name: 'the word of a trusted proxy is kept, and its address appended',
    client: '10.0.0.1',
    sent: { ...forged, Forwarded: 'for=6.6.6.6' },
    told: {
      'x-forwarded-for': '6.6.6.6, 10.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil.test',
      forwarded: 'for=6.6.6.6',
    },
  },
  {
    name: 'what a trusted proxy leaves out is filled in',
    client: '10.0.0.1',
    sent: { 'x-forwarded-for': '' },
    told: {
      'x-forwarded-for': '10.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'a.test',
    },
  },
  {
    name: 'a trusted proxy that named no host',
    client: '10.0.0.1',
    authority: '',
    sent: {},
    told: { 'x-forwarded-for': '10.0.0.1', 'x-forwarded-proto': 'http' },
  },
];

describe('setForwarded', () => {
  for (const { name, client, authority = 'a.test', sent, told } of cases) {
    test(name, () => {
      const headers = Headers.from(sent);
      setForwarded(headers, exchangeOf(client, authority), { trusts: trustFrom(['10.0.0.0/8']) });
      assert.deepEqual(byLowerName(headers), told);
      assert.equal(headers.size, Object.keys(told).length, 'no field twice');
    });
  }

  test('trusts nobody if no ranges are given', () => {
    const headers = Headers.from(forged);
    setForwarded(headers, exchangeOf('10.0.0.1', 'a.test'), { trusts: trustFrom([]) });
    assert.equal(headers.get('x-forwarded-for'), '10.0.0.1');
  });

  test('joins the chain that a trusted proxy sent in several fields', () => {
    const headers = new Headers(['X-Forwarded-For', '1.1.1.1', 'x-forwarded-for', '2.2.2.2, ::1']);
    setForwarded(headers, exchangeOf('10.0.0.1', 'a.test'), { trusts: trustFrom(['10.0.0.1']) });
    assert.deepEqual(headers.getAll('x-forwarded-for'), ['1.1.1.1, 2.2.2.2, ::1, 10.0.0.1']);
  });
});

describe('what is said besides', () => {
  const told = (sent: Record<string, string>, client: string, options: object) => {
    const headers = Headers.from(sent);
    setForwarded(headers, exchangeOf(client, 'a.test'), options);
    return headers;
  };

  test('Via names us, behind those who came before', () => {
    assert.equal(told({}, '192.0.2.1', { via: 'sluice' }).get('via'), '1.1 sluice');
    assert.equal(
      told({ Via: '1.0 fred' }, '192.0.2.1', { via: 'sluice' }).get('via'),
      '1.0 fred, 1.1 sluice',
    );
    assert.equal(told({ Via: '1.0 fred' }, '192.0.2.1', {}).get('via'), '1.0 fred');
  });

  test('Forwarded says it in the words of RFC 7239', () => {
    const trusts = trustFrom(['10.0.0.1']);
    assert.equal(
      told({ forwarded: 'for=6.6.6.6' }, '192.0.2.1', { forwarded: true, trusts }).get('forwarded'),
      'for=192.0.2.1;proto=http;host="a.test"',
    );
    assert.equal(
      told({ forwarded: 'for=6.6.6.6' }, '10.0.0.1', { forwarded: true, trusts }).get('forwarded'),
      'for=6.6.6.6, for=10.0.0.1;proto=http;host="a.test"',
    );
    assert.equal(
      told({}, '2001:db8::1', { forwarded: true }).get('forwarded'),
      'for="[2001:db8::1]";proto=http;host="a.test"',
    );
  });

  const neverPassedOn = [
    'Proxy',
    'X_Forwarded_For',
    'x-forwarded_for',
    'X_FORWARDED-PROTO',
    'X_Forwarded_Host',
    'X_Forwarded-Port',
    'x_real_ip',
  ];
  for (const name of neverPassedOn) {
    test(`${name} is passed on from nobody`, () => {
      for (const client of ['192.0.2.1', '10.0.0.1']) {
        const trusts = trustFrom(['10.0.0.1']);
        assert.equal(told({ [name]: 'x' }, client, { trusts }).get(name), undefined);
      }
    });
  }
});

describe('what proxies say that Sluice does not', () => {
  const names = ['By', 'Port', 'Prefix', 'Scheme', 'Server', 'SSL'].map(
    (end) => `X-Forwarded-${end}`,
  );
  for (const name of [...names, 'X-Real-IP']) {
    test(`${name} is believed of trusted proxies only`, () => {
      for (const [client, left] of [
        ['192.0.2.1', undefined],
        ['10.0.0.1', 'x'],
      ] as const) {
        const headers = Headers.from({ [name]: 'x' });
        setForwarded(headers, exchangeOf(client, 'a.test'), { trusts: trustFrom(['10.0.0.1']) });
        assert.equal(headers.get(name), left, client);
      }
    });
  }
});

describe('the address of a client behind proxies', () => {
  const trusts = trustFrom(['10.0.0.0/8', '::1']);
  const chains = [
    { connected: '192.0.2.1', chain: ['6.6.6.6'], is: '192.0.2.1' },
    { connected: '10.0.0.1', chain: [], is: '10.0.0.1' },
    { connected: '10.0.0.1', chain: ['203.0.113.9'], is: '203.0.113.9' },
    { connected: '10.0.0.1', chain: ['6.6.6.6, 203.0.113.9, 10.0.0.2'], is: '203.0.113.9' },
    { connected: '10.0.0.1', chain: ['6.6.6.6', '203.0.113.9', '10.0.0.2'], is: '203.0.113.9' },
    { connected: '10.0.0.1', chain: ['10.0.0.3, 10.0.0.2'], is: '10.0.0.3' },
    { connected: '10.0.0.1', chain: ['6.6.6.6, rubbish, 10.0.0.2'], is: '10.0.0.2' },
    { connected: '10.0.0.1', chain: ['unknown'], is: '10.0.0.1' },
    { connected: '10.0.0.1', chain: ['203.0.113.9:4711'], is: '203.0.113.9' },
    { connected: '::1', chain: ['[2001:db8::1]:4711'], is: '2001:db8::1' },
    { connected: '::1', chain: ['2001:db8::1'], is: '2001:db8::1' },
    {
      connected: '10.0.0.1',
      chain: [`6.6.6.6, ${Array(100).fill('10.0.0.2').join(', ')}`],
      is: '10.0.0.2',
    },
  ];
  for (const { connected, chain, is } of chains) {
    test(`${connected} with ${JSON.stringify(chain).slice(0, 60)} is ${is}`, () => {
      const headers = new Headers(chain.flatMap((value) => ['X-Forwarded-For', value]));
      const field = 'x-forwarded-for';
      assert.equal(clientAddress(headers, connected, { trusts, field }), is);
      assert.equal(clientAddress(headers, connected, { trusts: undefined, field }), connected);
    });
  }

  const fields = [
    { field: 'forwarded', lines: ['for=203.0.113.9'], is: '203.0.113.9' },
    { field: 'forwarded', lines: ['for=6.6.6.6, for=203.0.113.9;proto=https'], is: '203.0.113.9' },
    {
      field: 'forwarded',
      lines: ['for=6.6.6.6', 'proto=http;For="203.0.113.9:47"'],
      is: '203.0.113.9',
    },
    { field: 'forwarded', lines: ['for="[2001:db8::1]:4711";host="a, b"'], is: '2001:db8::1' },
    { field: 'forwarded', lines: ['for=6.6.6.6, for=10.0.0.9'], is: '6.6.6.6' },
    { field: 'forwarded', lines: ['for=_hidden'], is: '10.0.0.1' },
    { field: 'forwarded', lines: ['proto=https'], is: '10.0.0.1' },
    { field: 'forwarded', lines: ['for=6.6.6.6;for=203.0.113.9'], is: '10.0.0.1' },
    { field: 'forwarded', lines: ['by="x, for=6.6.6.6;'], is: '10.0.0.1' },
    // A client that writes half a quoted text hides nothing that its proxy adds.
    { field: 'forwarded', lines: ['for="\\"', 'for=203.0.113.9'], is: '203.0.113.9' },
    { field: 'forwarded', lines: ['by="\\"\\""', 'for=203.0.113.9'], is: '203.0.113.9' },
    { field: 'forwarded', lines: [], is: '10.0.0.1' },
    { field: 'x-real-ip', lines: ['203.0.113.9'], is: '203.0.113.9' },
    { field: 'x-real-ip', lines: ['6.6.6.6', '203.0.113.9'], is: '10.0.0.1' },
    { field: 'x-real-ip', lines: ['6.6.6.6, 203.0.113.9'], is: '10.0.0.1' },
    { field: 'x-real-ip', lines: [], is: '10.0.0.1' },
  ] as const;
  for (const { field, lines, is } of fields) {
    test(`is ${is} by ${field} ${JSON.stringify(lines)}, and no other field is looked at`, () => {
      const headers = new Headers([
        'X-Forwarded-For',
        '9.9.9.9',
        ...lines.flatMap((value) => [field, value]),
      ]);
      assert.equal(clientAddress(headers, '10.0.0.1', { trusts, field }), is);
      assert.equal(clientAddress(headers, '192.0.2.1', { trusts, field }), '192.0.2.1');
    });
  }
});

describe('trustFrom', () => {
  const trusts = trustFrom(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1']);
  const addresses = [
    { address: '10.255.0.1', trusted: true },
    { address: '11.0.0.1', trusted: false },
    { address: '192.0.2.7', trusted: true },
    { address: '192.0.2.8', trusted: false },
    { address: '::ffff:10.0.0.1', trusted: true },
    { address: '::ffff:11.0.0.1', trusted: false },
    { address: '2001:db8::5', trusted: true },
    { address: '2001:db9::5', trusted: false },
    { address: '::1', trusted: true },
    { address: 'unix:', trusted: false },
    { address: '', trusted: false },
  ];
  for (const { address, trusted } of addresses) {
    test(`${trusted ? 'trusts' : 'does not trust'} "${address}"`, () => {
      assert.equal(trusts?.(address), trusted);
    });
  }
});

/** Only what `setForwarded` looks at. */
function exchangeOf(address: string, authority: string): Exchange {
  const request = { method: 'GET', target: '/', version: '1.1', authority, headers: new Headers() };
  return { request, client: { address, port: 1 }, scheme: 'http' } as unknown as Exchange;
}

function byLowerName(headers: Headers): Record<string, string> {
  return Object.fromEntries([...headers].map(([name, value]) => [name.toLowerCase(), value]));
}
