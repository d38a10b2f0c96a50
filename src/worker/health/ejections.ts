/** Tells of peers that this worker has ejected: a line when it happens, one when they are used again, and a count. */
import type { Log } from '../../shared/log/log.ts';
import type { PeerTable } from '../../shared/memory/peer-table.ts';
import type { UpstreamRecorder } from '../../shared/metrics/recorder.ts';
import type { Time } from '../../shared/time/time.ts';
import type { Ejection } from '../balance/outlier-detection.ts';

export interface EjectionReportParts {
  readonly upstream: string;
  readonly table: PeerTable;
  readonly recorder: UpstreamRecorder;
  readonly time: Time;
  readonly log: Log;
}

export function reportEjections({
  upstream,
  table,
  recorder,
  time,
  log,
}: EjectionReportParts): (ejection: Ejection) => void {
  return ({ address: peer, row, reason, durationMs }) => {
    recorder.ejected();
    log.warn({ upstream, peer, reason, forMs: Math.round(durationMs) }, 'peer ejected');
    const until = table.ejections.ejectedUntil(row);
    const stop = time.every(durationMs, () => {
      stop();
      // Unless a probe, or another failure, has had its say in between.
      if (table.ejections.ejectedUntil(row) !== until) return;
      log.info({ upstream, peer }, 'peer is used again after its ejection');
    });
  };
}
