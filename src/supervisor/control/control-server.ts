/**
 * The control socket: where the command line reaches a running supervisor. Its
 * file has the mode 0600, and the kernel tells who connects: root, and whom the
 * supervisor runs as.
 */
import { createServer, type Socket } from 'node:net';
import type { Log } from '../../shared/log/log.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import type { InheritedSockets } from '../inheritance.ts';
import type { Operations } from '../operations.ts';
import { acceptOn, openOwnSocket, type OwnSocket } from '../own-socket.ts';
import type { Identity } from '../privileges.ts';
import { readLine } from './line-reader.ts';
import { decodeRequest, encode, MAX_REQUEST_BYTES, type Answer } from './protocol.ts';
import { verbs } from './verbs.ts';

export interface ControlServer {
  readonly path: string;
  readonly socket: OwnSocket;
  /** Answers from now on; who asks before that waits. */
  accept(): Promise<void>;
  /** @param keepFile it is a successor's now */
  close(keepFile: boolean): void;
}

export interface ControlOptions {
  readonly path: string;
  /** Whom the supervisor will run as; may ask, besides root. */
  readonly owner: Identity;
  readonly inherited: InheritedSockets | undefined;
  readonly operations: Operations;
  readonly libc: Libc;
  readonly log: Log;
}

const MODE = 0o600;
/** Some may wait for the end of an upgrade; more than this many is a mistake somewhere. */
const MAX_CLIENTS = 64;
/** To send a request, and to take the answer. */
const CLIENT_TIMEOUT_MS = 5_000;

/** @throws {Error} the path cannot be listened on, or another process does; the message says which */
export function openControlServer(options: ControlOptions): ControlServer {
  const { path, owner, inherited, libc } = options;
  const socket = openOwnSocket(libc, { place: { path, mode: MODE }, owner, inherited });
  const server = createServer(
    // Whoever has asked and sends no more still waits for the answer.
    { pauseOnConnect: true, allowHalfOpen: true },
    (client) => void serve(client, options),
  );
  server.maxConnections = MAX_CLIENTS;
  return {
    path,
    socket,
    accept: () => acceptOn(server, socket, libc),
    close(keepFile) {
      // Clients that wait for the end of the process see it by themselves.
      server.close();
      socket.close(keepFile);
    },
  };
}

async function serve(socket: Socket, options: ControlOptions): Promise<void> {
  socket.on('error', () => {}); // A client that leaves has no more questions.
  const tooSlow = setTimeout(() => socket.destroy(), CLIENT_TIMEOUT_MS);
  try {
    const stranger = strangerAt(socket, options);
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
  // Closing over bytes that nobody has read would be a reset, and could cost the client the answer.
  socket.resume();
  socket.end(encode(answer));
}

/** Why this client may ask nothing; `undefined` if it may. */
function strangerAt(socket: Socket, { owner: { uid }, libc }: ControlOptions): string | undefined {
  // What Node does not offer: the descriptor of a connection.
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0) return 'it is not known who asks';
  const { uid: theirs } = libc.peerCredentials(fd);
  if (theirs === 0 || theirs === uid) return undefined;
  return `expected root or user ${uid}, got user ${theirs}`;
}
