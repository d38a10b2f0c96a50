/** Answers of the supervisor as text for a terminal. */
import { showPlace } from '../../shared/ipc/place.ts';
import type { PeerStatus, Status } from '../operations.ts';

export function showStatus(data: unknown): string {
  const { state, version, pid, startedAt, lastReload, addresses, workers, restarts, segments } =
    data as Status;
  const lines = [
    `sluice ${version}, process ${pid}: ${state}, up since ${new Date(startedAt).toISOString()}`,
  ];
  for (const address of addresses ?? []) {
    const place = 'path' in address ? { path: address.path, mode: 0 } : address;
    lines.push(`${address.service} on ${showPlace(place)}${address.tls ? ', TLS' : ''}`);
  }
  if (lastReload !== undefined) {
    const { successful, at, reason } = lastReload;
    const how = successful ? 'successful' : `refused: ${reason}`;
    lines.push(`last reload at ${new Date(at).toISOString()}: ${how}`);
  }
  if (workers !== undefined) {
    lines.push(`${workers.length} workers, ${restarts} replaced after they died`, '');
    const rows = workers.map(({ number, state: of, pid: id }) => [
      String(number),
      of,
      String(id ?? '-'),
    ]);
    lines.push(table(['WORKER', 'STATE', 'PID'], rows));
  }
  if (segments !== undefined && segments.length > 0) {
    const rows = segments.map(({ name, size, madeBy }) => [
      name,
      `${Math.ceil(size / 1024)} KiB`,
      madeBy === undefined ? '-' : `process ${madeBy}`,
    ]);
    lines.push('', table(['SHARED MEMORY', 'SIZE', 'MADE BY'], rows));
  }
  return lines.join('\n');
}

export function showPeers(data: unknown): string {
  const peers = data as readonly PeerStatus[];
  if (peers.length === 0) return 'no upstream has peers';
  const rows = peers.map(({ upstream, peer, health }) => [upstream, peer, health]);
  return table(['UPSTREAM', 'PEER', 'HEALTH'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
