/** What a subrequest was answered, as far as it has come. */
import { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { ResponseHead } from '../http/message.ts';
import { Answer, type BodyPieces } from './answer.ts';

/**
 * Returned from a request phase, it is the answer to the client, passed on as it
 * comes. What nobody reads of its body ends with the request.
 */
export class SubrequestAnswer extends Answer {
  constructor({ status, headers }: ResponseHead, body: BodyPieces | undefined) {
    super({ status, headers, body });
  }

  /**
   * The whole body; the answer can then not be passed on any more.
   *
   * @param limit bytes; a longer one fails
   * @throws {ProxyError} `internal/subrequest-failed`: it is longer, or was cut
   */
  async readBody({ limit }: { readonly limit: number }): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    if (this.body === undefined) return Buffer.alloc(0);
    for await (const piece of this.body as AsyncIterable<Uint8Array>) {
      pieces.push(piece);
      length += piece.length;
      if (length <= limit) continue;
      const detail = `expected a body of at most ${limit} bytes, got more`;
      throw new ProxyError('internal/subrequest-failed', detail);
    }
    return Buffer.concat(pieces, length);
  }
}
