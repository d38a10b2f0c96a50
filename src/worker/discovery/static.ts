/** Peers that are written down: what a program has where another one discovers. */
import type { Discovery, FoundPeer } from './discovery.ts';
import { peerSet } from './peer-set.ts';

/** @throws {TypeError} one of them is no peer */
export function staticPeers(peers: readonly FoundPeer[]): Discovery {
  const set = peerSet(peers);
  return {
    source: `static ${JSON.stringify(set)}`,
    watch(watcher) {
      watcher.found(set);
      return Promise.resolve();
    },
  };
}
