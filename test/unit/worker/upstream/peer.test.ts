import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpPeer, type PeerOptions } from '../../../../src/worker/upstream/peer.ts';
import { authority, makeAuthority, makeCertificate } from '../../../support/index.ts';

const stranger = makeAuthority('Somebody Else');
const ours = makeCertificate({ commonName: 'gateway', issuer: authority });

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

/** For each option, values that mean different things; what is left out means what the default does. */
const variants: { readonly [Name in keyof Required<PeerOptions>]: readonly PeerOptions[Name][] } = {
  tls: [true],
  sni: ['a.test', 'b.test'],
  alternativeName: ['a.test', 'b.test'],
  verifyCert: [false],
  verifyHostname: [false],
  ca: [authority.cert, authority.cert + stranger.cert],
  useSystemCerts: [true],
  cert: [ours.cert],
  key: [ours.key],
  connectTimeoutMs: [1],
  totalConnectTimeoutMs: [1],
  readTimeoutMs: [1],
  writeTimeoutMs: [1],
  idleTimeoutMs: [1, 0],
  maxIdle: [1],
  pipelining: [2],
  groupKey: ['a', 'b'],
  upstream: ['api'],
  bindToIpv4: ['127.0.0.2'],
  bindToIpv6: ['::1'],
  tcpKeepAlive: [false, { idleMs: 1_000, intervalMs: 1_000, count: 1 }],
  proxyProtocol: ['v1', 'v2'],
  proxy: [
    { address: '127.0.0.1:1' },
    { address: '127.0.0.1:2' },
    { address: '127.0.0.1:1', headers: { 'x-tenant': 'a' } },
    { address: '127.0.0.1:1', credentials: { username: 'a', password: 'b' } },
    { address: '127.0.0.1:1', credentials: { username: 'a', password: 'c' } },
  ],
  connector: [makesNothing, makesNothingEither],
};

/** Those that come in twos. */
const along: { readonly [Name in keyof PeerOptions]?: PeerOptions } = {
  sni: { tls: true },
  alternativeName: { tls: true },
  verifyCert: { tls: true },
  verifyHostname: { tls: true },
  ca: { tls: true },
  useSystemCerts: { tls: true },
  cert: { tls: true, key: ours.key },
  key: { tls: true, cert: ours.cert },
};

/** What is over once there is a connection, so that one made under another value means the same. */
const overByThen: ReadonlySet<string> = new Set(['connectTimeoutMs', 'totalConnectTimeoutMs']);

describe('a connection to a peer', () => {
  const plain = new HttpPeer('a:80').poolKey;
  const encrypted = new HttpPeer('a:80', { tls: true }).poolKey;

  for (const [name, values] of Object.entries(variants)) {
    const more = along[name as keyof PeerOptions] ?? {};
    const keyWith = (value: unknown) => new HttpPeer('a:80', { ...more, [name]: value }).poolKey;

    test(`is shared by peers whose ${name} is the same`, () => {
      for (const value of values) assert.equal(keyWith(value), keyWith(value));
    });

    if (overByThen.has(name)) {
      test(`is shared by peers whatever their ${name} is`, () => {
        for (const value of values) assert.equal(keyWith(value), plain);
      });
    } else {
      test(`is never shared by peers whose ${name} differs`, () => {
        const keys = [plain, encrypted, ...values.map(keyWith)];
        // To speak TLS is the difference itself.
        assert.equal(new Set(keys).size, keys.length - (name === 'tls' ? 1 : 0));
      });
    }
  }

  test('is never shared by peers at different addresses', () => {
    const addresses = ['a:80', 'a:81', 'b:80', 'unix:/a', 'unix:/b'];
    const keys = addresses.map((address) => new HttpPeer(address).poolKey);
    assert.equal(new Set(keys).size, keys.length);
  });

  test('has a key without secrets', () => {
    const credentials = { username: 'me', password: 'hunter2' };
    const { poolKey } = new HttpPeer('a:80', { proxy: { address: 'p:1', credentials } });
    const encoded = Buffer.from('me:hunter2').toString('base64');
    assert.ok(!poolKey.includes('hunter2') && !poolKey.includes(encoded));
  });
});

