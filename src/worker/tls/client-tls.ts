/**
 * How TLS is spoken with a peer: whom we ask for, whom we believe, who we are.
 * What cannot be meant is refused here, when the peer is made; nothing falls back
 * to less than was asked for.
 */
import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';

export interface ClientTlsOptions {
  /**
   * Name that the peer is asked for, and that its certificate must be for. An IP
   * address is not sent (RFC 6066 §3), only verified. `''` sends none, and needs
   * verification to be off. Default: the peer's host.
   */
  readonly sni?: string | undefined;
  /** One more name that the certificate may be for. */
  readonly alternativeName?: string | undefined;
  /** An authority that we believe must vouch for the certificate. Default true; `false` turns off the name's check too. */
  readonly verifyCert?: boolean | undefined;
  /** The certificate must be for `sni` or `alternativeName`. Default true. */
  readonly verifyHostname?: boolean | undefined;
  /** PEM: authorities that are believed in place of those that Node.js brings along. */
  readonly ca?: string | undefined;
  /** Believes the authorities of the operating system, in place of Node's or besides `ca`. Default false. */
  readonly useSystemCerts?: boolean | undefined;
  /** PEM: the certificate that we show, followed by its chain. */
  readonly cert?: string | undefined;
  /** PEM: its private key. */
  readonly key?: string | undefined;
}

export interface ClientTls {
  /** `undefined`: no name is sent. */
  readonly sni: string | undefined;
  /** The certificate must be for one of these names or addresses; none: it may be for any. */
  readonly names: readonly string[];
  readonly verifyCert: boolean;
  readonly context: SecureContext;
  /** Equal for all that agree in everything above. Keeps no secret. */
  readonly key: string;
}

/**
 * @param host name or address of the peer
 * @throws {TypeError} the options make no sense together
 */
export function clientTls(host: string, options: ClientTlsOptions): ClientTls {
  const { sni = host, alternativeName, verifyCert = true, verifyHostname = true } = options;
  if (sni === '' && verifyCert && verifyHostname) {
    throw new TypeError(
      `peer ${host}: an empty "sni" leaves nothing to verify the certificate against; name the peer, or turn verifyHostname off`,
    );
  }
  const expected = alternativeName === undefined ? [sni] : [sni, alternativeName];
  const names = verifyCert && verifyHostname ? expected : [];
  const material = fingerprint(host, options);
  const sent = sni === '' || isIP(sni) !== 0 ? undefined : sni;
  return {
    sni: sent,
    names,
    verifyCert,
    context: contextFor(material, host, options),
    key: digest(JSON.stringify([sent ?? null, names, verifyCert, material])),
  };
}

/** Of everything that goes into a context. */
function fingerprint(host: string, { ca, useSystemCerts = false, cert, key }: ClientTlsOptions) {
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError(`peer ${host}: expected "cert" and "key" together`);
  }
  return JSON.stringify([
    ca === undefined ? null : digest(ca),
    useSystemCerts,
    cert === undefined ? null : digest(cert),
    key === undefined ? null : digest(key),
  ]);
}

/** A list of authorities is long, and a program may make a peer for every request. */
const MAX_DIGESTS = 256;
const digests = new Map<string, string>();

function digest(text: string): string {
  const known = digests.get(text);
  if (known !== undefined) return known;
  const made = createHash('sha256').update(text).digest('base64url');
  if (digests.size >= MAX_DIGESTS) digests.clear();
  digests.set(text, made);
  return made;
}

/** Making one parses every authority that is believed: milliseconds. */
const MAX_CONTEXTS = 256;
const contexts = new Map<string, SecureContext>();

function contextFor(material: string, host: string, options: ClientTlsOptions): SecureContext {
  const known = contexts.get(material);
  if (known !== undefined) return known;
  const made = makeContext(host, options);
  if (contexts.size >= MAX_CONTEXTS) contexts.clear();
  contexts.set(material, made);
  return made;
}

function makeContext(host: string, options: ClientTlsOptions): SecureContext {
  const { ca, useSystemCerts = false, cert, key } = options;
  // Node takes such a text without a word, and believes nobody.
  if (ca !== undefined && !ca.includes('-----BEGIN CERTIFICATE-----')) {
    throw new TypeError(`peer ${host}: "ca" holds no certificate in PEM`);
  }
  const believed = [
    ...(ca === undefined ? [] : [ca]),
    ...(useSystemCerts ? getCACertificates('system') : []),
  ];
  try {
    return createSecureContext({
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      // An empty list would believe nobody: right for a system without authorities, wrong as a default.
      ...((ca !== undefined || useSystemCerts) && { ca: believed }),
      ...(cert !== undefined && key !== undefined && { cert, key }),
    });
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new TypeError(`peer ${host}: "ca", "cert" or "key" cannot be used: ${reason}`, {
      cause: thrown,
    });
  }
}
