/** An answer of Sluice's own, made without asking a peer. */
import { Headers } from '../http/headers.ts';
import { reasonOf } from '../http/status.ts';

export interface AnswerInit {
  readonly status: number;
  readonly headers?: Headers | Readonly<Record<string, string>> | undefined;
  /** Text is sent as UTF-8. Pieces of an iterable are sent as they come, and asked for as fast as the client reads. */
  readonly body?: AnswerBody | undefined;
}

export type AnswerBody = string | Uint8Array | BodyPieces;

/** Left early, by its `return`, if the client leaves. */
export type BodyPieces = AsyncIterable<string | Uint8Array>;

/** What a request phase returns to answer and stop. Made by `session.respond…`. */
export class Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer | BodyPieces | undefined;

  /** @throws {RangeError} the status is not a final one */
  constructor({ status, headers = {}, body }: AnswerInit) {
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`answer status: expected an integer from 200 to 599, got ${status}`);
    }
    this.status = status;
    this.headers = headersFrom(headers);
    this.body = bodyOf(body);
  }
}

/** A copy of its own. */
export function headersFrom(given: Headers | Readonly<Record<string, string>>): Headers {
  if (given instanceof Headers) return given.clone();
  const headers = new Headers();
  for (const [name, value] of Object.entries(given)) headers.set(name, value);
  return headers;
}

function bodyOf(given: AnswerBody | undefined): Answer['body'] {
  if (given === undefined || Symbol.asyncIterator in Object(given)) return given as BodyPieces;
  return Buffer.from(given as string);
}

/** The standard words for a status: `404 Not Found`. */
export function statusText(status: number): string {
  return `${status} ${reasonOf(status)}`;
}
