/** Streams of messages as our codecs read them, in the words of `nodes-parser.ts`. */
import assert from 'node:assert/strict';
import { BodyDecoder } from '../../../../../src/worker/protocol/http1/body-decoder.ts';
import { RequestHeadParser } from '../../../../../src/worker/protocol/http1/request-head.ts';
import { ResponseHeadParser } from '../../../../../src/worker/protocol/http1/response-head.ts';
import type { Reading, ResponseReading, SeenRequest, SeenResponse } from './nodes-parser.ts';

export interface OurReading extends Reading {
  readonly end: 'of input' | 'within a message' | 'of connection';
}

/** @param cuts where the input is cut on its way; it must make no difference */
export function readAsWe(wire: string, cuts: readonly number[]): OurReading {
  const bytes = Buffer.from(wire, 'latin1');
  const requests: SeenRequest[] = [];
  const parser = new RequestHeadParser();
  let body = '';
  const decoder = new BodyDecoder(
    { kind: 'none' },
    { onData: (given, from, end) => (body += given.latin1Slice(from, end)) },
  );
  let current: ReturnType<typeof parser.take> | undefined;
  let at = 0;
  try {
    for (const end of endsOf(cuts, bytes.length)) {
      while (true) {
        if (current === undefined) {
          const after = at === end ? -1 : parser.parse(bytes, at, end);
          if (after < 0) break;
          at = after;
          current = parser.take();
          decoder.reset(current.framing);
          body = '';
        }
        at = decoder.decode(bytes, at, end);
        if (!decoder.done) break;
        const { method, target, version, headers } = current.head;
        requests.push({ method, target, version, fields: [...headers].flat(), body });
        if (!current.keepAlive) return { requests, refused: undefined, end: 'of connection' };
        current = undefined;
      }
    }
  } catch (thrown) {
    assert.equal((thrown as Error).name, 'Malformed', String(thrown));
    return { requests, refused: (thrown as Error).message, end: 'within a message' };
  }
  const complete = current === undefined && at === bytes.length;
  return { requests, refused: undefined, end: complete ? 'of input' : 'within a message' };
}

/**
 * As an upstream connection reads: to the end of input, which is the end of the connection.
 *
 * @param methods of the requests that are answered, in order
 */
export function readResponsesAsWe(
  wire: string,
  cuts: readonly number[],
  methods: readonly string[],
): ResponseReading {
  const bytes = Buffer.from(wire, 'latin1');
  const responses: SeenResponse[] = [];
  const parser = new ResponseHeadParser();
  let body = '';
  const decoder = new BodyDecoder(
    { kind: 'none' },
    { onData: (given, from, end) => (body += given.latin1Slice(from, end)) },
  );
  let current: ReturnType<typeof parser.take> | undefined;
  let finals = 0;
  const complete = ({ head: { status, version, headers } }: ReturnType<typeof parser.take>) => {
    responses.push({ status, version, fields: [...headers].flat(), body });
    if (status >= 200) finals += 1;
    current = undefined;
  };
  let at = 0;
  try {
    for (const end of endsOf(cuts, bytes.length)) {
      while (true) {
        if (current === undefined) {
          if (finals === methods.length) return { responses, refused: 'answered all' };
          const after = at === end ? -1 : parser.parse(bytes, at, end, methods[finals]!);
          if (after < 0) break;
          at = after;
          current = parser.take();
          decoder.reset(current.framing);
          body = '';
        }
        at = decoder.decode(bytes, at, end);
        if (!decoder.done) break;
        const { keepAlive } = current;
        complete(current);
        if (!keepAlive) return { responses, refused: 'closed' };
      }
    }
    if (current !== undefined) {
      decoder.endOfInput();
      complete(current);
    }
  } catch (thrown) {
    assert.equal((thrown as Error).name, 'Malformed', String(thrown));
    return { responses, refused: (thrown as Error).message };
  }
  return { responses, refused: at === bytes.length ? undefined : 'cut within a head' };
}

function endsOf(cuts: readonly number[], length: number): number[] {
  return [...cuts.map((cut) => cut % (length + 1)), length].sort((a, b) => a - b);
}
