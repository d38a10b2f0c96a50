/** Reads one line from a connection, of bounded length. */
import type { Socket } from 'node:net';

/** @throws {Error} more than `maxBytes` came without an end of line, or the connection ended before one */
export function readLine(socket: Socket, maxBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let length = 0;
    const settle = (act: () => void) => {
      socket.off('data', onData).off('end', onEnd).off('error', onError).off('close', onEnd);
      socket.pause();
      act();
    };
    const onData = (piece: Buffer) => {
      const end = piece.indexOf(0x0a);
      length += end < 0 ? piece.length : end;
      if (length > maxBytes)
        return settle(() => reject(new Error(`expected a line of at most ${maxBytes} bytes`)));
      pieces.push(end < 0 ? piece : piece.subarray(0, end));
      if (end >= 0) settle(() => resolve(Buffer.concat(pieces).toString('utf8')));
    };
    const onEnd = () => settle(() => reject(new Error('the connection ended before the line did')));
    const onError = (error: Error) => settle(() => reject(error));
    socket.on('data', onData).on('end', onEnd).on('error', onError).on('close', onEnd);
    socket.resume();
  });
}
