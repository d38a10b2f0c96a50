/** Refuses options of a peer that cannot be meant: silence would be worse. */
import { isIPv4, isIPv6 } from 'node:net';
import type { ClientTlsOptions } from '../tls/client-tls.ts';

/** What the value must be, for `expected …`; `undefined` if it is. */
type Check = (value: unknown) => string | undefined;

const any: Check = () => undefined;

/** Every wait ends: no infinity. */
const above0: Check = (value) =>
  Number.isFinite(value) && (value as number) > 0 ? undefined : 'a number above 0';

const from0: Check = (value) =>
  Number.isFinite(value) && (value as number) >= 0 ? undefined : 'a number from 0 on';

const countFrom = (least: number): Check => {
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= least
      ? undefined
      : `a whole number from ${least} on`;
};

const keepAlive: Check = (value) => {
  if (value === false) return undefined;
  const { idleMs, intervalMs, count } = Object(value) as Record<string, unknown>;
  const isRight = isSeconds(idleMs) && isSeconds(intervalMs) && countFrom(1)(count) === undefined;
  return isRight ? undefined : '{ idleMs, intervalMs, count } with times from 1,000 on, or false';
};

/** The kernel counts in seconds, and in 16 bits. */
function isSeconds(value: unknown): boolean {
  return Number.isFinite(value) && (value as number) >= 1_000 && (value as number) <= 32_767_000;
}

/** Every option that there is. */
export const peerChecks = {
  tls: any,
  sni: any,
  alternativeName: any,
  verifyCert: any,
  verifyHostname: any,
  ca: any,
  useSystemCerts: any,
  cert: any,
  key: any,
  connectTimeoutMs: above0,
  totalConnectTimeoutMs: above0,
  readTimeoutMs: above0,
  writeTimeoutMs: above0,
  idleTimeoutMs: from0,
  maxIdle: countFrom(0),
  pipelining: countFrom(1),
  groupKey: any,
  upstream: any,
  bindToIpv4: (value) => (isIPv4(String(value)) ? undefined : 'an IPv4 address'),
  bindToIpv6: (value) => (isIPv6(String(value)) ? undefined : 'an IPv6 address'),
  tcpKeepAlive: keepAlive,
  proxyProtocol: (value) => (value === 'v1' || value === 'v2' ? undefined : '"v1" or "v2"'),
  proxy: any,
  connector: (value) => (typeof value === 'function' ? undefined : 'a function'),
} satisfies Record<string, Check>;

/** Whatever the program has given. */
type Given = Readonly<Partial<Record<keyof typeof peerChecks, unknown>>>;

const TLS_OPTIONS = [
  'sni',
  'alternativeName',
  'verifyCert',
  'verifyHostname',
  'ca',
  'useSystemCerts',
  'cert',
  'key',
] as const satisfies readonly (keyof ClientTlsOptions)[];

/**
 * @param options known ones
 * @throws {TypeError} says which option of which peer, and what was expected
 */
export function checkPeerOptions(address: string, options: Given): void {
  for (const [name, value] of Object.entries(options)) {
    const expected = value === undefined ? undefined : peerChecks[name as keyof Given](value);
    if (expected === undefined) continue;
    throw new TypeError(
      `peer ${address}: expected "${name}" to be ${expected}, got ${JSON.stringify(value)}`,
    );
  }
  checkTogether(address, options);
}

function checkTogether(address: string, { tls, proxy, connector, ...rest }: Given): void {
  const refuse = (reason: string) => {
    throw new TypeError(`peer ${address}: ${reason}`);
  };
  const isUnix = address.startsWith('unix:');
  // Never in the clear what was asked to be encrypted.
  if (tls === true && isUnix) refuse('"tls" is for peers on TCP, not on Unix sockets');
  const tlsOption = TLS_OPTIONS.find((name) => rest[name] !== undefined);
  // Else somebody would take a connection in the clear for an encrypted one.
  if (tls !== true && tlsOption !== undefined) refuse(`"${tlsOption}" needs "tls: true"`);
  if (proxy !== undefined && isUnix) refuse('"proxy" is for peers on TCP, not on Unix sockets');
  if (proxy !== undefined && connector !== undefined)
    refuse('expected "proxy" or "connector", got both');
}
