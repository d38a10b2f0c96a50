/**
 * Probes the peers of every balancer that has a health check, and writes the
 * verdicts where all workers of the host read them. One worker does this for
 * all, as a duty given by the supervisor.
 */
import type { Log } from '../../shared/log/log.ts';
import type { PeerTable } from '../../shared/memory/peer-table.ts';
import type { Time } from '../../shared/time/time.ts';
import { judge, type Standing, type TcpHealthCheck } from '../balance/health-check.ts';
import type { BalancedPeer, LoadBalancer } from '../balance/load-balancer.ts';
import type { ConnectListener } from '../transport/connect.ts';
import { NOBODY } from '../transport/transport.ts';
import type { Dial } from '../upstream/dial.ts';
import type { HttpPeer } from '../upstream/peer.ts';

export interface ProberOptions {
  readonly balancers: readonly LoadBalancer[];
  readonly table: PeerTable;
  readonly time: Time;
  readonly dial: Dial;
  readonly log: Log;
}

/** Begins to probe. @returns stops it; a probe under way ends without a verdict */
export function startProber(options: ProberOptions): () => void {
  const stopping = new AbortController();
  for (const balancer of options.balancers) {
    if (balancer.healthCheck === undefined) continue;
    for (const balanced of balancer.peers) {
      void probeForEver(balancer, balanced, balancer.healthCheck, options, stopping.signal);
    }
  }
  return () => stopping.abort();
}

/** One loop per peer, so that a peer that lets probes time out does not delay the others' probes. */
async function probeForEver(
  balancer: LoadBalancer,
  balanced: BalancedPeer,
  check: TcpHealthCheck,
  options: ProberOptions,
  stopping: AbortSignal,
): Promise<void> {
  const { table, time, log } = options;
  const { peer, row } = balanced;
  // Verdicts outlive the worker that gave them: a new prober goes on from there.
  let standing: Standing = { verdict: table.verdict(row), contrary: 0 };
  while (!stopping.aborted) {
    const result = await probe(peer, check.timeoutMs, options, stopping);
    if (stopping.aborted) return;
    const after = judge(standing, result === 'ok', check);
    if (after.verdict !== 'unknown') table.setVerdict(row, after.verdict, time.clock());
    if (after.verdict !== standing.verdict) {
      const fields = { upstream: balancer.name, peer: peer.address, verdict: after.verdict };
      if (after.verdict === 'ill') log.warn({ ...fields, reason: result }, 'peer became ill');
      else log.info(fields, 'peer became healthy');
    }
    standing = after;
    await pause(jittered(balancer.healthCheckFrequencyMs), time, stopping);
  }
}

/** Up to 10 % sooner or later, so that many hosts do not probe a peer at the same instant. */
function jittered(intervalMs: number): number {
  return intervalMs * (0.9 + Math.random() * 0.2);
}

/**
 * With a peer that speaks TLS, the handshake is part of being healthy.
 *
 * @returns `ok`, or why not
 */
function probe(
  peer: HttpPeer,
  timeoutMs: number,
  { dial, time }: ProberOptions,
  stopping: AbortSignal,
): Promise<string> {
  return new Promise((resolve) => {
    const end = (result: string) => {
      cancel();
      stopping.removeEventListener('abort', stop);
      giveUp();
      resolve(result);
    };
    const stop = () => end('stopped');
    const cancel = time.after(timeoutMs, () => end(`no connection within ${timeoutMs} ms`));
    stopping.addEventListener('abort', stop, { once: true });
    const listener: ConnectListener = {
      onConnected(connected) {
        connected((transport) => {
          transport.destroy();
          return NOBODY;
        });
        end('ok');
      },
      onFailed: (error) => end(error.message),
    };
    const giveUp = dial(peer, listener);
  });
}

function pause(ms: number, time: Time, stopping: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      stopping.removeEventListener('abort', end);
      resolve();
    };
    const cancel = time.after(ms, end);
    stopping.addEventListener('abort', end, { once: true });
  });
}
