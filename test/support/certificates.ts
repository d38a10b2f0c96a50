/**
 * Certificates for tests, made and signed here: X.509 version 3 in DER (RFC 5280,
 * X.690), with P-256 keys. Just as much of it as TLS looks at.
 */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIPv4 } from 'node:net';

export interface CertificateOptions {
  readonly commonName: string;
  /** Names and IPv4 addresses that it is for. Default: the common name. */
  readonly names?: readonly string[];
  /** Who signs it. Default: itself. */
  readonly issuer?: Certificate;
  readonly isAuthority?: boolean;
  readonly validFrom?: Date;
  readonly validTo?: Date;
}

export interface Certificate {
  readonly commonName: string;
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  readonly privateKey: KeyObject;
}

const DAY_MS = 86_400_000;

export function makeCertificate(options: CertificateOptions): Certificate {
  const { commonName, names = [commonName], issuer, isAuthority = false } = options;
  const { validFrom = new Date(Date.now() - DAY_MS) } = options;
  const { validTo = new Date(Date.now() + DAY_MS) } = options;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));
  const signed = sequence(
    tagged(0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    distinguishedName(issuer?.commonName ?? commonName),
    sequence(time(validFrom), time(validTo)),
    distinguishedName(commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(basicConstraints(isAuthority), ...subjectAltName(names))),
  );
  const signature = sign('sha256', signed, issuer?.privateKey ?? privateKey);
  return {
    commonName,
    cert: pem(sequence(signed, ecdsaWithSha256, bits(signature))),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    privateKey,
  };
}

export function makeAuthority(commonName: string): Certificate {
  return makeCertificate({ commonName, names: [], isAuthority: true });
}

function distinguishedName(commonName: string): Buffer {
  return sequence(set(sequence(oid('2.5.4.3'), der(0x0c, Buffer.from(commonName)))));
}

function basicConstraints(isAuthority: boolean): Buffer {
  const yes = der(0x01, Buffer.from([0xff]));
  const value = isAuthority ? sequence(yes) : sequence();
  return sequence(oid('2.5.29.19'), yes, der(0x04, value)); // critical
}

function subjectAltName(names: readonly string[]): Buffer[] {
  if (names.length === 0) return [];
  const general = names.map((name) =>
    isIPv4(name)
      ? der(0x87, Buffer.from(name.split('.').map(Number)))
      : der(0x82, Buffer.from(name)),
  );
  return [sequence(oid('2.5.29.17'), der(0x04, sequence(...general)))];
}

// ── DER ─────────────────────────────────────────────────────────────────────

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const header =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}

const sequence = (...parts: Buffer[]) => der(0x30, Buffer.concat(parts));
const set = (...parts: Buffer[]) => der(0x31, Buffer.concat(parts));
const tagged = (number: number, content: Buffer) => der(0xa0 + number, content);
/** @param bytes big-endian; the first below 0x80 */
const integer = (bytes: Buffer) => der(0x02, bytes);
const bits = (bytes: Buffer) => der(0x03, Buffer.concat([Buffer.from([0]), bytes]));

/** `GeneralizedTime`, to the second. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/\.\d+/, '').replace(/[-:T]/g, '');
  // Dates before 2050 must be `UTCTime`, with two digits of the year (RFC 5280 §4.1.2.5).
  return date.getUTCFullYear() < 2050
    ? der(0x17, Buffer.from(digits.slice(2)))
    : der(0x18, Buffer.from(digits));
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(number: number): number[] {
  const bytes = [number & 0x7f];
  for (let left = number >> 7; left > 0; left >>= 7) bytes.unshift(0x80 | (left & 0x7f));
  return bytes;
}

function pem(content: Buffer): string {
  const lines = content
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}
