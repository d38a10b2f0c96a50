/**
 * The control socket: where the command line reaches a running supervisor. Its
 * file has the mode 0600, and the kernel tells who connects: root, and whom the
 * supervisor runs as.
 */
import { chownSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Log } from '../../shared/log/log.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import type { Operations } from '../operations.ts';
import { fileAt, removeOurs, removeStale } from '../listeners/bound.ts';
import { readLine } from './line-reader.ts';
import { decodeRequest, encode, MAX_REQUEST_BYTES, type Answer } from './protocol.ts';
import { verbs } from './verbs.ts';

export interface ControlServer {
  readonly path: string;
  /** Of the listening socket, for a successor. */
  readonly fd: number;
  /** @param keepFile it belongs to a successor now */
  close(options?: { readonly keepFile?: boolean }): void;
}

export interface ControlOptions {
  readonly path: string;
  /** Whom the supervisor will run as; may connect besides root. */
  readonly uid: number;
  /** The listening socket of a predecessor, under the same path. */
  readonly inherited?: number | undefined;
  readonly operations: Operations;
  readonly libc: Libc;
  readonly log: Log;
}

const MODE = 0o600;
const BACKLOG = 64;
/** Some may wait for the end of an upgrade; more than this many is a mistake somewhere. */
const MAX_CLIENTS = 64;
/** To send a request, and to take the answer. */
const CLIENT_TIMEOUT_MS = 5_000;

/** @throws {Error} the path cannot be listened on, or another process does; the message says which */
export async function openControlServer(options: ControlOptions): Promise<ControlServer> {
  const { path, inherited, libc } = options;
  const fd = inherited ?? listenOn(options);
  const file = fileAt(path);
  const server = createServer(
    // Whoever has asked and sends no more still waits for the answer.
    { pauseOnConnect: true, allowHalfOpen: true },
    (socket) => void serve(socket, options),
  );
  server.maxConnections = MAX_CLIENTS;
  // The server closes its own when it ends.
  await listening(server, libc.dup(fd));
  return {
    path,
    fd,
    close({ keepFile = false } = {}) {
      // Clients that wait for the end of the process see it by themselves.
      server.close();
      libc.close(fd);
      if (!keepFile && file !== undefined) removeOurs(path, file);
    },
  };
}

function listenOn({ path, uid, libc }: ControlOptions): number {
  removeStale(libc, path);
  const fd = libc.boundUnixSocket(path, MODE);
  try {
    if (process.getuid?.() === 0) chownSync(path, uid, -1);
    libc.listen(fd, BACKLOG);
    return fd;
  } catch (thrown) {
    libc.close(fd);
    throw thrown;
  }
}

function listening(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, resolve);
  });
}

async function serve(socket: Socket, options: ControlOptions): Promise<void> {
  socket.on('error', () => {}); // A client that leaves has no more questions.
  const tooSlow = setTimeout(() => socket.destroy(), CLIENT_TIMEOUT_MS);
  const stranger = strangerAt(socket, options);
  try {
    if (stranger !== undefined) return end(socket, { kind: 'refused', reason: stranger });
    const { verb: name, options: given } = decodeRequest(await readLine(socket, MAX_REQUEST_BYTES));
    // From here on it is the client that waits, as long as it likes.
    clearTimeout(tooSlow);
    const verb = verbs.get(name);
    if (verb === undefined) {
      const known = [...verbs.keys()].join(', ');
      throw new Error(`there is no verb ${JSON.stringify(name)}; this release knows: ${known}`);
    }
    options.log.info({ verb: name, options: given }, 'asked on the control socket');
    const answer = await verb.run(options.operations, given);
    if (verb.untilEnd === true && answer.kind === 'done') socket.write(encode(answer));
    else end(socket, answer);
  } catch (thrown) {
    end(socket, { kind: 'misunderstood', reason: (thrown as Error).message });
  } finally {
    clearTimeout(tooSlow);
  }
}

function end(socket: Socket, answer: Answer): void {
  if (socket.destroyed) return;
  const tooSlow = setTimeout(() => socket.destroy(), CLIENT_TIMEOUT_MS);
  socket.on('close', () => clearTimeout(tooSlow));
  socket.end(encode(answer), () => socket.destroySoon());
}

/** Why this client may ask nothing; `undefined` if it may. */
function strangerAt(socket: Socket, { uid, libc }: ControlOptions): string | undefined {
  // What Node does not offer: the descriptor of a connection.
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0) return 'it is not known who asks';
  const { uid: theirs } = libc.peerCredentials(fd);
  if (theirs === 0 || theirs === uid) return undefined;
  return `expected root or user ${uid}, got user ${theirs}`;
}