describe('a peer made of another', () => {
  test('has its address, its upstream and its options, but for those that are given', () => {
    const base = new HttpPeer('a.test:80', { upstream: 'api', readTimeoutMs: 1, groupKey: 'g' });

    const made = new HttpPeer(base, { tls: true, readTimeoutMs: 2 });

    assert.deepEqual(
      [made.address, made.upstream, made.readTimeoutMs, made.tls?.sni],
      ['a.test:80', 'api', 2, 'a.test'],
    );
    const options = { tls: true, upstream: 'api', readTimeoutMs: 2, groupKey: 'g' };
    assert.equal(made.poolKey, new HttpPeer('a.test:80', options).poolKey);
  });
});

describe('an option of a peer is refused', () => {
  const refusals: readonly { address?: string; options: object; says: RegExp }[] = [
    {
      options: { conectTimeoutMs: 1 },
      says: /^peer a:80: unknown option "conectTimeoutMs"; did you/,
    },
    // Peers are asked in HTTP/1.1; whoever asks for more is told.
    {
      options: { httpVersion: '2' },
      says: /^peer a:80: unknown option "httpVersion"; there is tls, sni, /,
    },
    {
      options: { readTimeoutMs: 0 },
      says: /expected "readTimeoutMs" to be a number above 0, got 0$/,
    },
    { options: { connectTimeoutMs: Number.POSITIVE_INFINITY }, says: /a number above 0/ },
    { options: { totalConnectTimeoutMs: Number.NaN }, says: /a number above 0/ },
    { options: { writeTimeoutMs: '5s' }, says: /a number above 0, got "5s"/ },
    { options: { idleTimeoutMs: -1 }, says: /a number from 0 on, got -1/ },
    { options: { maxIdle: 1.5 }, says: /a whole number from 0 on, got 1\.5/ },
    { options: { pipelining: 0 }, says: /a whole number from 1 on, got 0/ },
    { options: { bindToIpv4: '::1' }, says: /"bindToIpv4" to be an IPv4 address, got "::1"/ },
    { options: { bindToIpv6: '127.0.0.1' }, says: /"bindToIpv6" to be an IPv6 address/ },
    { options: { proxyProtocol: 'v3' }, says: /"proxyProtocol" to be "v1" or "v2", got "v3"/ },
    {
      options: { tcpKeepAlive: true },
      says: /\{ idleMs, intervalMs, count \} with times from 1,000/,
    },
    {
      options: { tcpKeepAlive: { idleMs: 10, intervalMs: 1_000, count: 1 } },
      says: /with times from 1,000 on/,
    },
    { options: { connector: 'x' }, says: /"connector" to be a function/ },
    {
      options: { proxy: { address: 'p:1', credential: {} } },
      says: /^proxy of peer a:80: unknown option "credential"; did you mean "credentials"\?/,
    },
    {
      options: { proxy: { address: 'nowhere' } },
      says: /^proxy of peer a:80: expected "host:port"/,
    },
    {
      options: { proxy: { address: 'p:1', headers: { 'x-a': 'b\r\nc: d' } } },
      says: /control character|x-a/,
    },
    {
      options: { proxy: { address: 'p:1', credentials: { username: 'a:b', password: '' } } },
      says: /expected a username without ":"/,
    },
    {
      options: { proxy: { address: 'p:1' }, connector: makesNothing },
      says: /expected "proxy" or "connector", got both/,
    },
    {
      address: 'unix:/a',
      options: { proxy: { address: 'p:1' } },
      says: /"proxy" is for peers on TCP, not on Unix sockets/,
    },
    { address: 'unix:/a', options: { tls: true }, says: /"tls" is for peers on TCP/ },
  ];
  for (const { address = 'a:80', options, says } of refusals) {
    test(`with ${says.source}`, () => {
      assert.throws(() => new HttpPeer(address, options), { name: 'TypeError', message: says });
    });
  }
});

function makesNothing(): Promise<never> {
  return Promise.reject(new Error('never called'));
}

function makesNothingEither(): Promise<never> {
  return Promise.reject(new Error('never called'));
}
