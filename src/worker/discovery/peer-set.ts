/** A set of peers in one spelling: the same peers are the same text, however a source has ordered them. */
import { parsePeerAddress } from '../upstream/peer-address.ts';
import type { FoundPeer } from './discovery.ts';

/** Of one upstream. A source that tells of more is taken for one that is broken or hostile. */
export const MAX_PEERS = 1_000;

export interface KnownPeer {
  readonly address: string;
  readonly weight: number;
  readonly priority: number;
}

/**
 * Sorted by address; of a peer that is there twice the first one counts.
 *
 * @throws {TypeError} one of them is no peer, or there are too many
 */
export function peerSet(found: readonly FoundPeer[]): readonly KnownPeer[] {
  const peers = new Map<string, KnownPeer>();
  for (const given of found) {
    const peer = checked(given);
    if (!peers.has(peer.address)) peers.set(peer.address, peer);
    if (peers.size > MAX_PEERS)
      throw new TypeError(`expected at most ${MAX_PEERS} peers, got more`);
  }
  return [...peers.values()].toSorted((one, other) => (one.address < other.address ? -1 : 1));
}

function checked({ address, weight = 1, priority = 0 }: FoundPeer): KnownPeer {
  parsePeerAddress(address, 'address of a peer that was found');
  refuseUnless(weight >= 0 && weight <= 65_535, address, 'weight', '0 to 65535', weight);
  const isPriority = Number.isInteger(priority) && priority >= 0 && priority <= 65_535;
  refuseUnless(isPriority, address, 'priority', 'a whole number from 0 to 65535', priority);
  return { address, weight, priority };
}

function refuseUnless(
  isRight: boolean,
  address: string,
  what: string,
  expected: string,
  got: unknown,
): void {
  if (isRight) return;
  throw new TypeError(`${what} of ${address}: expected ${expected}, got ${JSON.stringify(got)}`);
}

/** What came and what went between two sets. A peer with another weight or priority has stayed. */
export function difference(
  before: readonly KnownPeer[],
  after: readonly KnownPeer[],
): { readonly added: readonly string[]; readonly removed: readonly string[] } {
  const [old, now] = [before, after].map((set) => new Set(set.map(({ address }) => address)));
  return {
    added: [...now!].filter((address) => !old!.has(address)),
    removed: [...old!].filter((address) => !now!.has(address)),
  };
}
