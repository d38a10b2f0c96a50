/** Lets an operator take a peer out of service, and put it back. */
import type { Log } from '../shared/log/log.ts';
import { done, refused, type Outcome, type PeerSwitch } from './operations.ts';
import type { PlannedPeer } from './reload/staging.ts';

export function switchPeer(
  peers: readonly PlannedPeer[],
  { to, peer, upstream }: PeerSwitch,
  log: Log,
): Outcome {
  const found = peers.filter(
    (each) => each.peer === peer && (upstream === undefined || each.upstream === upstream),
  );
  const [first, ...others] = found;
  if (first === undefined) {
    const where = upstream === undefined ? 'no upstream has' : `the upstream "${upstream}" has not`;
    return refused(`${where} a peer ${peer}; sluice peers lists them`);
  }
  if (others.length > 0) {
    const names = found.map((each) => each.upstream).join(', ');
    return refused(
      `several upstreams have a peer ${peer}: say which one with --upstream (${names})`,
    );
  }
  if (!first.setDrained(to === 'drained'))
    return refused(`${peer} came when the peer table was full, so nothing can be said of it`);
  log.warn({ upstream: first.upstream, peer, standing: first.standing() }, `peer ${to}`);
  const text =
    to === 'drained'
      ? `${peer} of ${first.upstream} gets no new requests; ${first.inFlight()} are under way`
      : `${peer} of ${first.upstream} gets requests again`;
  return done(text);
}
