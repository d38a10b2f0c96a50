/**
 * Keeps a client with the peer that answered it first, by a cookie that names the peer.
 *
 * The name is a MAC of the upstream and the peer's address: nobody without the
 * secret can make one that leads anywhere, or learns from it where peers are. It
 * is the same for all clients, so it says nothing about who somebody is.
 */
import { createHmac } from 'node:crypto';
import { refuseUnknown } from '../../shared/config/options.ts';
import type { BalancedPeer } from '../balance/balanced-peer.ts';
import type { LoadBalancer } from '../balance/load-balancer.ts';
import { cookieOf } from '../http/cookie.ts';
import type { ResponseHead } from '../http/message.ts';
import type { Session } from '../proxy/session.ts';
import type { HttpPeer } from '../upstream/peer.ts';

export interface StickyCookieOptions {
  /**
   * The first one signs, cookies of all are believed: a new one is put before the old one, which
   * goes when its cookies have. At least 16 characters, the same on all hosts.
   */
  readonly secrets: readonly string[];
  /** Its name. Default `sluice-peer`. */
  readonly cookie?: string;
  /** How long browsers keep it, from the first response on. Default: until they are closed. */
  readonly maxAgeMs?: number;
}

const OPTIONS = { secrets: true, cookie: true, maxAgeMs: true } as const;

const LEAST_SECRET = 16;
const MAX_SECRETS = 8;

/** Of a name of a cookie (RFC 6265 section 4.1.1). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** 128 bits: more than anybody can try. */
const NAME_CHARACTERS = 22;

export class StickyCookie {
  readonly #balancer: LoadBalancer;
  readonly #secrets: readonly string[];
  readonly #cookie: string;
  readonly #attributes: string;
  /** By all names that are believed. */
  #peers: ReadonlyMap<string, BalancedPeer> = new Map();
  /** The name that is given out, by address. */
  #names: ReadonlyMap<string, string> = new Map();

  /** @throws {TypeError} an option is unknown, or makes no sense */
  constructor(balancer: LoadBalancer, options: StickyCookieOptions) {
    refuseUnknown('StickyCookie', options, OPTIONS);
    const { secrets, cookie = 'sluice-peer', maxAgeMs } = options;
    if (secrets.length === 0 || secrets.length > MAX_SECRETS)
      throw new TypeError(`StickyCookie: secrets: expected 1 to ${MAX_SECRETS}`);
    if (secrets.some(({ length }) => length < LEAST_SECRET))
      throw new TypeError(`StickyCookie: secrets: expected ${LEAST_SECRET} characters or more`);
    if (!TOKEN.test(cookie))
      throw new TypeError(`StickyCookie: cookie: expected a name such as "peer", got "${cookie}"`);
    if (maxAgeMs !== undefined && !(maxAgeMs >= 1_000 && maxAgeMs < Infinity))
      throw new TypeError(`StickyCookie: maxAgeMs: expected 1000 or more, got ${maxAgeMs}`);
    this.#balancer = balancer;
    this.#secrets = secrets;
    this.#cookie = cookie;
    const age = maxAgeMs === undefined ? '' : `; Max-Age=${Math.floor(maxAgeMs / 1_000)}`;
    this.#attributes = `; Path=/${age}; HttpOnly; SameSite=Lax`;
    this.#learn();
    balancer.onUpdate(() => this.#learn());
  }

  /** The peer that the client is with; `undefined` if there is none, or if it may not be used. */
  peerOf({ request }: Session): HttpPeer | undefined {
    const name = cookieOf(request.headers, this.#cookie);
    const named = name === undefined ? undefined : this.#peers.get(name);
    return named !== undefined && this.#balancer.mayKeep(named) ? named.peer : undefined;
  }

  /** For the phase `responseFilter`: tells the client whom it is with from now on, if it does not know. */
  mark({ request, peer, scheme }: Session, { headers }: ResponseHead): void {
    const name = peer === undefined ? undefined : this.#names.get(peer.address);
    if (name === undefined || name === cookieOf(request.headers, this.#cookie)) return;
    const secure = scheme === 'https' ? '; Secure' : '';
    headers.append('Set-Cookie', `${this.#cookie}=${name}${this.#attributes}${secure}`);
  }

  #learn(): void {
    const peers = new Map<string, BalancedPeer>();
    const names = new Map<string, string>();
    for (const balanced of this.#balancer.peers) {
      const { address } = balanced;
      for (const secret of this.#secrets) peers.set(this.#nameOf(address, secret), balanced);
      names.set(address, this.#nameOf(address, this.#secrets[0]!));
    }
    this.#peers = peers;
    this.#names = names;
  }

  #nameOf(address: string, secret: string): string {
    const mac = createHmac('sha256', secret);
    // A name of an upstream has no zero byte, so that both parts end where they seem to.
    mac.update(`sluice sticky cookie\0${this.#balancer.name}\0${address}`);
    return mac.digest('base64url').slice(0, NAME_CHARACTERS);
  }
}
