/**
 * What the kernel knows about a process: whether it is stopped, and which
 * connections it has accepted. Linux only, and only for processes of one's own user.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { pairOf } from './wire/connections.ts';

/** Stopped by a signal: from then on it accepts nothing and answers nothing. */
export function isStopped(pid: number): boolean {
  // The name, in parentheses, may hold anything.
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).startsWith('T');
}

/**
 * The connections to `ports` that a process holds, as pairs of ports seen from the client.
 *
 * @throws {Error} no such process, or it belongs to somebody else
 */
export function acceptedBy(pid: number, ports: ReadonlySet<number>): string[] {
  const inodes = socketInodes(pid);
  return ['tcp', 'tcp6']
    .flatMap((table) => rowsOf(`/proc/${pid}/net/${table}`))
    .filter(({ remotePort }) => remotePort !== 0) // listening
    .filter(({ inode, localPort }) => inodes.has(inode) && ports.has(localPort))
    .map(({ localPort, remotePort }) => pairOf(remotePort, localPort));
}

function socketInodes(pid: number): ReadonlySet<string> {
  const folder = `/proc/${pid}/fd`;
  const inodes = new Set<string>();
  for (const fd of readdirSync(folder)) {
    const inode = /^socket:\[(\d+)\]$/.exec(readlink(`${folder}/${fd}`))?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  return inodes;
}

function readlink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed since the folder was read
  }
}

interface TcpRow {
  readonly localPort: number;
  readonly remotePort: number;
  readonly inode: string;
}

/** State of a connection that nobody has any more (TIME_WAIT); most are, where many come and go. */
const ENDED = ' 06 ';

/** `proc(5)`: sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode … */
function rowsOf(table: string): TcpRow[] {
  const [, ...lines] = readFileSync(table, 'latin1').trimEnd().split('\n');
  const alive = lines.filter((line) => !line.includes(ENDED));
  return alive.map((line) => {
    const [, local = '', remote = '', , , , , , , inode = ''] = line.trim().split(/\s+/);
    return { localPort: portIn(local), remotePort: portIn(remote), inode };
  });
}

function portIn(address: string): number {
  return Number.parseInt(address.slice(address.lastIndexOf(':') + 1), 16);
}
