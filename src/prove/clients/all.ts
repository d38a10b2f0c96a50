/** The whole traffic of a run, and its books. */
import type { Gaps } from '../gaps.ts';
import type { Ledger } from '../ledger.ts';
import { runEvents, runWebSockets } from './endless.ts';
import { runKeepAlive } from './keep-alive.ts';
import { runBursts, runNewConnections } from './new-connections.ts';
import type { Scene } from './scene.ts';
import { runDownloads, runUploads } from './transfers.ts';

/** As the origin knows them by. */
export const clientNames = [
  'keep-alive',
  'new-connection',
  'burst',
  'download',
  'upload',
  'websocket',
  'events',
] as const;

export interface TrafficOptions {
  readonly scene: Scene;
  readonly ledger: Ledger;
  readonly gaps: Gaps;
  /** That keep their connections. */
  readonly clients: number;
}

/**
 * Resolves when all have left, after `scene.stop`.
 *
 * @throws what is a fault of the proof, not of the server
 */
export async function runClients({ scene, ledger, gaps, clients }: TrafficOptions): Promise<void> {
  const [keepAlive, fresh, burst, download, upload, websocket, events] = clientNames.map((name) =>
    ledger.account(name),
  );
  await Promise.all([
    ...Array.from({ length: clients }, (_, index) => runKeepAlive(scene, keepAlive!, index)),
    runNewConnections(scene, fresh!, gaps, () => ledger.lastKind),
    runBursts(scene, burst!),
    runDownloads(scene, download!),
    runUploads(scene, upload!),
    runWebSockets(scene, websocket!),
    runEvents(scene, events!),
  ]);
}
