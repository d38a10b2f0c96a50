/**
 * Do we ever see other responses than Node's own parser in the same bytes? As
 * `differential.fuzz.test.ts`, for the other direction.
 *
 *     FUZZ_RUNS=1000000 FUZZ_SEED=42 node --test <this file>
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Headers } from '../../../../../src/worker/http/headers.ts';
import { responseStreams } from './broken-messages.ts';
import {
  BLANK_AFTER_CODING,
  bodiesLlhttpRefuses,
  codingsWeRefuse,
  type LlhttpReason,
  type OurReason,
} from './known-disagreements.ts';
import { readResponsesAsNode, type ResponseReading, type SeenResponse } from './nodes-parser.ts';
import { readResponsesAsWe } from './our-reading.ts';

/** What we refuse and llhttp does not, by our message. */
const weAreStricter: readonly OurReason[] = [
  {
    says: /^expected no Transfer-Encoding in a (1\d\d|204)/,
    because: 'it ignores a coding for a body that cannot be (RFC 9112 §6.1)',
  },
  {
    says: /^expected Content-Length to be a number below 2\^53, got "\d+"/,
    because: 'it counts up to 2^64',
  },
  { says: /^expected a status from 100 to 599/, because: 'it takes any three digits' },
  { says: /^expected a status line .* got byte 0x3[02]/, because: 'it takes HTTP/0.9 and 2.0' },
  { says: /^expected a status line .* got byte 0x0[ad]/, because: 'it skips line ends' },
  {
    says: /^expected CRLF after the status line, got byte 0x(0|1|7f)/,
    because: 'it takes control bytes in a reason',
  },
  ...codingsWeRefuse,
];

const llhttpIsStricter: readonly LlhttpReason<SeenResponse>[] = bodiesLlhttpRefuses;

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 20_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

test('what we see in a stream of responses is what Node sees, or the reason is known', (t) => {
  t.diagnostic(`FUZZ_SEED=${SEED}, ${RUNS} runs`);
  let agreed = 0;
  const methods = fc.array(fc.constantFrom('GET', 'GET', 'GET', 'HEAD'), {
    minLength: 3,
    maxLength: 3,
  });
  const cuts = fc.array(fc.nat(), { maxLength: 3 });
  fc.assert(
    fc.property(responseStreams(), methods, cuts, (wire, methods, cuts) => {
      const ours = readResponsesAsWe(wire, cuts, methods);
      const nodes = readResponsesAsNode(wire, methods);
      assert.deepEqual(disagreement(wire, ours, nodes), undefined);
      agreed += Math.min(ours.responses.length, nodes.responses.length);
    }),
    { seed: SEED, numRuns: RUNS },
  );
  // Else the generator would have become so wild that nothing is compared any more.
  assert.ok(agreed > RUNS / 2, `only ${agreed} responses were accepted by both`);
});

function disagreement(
  wire: string,
  ours: ResponseReading,
  nodes: ResponseReading,
): object | undefined {
  // Then it takes the coding for another one, and reads to the end; RFC 9110 §5.5 allows the blank.
  if (BLANK_AFTER_CODING.test(wire)) return undefined;
  const common = Math.min(ours.responses.length, nodes.responses.length);
  for (let at = 0; at < common; at++) {
    const [our, their] = [ours.responses[at]!, comparable(nodes.responses[at]!)];
    if (JSON.stringify(our) !== JSON.stringify(their)) return { our, their };
  }
  if (nodes.responses.length > common) {
    const known = weAreStricter.some(({ says }) => says.test(ours.refused ?? ''));
    return known ? undefined : { weStopped: ours.refused, nodeReadOn: nodes };
  }
  if (ours.responses.length > common) {
    const next = ours.responses[common]!;
    const known = llhttpIsStricter.some(({ code, is }) => code === nodes.refused && is(next, wire));
    return known ? undefined : { nodeStopped: nodes.refused, weReadOn: ours };
  }
  return undefined;
}

/** A length without zeros in front; none in 1xx and 204. */
function comparable(seen: SeenResponse): SeenResponse {
  const headers = new Headers([...seen.fields]);
  const length = headers.get('content-length');
  if (length === undefined) return seen;
  if (/^0\d/.test(length)) headers.set('Content-Length', String(Number(length)));
  if (seen.status < 200 || seen.status === 204) headers.delete('content-length');
  return { ...seen, fields: [...headers].flat() };
}
