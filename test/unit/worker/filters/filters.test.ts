import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { machineTime } from '../../../../src/shared/time/time.ts';
import { apiKey } from '../../../../src/worker/filters/api-key.ts';
import { filterOrder, inOrder, type Filter } from '../../../../src/worker/filters/filter.ts';
import { requestHeaders, responseHeaders } from '../../../../src/worker/filters/header-edits.ts';
import { rateLimit } from '../../../../src/worker/filters/rate-limit.ts';
import type { ParentRequest } from '../../../../src/worker/http/exchange.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import type { RequestHead, ResponseHead } from '../../../../src/worker/http/message.ts';
import { RateLimiter } from '../../../../src/worker/limits/rate-limiter.ts';
import type { Answer } from '../../../../src/worker/proxy/answer.ts';
import { Session } from '../../../../src/worker/proxy/session.ts';

describe('the rate limit', () => {
  const waits = [
    { name: 'a rate of 10/s, rounded up to a second', rate: '10/s', retryAfter: '1' },
    { name: 'a rate of 1/s', rate: '1/s', retryAfter: '1' },
    { name: 'a rate of 7/m, rounded up', rate: '7/m', retryAfter: '9' },
    { name: 'a rate of 1/h', rate: '1/h', retryAfter: '3600' },
  ];
  for (const { name, rate, retryAfter } of waits) {
    test(`tells a refused client when to come back: ${name}`, () => {
      const { filter, counted } = limitFilter(rate);
      const session = newSession();

      assert.equal(filter.requestFilter!(session), undefined);
      const answer = filter.requestFilter!(session) as Answer;

      assert.equal(answer.status, 429);
      assert.equal(answer.headers.get('retry-after'), retryAfter);
      assert.deepEqual(counted, ['allowed', 'refused']);
    });
  }

  test('does not count what a phase asks for a request that was counted', () => {
    const { filter, counted } = limitFilter('2/s');

    for (let n = 0; n < 3; n++) assert.equal(filter.requestFilter!(newSubrequest()), undefined);

    assert.deepEqual(counted, []);
  });

  function limitFilter(rate: string) {
    const limiter = new RateLimiter({ name: rate, rate, burst: 1, maxKeys: 1_024 });
    limiter.bind(createSegment(limiter.spec, undefined), () => 1e12);
    counted.length = 0;
    return { filter: rateLimit({ limiter, keyOf: ({ client }) => client.address }), counted };
  }
});

describe('the API key', () => {
  const filter = apiKey({ header: 'x-api-key', keys: ['secret123', 'other'] });

  for (const key of ['secret123', 'other']) {
    test(`lets ${key} in`, () => {
      assert.equal(filter.requestFilter!(newSession({ 'X-API-Key': key })), undefined);
    });
  }

  test('is not asked of what a phase asks for a request that has shown it', () => {
    assert.equal(filter.requestFilter!(newSubrequest()), undefined);
  });

  for (const headers of [
    {},
    { 'x-api-key': '' },
    { 'x-api-key': 'secret12' },
    { 'x-api-key': 'SECRET123' },
  ]) {
    test(`refuses ${JSON.stringify(headers)} with a 401 that says what is wanted`, () => {
      const answer = filter.requestFilter!(newSession(headers)) as Answer;

      assert.equal(answer.status, 401);
      assert.equal(answer.headers.get('www-authenticate'), 'ApiKey header="x-api-key"');
    });
  }
});

describe('twins of a name that a route judges or edits', () => {
  const sent = () =>
    Headers.from({
      'X-Api-Key': 'secret123',
      X_Api_Key: 'forged',
      'x-api_key': 'forged',
      X_User: 'forged',
      'X-Trace_Id': 'forged',
      X_Internal: 'forged',
      X_Other: 'kept',
    });
  const passedOn = async (filter: Filter) => {
    const request: RequestHead = { ...newSession().request, headers: sent() };
    await filter.upstreamRequestFilter!(newSession(), request);
    return [...request.headers].flat().join(' ');
  };

  test('do not reach the peer beside the API key', async () => {
    const filter = apiKey({ header: 'x-api-key', keys: ['secret123'] });

    assert.equal(
      await passedOn(filter),
      'X-Api-Key secret123 X_User forged X-Trace_Id forged X_Internal forged X_Other kept',
    );
  });

  test('do not reach the peer in place of a field that is set, added or removed', async () => {
    const filter = requestHeaders({
      set: { 'X-User': 'real' },
      add: { 'x-trace-id': 'real' },
      remove: ['X-Internal', 'X-Api-Key'],
    });

    assert.equal(await passedOn(filter), 'X_Other kept X-User real x-trace-id real');
  });

  test('are the names with a dash if the name has an underscore', async () => {
    const filter = requestHeaders({ set: { x_api_key: 'real' } });

    assert.equal(
      await passedOn(filter),
      'X_User forged X-Trace_Id forged X_Internal forged X_Other kept x_api_key real',
    );
  });
});

describe('header edits', () => {
  const edits = {
    set: { server: 'Gateway', 'x-new': '1' },
    add: { 'set-cookie': 'b=2', removed: 'again' },
    remove: ['X-Powered-By', 'removed'],
  };
  const given = () =>
    new Headers([
      'Server',
      'peer',
      'server',
      'twice',
      'X-Powered-By',
      'x',
      'set-cookie',
      'a=1',
      'removed',
      'x',
    ]);
  const expected = [
    ['set-cookie', 'a=1'],
    ['server', 'Gateway'],
    ['x-new', '1'],
    ['set-cookie', 'b=2'],
    ['removed', 'again'],
  ];

  test('of a request remove, set and add, in this order', async () => {
    const request: RequestHead = { ...newSession().request, headers: given() };
    await requestHeaders(edits).upstreamRequestFilter!(newSession(), request);

    assert.deepEqual([...request.headers], expected);
  });

  test('of a response do the same', async () => {
    const response: ResponseHead = { status: 200, reason: '', version: '1.1', headers: given() };
    await responseHeaders(edits).responseFilter!(newSession(), response);

    assert.deepEqual([...response.headers], expected);
  });
});

describe('the filters of a route', () => {
  test('run in their fixed order, in whichever order they were given', () => {
    const filters: Filter[] = filterOrder.toReversed().map((name) => ({ name }));

    assert.deepEqual(
      inOrder(filters).map(({ name }) => name),
      [...filterOrder],
    );
  });

  test('put limits before authentication, so that guessing keys is limited', () => {
    assert.ok(filterOrder.indexOf('rate-limit-address') < filterOrder.indexOf('api-key'));
  });
});

const counted: string[] = [];

/** As much of a session as a filter looks at. */
function newSubrequest(): Session {
  return newSession({}, { requestId: 'r-1', depth: 1, value: undefined });
}

function newSession(
  headers: Readonly<Record<string, string>> = {},
  parent?: ParentRequest,
): Session {
  const request = {
    method: 'GET',
    target: '/',
    version: '1.1',
    authority: 'a',
    headers: Headers.from(headers),
  };
  const client = { address: '192.0.2.1', port: 1 };
  const exchange = { request, client, scheme: 'http', parent };
  const figures = {
    limitAllowed: () => void counted.push('allowed'),
    limitRefused: () => void counted.push('refused'),
  };
  return new Session(exchange as never, {
    service: 'edge',
    figures: figures as never,
    log: {} as never,
    time: machineTime,
    trusts: undefined,
    subrequests: {} as never,
  });
}
