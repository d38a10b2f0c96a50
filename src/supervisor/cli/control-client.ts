/** Asks a running supervisor over its control socket. */
import { connect, type Socket } from 'node:net';
import { readLine } from '../control/line-reader.ts';
import {
  CONTROL_VERSION,
  decodeAnswer,
  encode,
  MAX_ANSWER_BYTES,
  type Answer,
} from '../control/protocol.ts';

export interface Question {
  readonly path: string;
  readonly verb: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** After `done`, wait until the process has ended. */
  readonly untilEnd: boolean;
}

/** @throws {Error} nobody could be asked; with the system's code where there is one, such as ENOENT */
export async function ask({ path, verb, options, untilEnd }: Question): Promise<Answer> {
  const socket = await connected(path);
  try {
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.write(encode({ version: CONTROL_VERSION, verb, options }));
    const answer = decodeAnswer(await readLine(socket, MAX_ANSWER_BYTES));
    if (untilEnd && answer.kind === 'done') {
      socket.resume();
      await ended;
    }
    return answer;
  } finally {
    socket.destroy();
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      // One that breaks is one that closes; who reads from it is told so.
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}
