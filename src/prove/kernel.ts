/**
 * What the kernel knows about a process: whether it is stopped, and which
 * connections it has accepted. Linux only, and only for processes of one's own user.
 */
import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { pairOf } from './wire/connections.ts';

/** Stopped by a signal: from then on it accepts nothing and answers nothing. */
export function isStopped(pid: number): boolean {
  // The name, in parentheses, may hold anything.
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).startsWith('T');
}

/**
 * The connections to `ports` that a process holds, as pairs of ports seen from the client. The
 * kernel takes tens of milliseconds to write its tables, in which the clients must not stand still.
 *
 * @throws {Error} no such process, or it belongs to somebody else
 */
export async function acceptedBy(pid: number, ports: ReadonlySet<number>): Promise<string[]> {
  const inodes = await socketInodes(pid);
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((table) => rowsOf(`/proc/${pid}/net/${table}`)),
  );
  return tables
    .flat()
    .filter(({ remotePort }) => remotePort !== 0) // listening
    .filter(({ inode, localPort }) => inodes.has(inode) && ports.has(localPort))
    .map(({ localPort, remotePort }) => pairOf(remotePort, localPort));
}

async function socketInodes(pid: number): Promise<ReadonlySet<string>> {
  const folder = `/proc/${pid}/fd`;
  const inodes = new Set<string>();
  for (const fd of await readdir(folder)) {
    const inode = /^socket:\[(\d+)\]$/.exec(await targetOf(`${folder}/${fd}`))?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  return inodes;
}

async function targetOf(path: string): Promise<string> {
  try {
    return await readlink(path);
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
async function rowsOf(table: string): Promise<TcpRow[]> {
  const [, ...lines] = (await readFile(table, 'latin1')).trimEnd().split('\n');
  const alive = lines.filter((line) => !line.includes(ENDED));
  return alive.map((line) => {
    const [, local = '', remote = '', , , , , , , inode = ''] = line.trim().split(/\s+/);
    return { localPort: portIn(local), remotePort: portIn(remote), inode };
  });
}

function portIn(address: string): number {
  return Number.parseInt(address.slice(address.lastIndexOf(':') + 1), 16);
}
