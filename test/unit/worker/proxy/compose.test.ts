import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Answer } from '../../../../src/worker/proxy/answer.ts';
import { compose, withFilters, type FilterPhases } from '../../../../src/worker/proxy/compose.ts';
import type { Filter } from '../../../../src/worker/proxy/filter.ts';
import type { ProxyHttp } from '../../../../src/worker/proxy/proxy-http.ts';

const session = {} as never;
const head = {} as never;

/** The same filter as a plain function and as one that waits. */
const kinds = [
  { kind: 'plain', give: <T>(value: T) => value },
  { kind: 'asynchronous', give: <T>(value: T) => Promise.resolve(value) },
];

describe('filters that are put together', () => {
  for (const { kind, give } of kinds) {
    test(`stop at the first answer: ${kind}`, async () => {
      const answer = new Answer({ status: 403 });
      const ran: number[] = [];
      const filters = [undefined, answer, undefined].map((outcome, at): Filter => ({
        name: String(at),
        requestFilter() {
          ran.push(at);
          return give(outcome);
        },
      }));

      assert.equal(await compose(filters).requestFilter!(session), answer);
      assert.deepEqual(ran, [0, 1]);
    });

    test(`see a request in the order of the list and a response in reverse: ${kind}`, async () => {
      const seen: string[] = [];
      const filters = ['a', 'b', 'c'].map((name): Filter => ({
        name,
        upstreamRequestFilter: () => give(void seen.push(`request ${name}`)),
        responseFilter: () => give(void seen.push(`response ${name}`)),
      }));
      const all = compose(filters);

      await all.upstreamRequestFilter!(session, head);
      await all.responseFilter!(session, head);

      assert.equal(
        seen.join(', '),
        'request a, request b, request c, response c, response b, response a',
      );
    });

    test(`hand a body from one to the next: ${kind}`, async () => {
      const add = (name: string): Filter => ({
        name,
        responseBodyFilter: (_session, piece, endOfBody) =>
          give(endOfBody ? undefined : `${piece.toString()}${name}`),
      });
      const drop: Filter = { name: 'drop', responseBodyFilter: () => give('') };

      const added = compose([add('a'), add('b')]).responseBodyFilter!;
      assert.equal(String(await added(session, Buffer.from('x'), false)), 'xba');
      assert.equal(String(await added(session, Buffer.alloc(0), true)), '');

      const dropped = compose([add('a'), drop]).responseBodyFilter!;
      assert.equal(String(await dropped(session, Buffer.from('x'), false)), '');
    });
  }

  /** As a request passes them, and as a response does. */
  const directions: Readonly<Record<'down' | 'up', readonly (keyof FilterPhases)[]>> = {
    down: [
      'connectionFilter',
      'earlyRequestFilter',
      'requestFilter',
      'proxyUpstreamFilter',
      'failToConnect',
      'connectedToUpstream',
      'upstreamRequestFilter',
      'requestBodyFilter',
      'errorWhileProxy',
    ],
    up: [
      'upstreamResponseFilter',
      'responseFilter',
      'upstreamResponseBodyFilter',
      'upstreamResponseTrailerFilter',
      'responseBodyFilter',
      'responseTrailerFilter',
      'failToProxy',
      'suppressErrorLog',
      'requestSummary',
      'logging',
    ],
  };
  for (const [direction, phases] of Object.entries(directions)) {
    for (const phase of phases) {
      test(`run ${phase} ${direction} the list`, () => {
        const seen: string[] = [];
        const filters = ['a', 'b', 'c'].map((name): Filter => ({
          name,
          [phase]: () => void seen.push(name),
        }));
        const run = compose(filters)[phase] as (...given: unknown[]) => unknown;

        run(session, Buffer.from('x'), false);

        assert.equal(seen.join(''), direction === 'down' ? 'abc' : 'cba');
      });
    }
  }

  test('are put together once: nothing is looked up again for a request', () => {
    let lookedUp = 0;
    const filter: Filter = {
      name: 'a',
      get requestFilter() {
        lookedUp += 1;
        return () => undefined;
      },
    };
    const list = [filter, filter];
    const proxy = withFilters(list, {
      upstreamPeer() {
        throw new Error('not asked');
      },
    });
    const before = lookedUp;
    list.push(filter);

    for (let n = 0; n < 3; n++) assert.equal(proxy.requestFilter!(session), undefined);

    assert.equal(lookedUp, before);
  });

  test('that wait for nothing give no promise', () => {
    const filter: Filter = { name: 'a', requestFilter() {}, responseFilter() {} };
    const both = compose([filter, filter]);

    assert.equal(both.requestFilter!(session), undefined);
    assert.equal(both.responseFilter!(session, head), undefined);
  });

  test('have no phase that none of them has', () => {
    assert.deepEqual(Object.keys(compose([{ name: 'a' }, { name: 'b' }])), []);
  });

  test('ask the next one only when the one before has nothing to say about the log', () => {
    const loud: Filter = { name: 'loud', suppressErrorLog: () => false };
    const quiet: Filter = { name: 'quiet', suppressErrorLog: () => true };

    assert.equal(compose([quiet, loud]).suppressErrorLog!(session, {} as never), true);
    assert.equal(compose([loud, quiet]).suppressErrorLog!(session, {} as never), true);
    assert.equal(compose([loud, loud]).suppressErrorLog!(session, {} as never), undefined);
  });
});

describe('a proxy with filters', () => {
  /** An instance: its phases are not its own properties, and they use `this`. */
  class Program {
    readonly answer = new Answer({ status: 204 });

    newCtx() {
      return { from: this.answer.status };
    }
    requestFilter() {
      return this.answer;
    }
    upstreamPeer(): never {
      throw new Error(`asked for a peer, status ${this.answer.status}`);
    }
  }

  test('runs the filters before its own phases, and keeps what only it can say', () => {
    const program = new Program();
    const seen: string[] = [];
    const filter: Filter = { name: 'a', requestFilter: () => void seen.push('filter') };
    const proxy: ProxyHttp<{ from: number }> = withFilters<{ from: number }>([filter], program);

    assert.equal(proxy.requestFilter!(session), program.answer);
    assert.deepEqual(seen, ['filter']);
    assert.deepEqual(proxy.newCtx(), { from: 204 });
    assert.throws(() => proxy.upstreamPeer(session), /status 204/);
    assert.equal(proxy.responseFilterFor, undefined);
  });

  test('keeps its options', () => {
    const proxy = withFilters([], {
      responseFilterFor: 'all-answers',
      upstreamPeer() {
        throw new Error('not asked');
      },
    });

    assert.equal(proxy.responseFilterFor, 'all-answers');
  });
});
