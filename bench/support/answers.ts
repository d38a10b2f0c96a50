/**
 * The least that is needed to know where an answer on a keep-alive connection
 * ends: for our own clients, which measure and must cost little.
 */
import { BenchFailure } from './failure.ts';

/**
 * @param text of an answer, from its beginning, as latin1
 * @returns its length with head and body; `undefined` while the head is incomplete
 * @throws {BenchFailure} it is no 200, or does not say how long its body is
 */
export function answerLength(text: string): number | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = text.slice(0, headEnd);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (head.startsWith('HTTP/1.1 200') && length !== undefined) {
    return headEnd + '\r\n\r\n'.length + Number(length);
  }
  throw new BenchFailure(`expected a 200 with Content-Length, got:\n${head}`);
}
