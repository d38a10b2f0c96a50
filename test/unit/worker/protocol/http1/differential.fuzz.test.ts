/**
 * Do we ever see other requests than Node's own parser in the same bytes?
 *
 * Both read the same streams of requests, most of them slightly broken. As far
 * as both read on, they must see the same requests with the same bodies. Where
 * only one of them goes on, the reason of the other must be in a list below. A
 * disagreement in no list is a bug in one of the parsers, or a new entry.
 *
 *     FUZZ_RUNS=1000000 FUZZ_SEED=42 node --test <this file>
 */
import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Headers } from '../../../../../src/worker/http/headers.ts';
import { requestStreams } from './broken-messages.ts';
import {
  BLANK_AFTER_CODING,
  bodiesLlhttpRefuses,
  codingsWeRefuse,
  type LlhttpReason,
  type OurReason,
} from './known-disagreements.ts';
import { readAsNode, type Reading, type SeenRequest } from './nodes-parser.ts';
import { readAsWe, type OurReading } from './our-reading.ts';

/** What we refuse and llhttp does not, by our message. */
const weAreStricter: readonly OurReason[] = [
  { says: /^expected a method, got byte 0x0[ad]/, because: 'it skips any number of line ends' },
  { says: /^expected a target after one space, got byte 0x20/, because: 'it skips spaces' },
  { says: /^expected one space after the target, got byte 0x0[ad]/, because: 'it takes HTTP/0.9' },
  { says: /^expected one space after the target, got byte 0x23/, because: 'it takes fragments' },
  { says: /^expected one space after the target, got byte 0x5c/, because: 'it takes backslashes' },
  { says: /^expected "HTTP\/1.1" and CRLF .* got byte 0x20/, because: 'it skips spaces' },
  { says: /^expected HTTP\/1.0 or HTTP\/1.1, got HTTP\/(0.9|2.0)/, because: 'it takes both' },
  { says: /^expected a path/, because: 'it leaves the form of the target to the application' },
  {
    says: /^expected (a|one) Host field|^expected Host to/,
    because: 'it leaves Host to the application',
  },
  { says: /^expected Expect to be/, because: 'it leaves Expect to the application' },
  ...codingsWeRefuse,
];

/** What llhttp refuses and we do not, by its code; `is` looks at the request that only we accepted. */
const llhttpIsStricter: readonly LlhttpReason<SeenRequest>[] = [
  {
    code: 'HPE_INVALID_METHOD',
    is: ({ method }) => !METHODS.includes(method),
    because: 'it knows a fixed list of methods; RFC 9110 §9.1 has none',
  },
  {
    code: 'HPE_INVALID_TRANSFER_ENCODING',
    is: (_request, wire) => BLANK_AFTER_CODING.test(wire),
    because: 'it takes no blank after the coding, which RFC 9110 §5.5 allows',
  },
  ...bodiesLlhttpRefuses,
];

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 20_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

test('what we see in a stream of requests is what Node sees, or the reason is known', (t) => {
  t.diagnostic(`FUZZ_SEED=${SEED}, ${RUNS} runs`);
  let agreed = 0;
  fc.assert(
    fc.property(requestStreams(), fc.array(fc.nat(), { maxLength: 3 }), (wire, cuts) => {
      const ours = readAsWe(wire, cuts);
      const nodes = readAsNode(wire);
      assert.deepEqual(disagreement(wire, ours, nodes), undefined);
      agreed += ours.requests.length;
    }),
    { seed: SEED, numRuns: RUNS },
  );
  // Else the generator would have become so wild that nothing is compared any more.
  assert.ok(agreed > RUNS / 2, `only ${agreed} requests were accepted by both`);
});

function disagreement(wire: string, ours: OurReading, nodes: Reading): object | undefined {
  const common = Math.min(ours.requests.length, nodes.requests.length);
  for (let at = 0; at < common; at++) {
    const [our, their] = [ours.requests[at]!, comparable(nodes.requests[at]!)];
    if (JSON.stringify(our) !== JSON.stringify(their)) return { our, their };
  }
  if (nodes.requests.length > common) {
    const known = weAreStricter.some(({ says }) => says.test(ours.refused ?? ''));
    return known ? undefined : { weStopped: ours.refused ?? ours.end, nodeReadOn: nodes };
  }
  if (ours.requests.length > common) {
    const next = ours.requests[common]!;
    const known = llhttpIsStricter.some(({ code, is }) => code === nodes.refused && is(next, wire));
    return known ? undefined : { nodeStopped: nodes.refused, weReadOn: ours };
  }
  return undefined;
}

/** What we make of a head, and llhttp leaves to the application. */
function comparable(seen: SeenRequest): SeenRequest {
  const resolved = inOriginForm(seen);
  return { ...resolved, fields: tidied(resolved) };
}

/** A length without zeros in front, behind the other fields; no Expect in HTTP/1.0. */
function tidied({ fields, version }: SeenRequest): string[] {
  const headers = new Headers([...fields]);
  const length = headers.get('content-length');
  if (length !== undefined && /^0\d/.test(length)) {
    headers.set('Content-Length', String(Number(length)));
  }
  if (version === '1.0') headers.delete('expect');
  return [...headers].flat();
}

/** We resolve the absolute form and what follows from it. */
function inOriginForm(seen: SeenRequest): SeenRequest {
  const [, authority, rest = ''] = /^https?:\/\/([^/?]*)(.*)$/i.exec(seen.target) ?? [];
  if (authority === undefined) return seen;
  const whole = seen.method === 'OPTIONS' && rest === '';
  const target = whole ? '*' : rest.startsWith('/') ? rest : `/${rest}`;
  const hasHost = seen.fields.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'host');
  return { ...seen, target, fields: hasHost ? seen.fields : [...seen.fields, 'Host', authority] };
}
