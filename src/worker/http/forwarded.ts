/**
 * What the peer is told about the client and the way its request took:
 * `X-Forwarded-For`, `-Proto` and `-Host`, `Forwarded` (RFC 7239) and `Via`
 * (RFC 9110 §7.6.3).
 *
 * From a client nobody vouches for, its own claims are taken away first, else
 * anyone could pretend to come from anywhere: those that Sluice does not make
 * itself too, such as `X-Real-IP`, because there are peers that believe them. From a trusted proxy the chain is
 * kept and its address appended.
 */
import { isIPv6 } from 'node:net';
import type { Exchange } from './exchange.ts';
import { inOnePiece } from '../../shared/text/in-one-piece.ts';
import type { Headers } from './headers.ts';
import type { ClientAddress } from './exchange.ts';
import type { HttpVersion } from './message.ts';
import { knownNames, UNDERSCORED } from './known-names.ts';
import { CLAIMS, NameSet } from './name-set.ts';
import type { Trust } from './trust.ts';

/** What is said upstream beyond `X-Forwarded-*`, which always is. */
export interface ForwardedOptions {
  /** Whose claims are believed; nobody's if absent. */
  readonly trusts?: Trust | undefined;
  /** Say it in the words of RFC 7239 as well. */
  readonly forwarded?: boolean;
  /** Our name in `Via`; `undefined` leaves the field as it came. */
  readonly via?: string | undefined;
}

/**
 * Never passed on, whoever sends them: twins of claims, since nobody honest
 * writes them so, and `Proxy`, which becomes `HTTP_PROXY`, by which the peer's
 * own requests could be led astray.
 */
const PROXY = knownNames('proxy');
const TWINS = new NameSet([], CLAIMS);
const CLAIMED = knownNames(...CLAIMS);

const VIA = knownNames('via');

export function setForwarded(
  headers: Headers,
  exchange: Exchange,
  options: ForwardedOptions,
): void {
  const { address } = exchange.client;
  if (!headers.lacks(UNDERSCORED)) headers.deleteAll(TWINS);
  headers.remove(PROXY);
  const { trusts, via } = options;
  if (trusts === undefined || !trusts(address)) {
    headers.remove(CLAIMED);
    const { claims, claimsAndVia } = ownLines(exchange, options);
    if (via !== undefined && headers.lacks(VIA)) {
      return headers.pushLines(claimsAndVia, CLAIMED | VIA);
    }
    headers.pushLines(claims, CLAIMED);
  } else {
    extendClaims(headers, exchange, options.forwarded === true);
  }
  if (via !== undefined) extend(headers, 'Via', `${exchange.request.version} ${via}`);
}

function extendClaims(headers: Headers, exchange: Exchange, forwarded: boolean): void {
  const { client, request, scheme } = exchange;
  const { authority } = request;
  extend(headers, 'X-Forwarded-For', client.address);
  if (!headers.has('x-forwarded-proto')) headers.push('X-Forwarded-Proto', scheme);
  if (authority !== '' && !headers.has('x-forwarded-host')) {
    headers.push('X-Forwarded-Host', authority);
  }
  if (forwarded) extend(headers, 'Forwarded', forwardedElement(client.address, scheme, authority));
}

/** The same for every request of a connection that asks for the same host. */
interface OwnLines {
  readonly authority: string;
  readonly version: HttpVersion;
  readonly scheme: string;
  readonly options: ForwardedOptions;
  readonly claims: string;
  /** With a `Via` that begins the chain. */
  readonly claimsAndVia: string;
}
const knownLines = new WeakMap<ClientAddress, OwnLines>();

function ownLines(exchange: Exchange, options: ForwardedOptions): OwnLines {
  const { client, scheme } = exchange;
  const { authority, version } = exchange.request;
  const known = knownLines.get(client);
  if (
    known !== undefined &&
    known.authority === authority &&
    known.version === version &&
    known.scheme === scheme &&
    known.options === options
  ) {
    return known;
  }
  const claims = inOnePiece(claimLines(exchange, options));
  const claimsAndVia = inOnePiece(`${claims}Via: ${version} ${options.via}\r\n`);
  const made = { authority, version, scheme, options, claims, claimsAndVia };
  knownLines.set(client, made);
  return made;
}

function claimLines({ client, request, scheme }: Exchange, options: ForwardedOptions): string {
  const { authority } = request;
  const { address } = client;
  const host = authority === '' ? '' : `X-Forwarded-Host: ${authority}\r\n`;
  const element =
    options.forwarded === true
      ? `Forwarded: ${forwardedElement(address, scheme, authority)}\r\n`
      : '';
  return `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${scheme}\r\n${host}${element}`;
}

/** One field with everything that was there and the new element last. */
function extend(headers: Headers, name: string, element: string): void {
  const chain = headers.getAll(name).filter((part) => part !== '');
  headers.set(name, [...chain, element].join(', '));
}

/** RFC 7239 §4: what is no token stands in quotes. */
function forwardedElement(address: string, scheme: string, authority: string): string {
  const node = isIPv6(address) ? `"[${address}]"` : address;
  const host = authority === '' ? '' : `;host="${authority}"`;
  return `for=${node};proto=${scheme}${host}`;
}
