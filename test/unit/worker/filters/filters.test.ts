import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rateLimit as rateLimitSchema } from '../../../../src/shared/config/schema/rate-limit.ts';
import type { RateLimitSettings } from '../../../../src/shared/config/settings.ts';
import { createSegment } from '../../../../src/shared/memory/segment.ts';
import { machineTime } from '../../../../src/shared/time/time.ts';
import { apiKey } from '../../../../src/worker/filters/api-key.ts';
import { filterOrder, inOrder, type Filter } from '../../../../src/worker/filters/filter.ts';
import { requestHeaders, responseHeaders } from '../../../../src/worker/filters/header-edits.ts';
import { limitKey } from '../../../../src/worker/filters/limit-key.ts';
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

  test('spends nothing where one of several limits refuses, and names the one that does', () => {
    const [wide, narrow] = [newLimiter(5), newLimiter(2)];
    const keyOf = () => 'k';
    const filter = rateLimit([
      { limiter: wide, keyOf, toldAs: 'wide' },
      { limiter: narrow, keyOf, toldAs: 'narrow', status: 503, body: 'come back later' },
    ]);

    const answers = Array.from({ length: 4 }, () => filter.requestFilter!(newSession()) as Answer);

    assert.deepEqual(
      answers.map((answer) => answer?.status),
      [undefined, undefined, 503, 503],
    );
    assert.equal((answers[3]!.body as Buffer).toString(), 'come back later');
    assert.equal(answers[3]!.headers.get('retry-after'), '1');
    assert.equal(wide.check('k', 0).remaining, 3);
    assert.equal(
      answers[3]!.headers.get('ratelimit'),
      // In the moment of the refusal the first one was charged.
      '"wide";r=2;t=1, "narrow";r=0;t=1',
    );
  });

  test('that is on trial lets pass what it counts as refused', () => {
    const limiter = newLimiter(1);
    const filter = rateLimit([{ limiter, keyOf: () => 'k', isDryRun: true, toldAs: 'trial' }]);
    logged.length = 0;

    for (let time = 0; time < 3; time++)
      assert.equal(filter.requestFilter!(newSession()), undefined);

    assert.equal(limiter.check('k', 0).remaining, 0);
    assert.deepEqual(logged, [
      [{ limit: limiter.name, key: 'k' }, 'a limit on trial would refuse requests'],
    ]);
    assert.equal(filter.responseFilter, undefined);
  });

  test('tells a client how it stands, in the words of the IETF draft', async () => {
    const limiter = newLimiter(20);
    const filter = rateLimit([{ limiter, keyOf: () => 'k', toldAs: 'default' }]);
    const session = newSession();
    void filter.requestFilter!(session);
    const headers = Headers.from({ RateLimit: '"peer";r=1' });

    await filter.responseFilter!(session, { status: 200, reason: '', version: '1.1', headers });

    assert.deepEqual(
      [...headers].map((field) => field.join(': ')),
      ['RateLimit-Policy: "default";q=20;w=2', 'RateLimit: "default";r=19;t=1'],
    );
  });

  test('logs a refusal once per key and second, and the keys of headers as a hash', () => {
    const limiter = newLimiter(1);
    const settings = limitSettings({ key: 'header:authorization' });
    const filter = rateLimit([{ limiter, keyOf: limitKey(settings) }]);
    logged.length = 0;
    const secret = { authorization: 'Bearer s3cret' };

    for (let time = 0; time < 50; time++) void filter.requestFilter!(newSession(secret));

    // The second may turn once meanwhile.
    assert.ok(logged.length === 1 || logged.length === 2, `${logged.length} lines`);
    assert.match(JSON.stringify(logged[0]), /"key":"[0-9a-f]{12}"/);
    assert.doesNotMatch(JSON.stringify(logged), /s3cret/);
  });

  function limitFilter(rate: string) {
    const limiter = newLimiter(1, rate);
    counted.length = 0;
    return { filter: rateLimit([{ limiter, keyOf: ({ client }) => client.address }]), counted };
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

let limiters = 0;

/** With a clock that stands still. */
function newLimiter(burst: number, rate = '10/s'): RateLimiter {
  limiters += 1;
  const limiter = new RateLimiter({ name: `limit ${limiters}`, rate, burst, maxKeys: 1_024 });
  limiter.bind(createSegment(limiter.spec, undefined), () => 1e12);
  return limiter;
}

function limitSettings(given: object): RateLimitSettings {
  return rateLimitSchema.parse({ rate: '1/s', ...given });
}

const counted: string[] = [];
const logged: unknown[][] = [];

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
    log: { child: () => ({ info: (...line: unknown[]) => logged.push(line) }) } as never,
    time: machineTime,
    clientRules: { trusts: undefined, field: 'x-forwarded-for' },
    subrequests: {} as never,
  });
}
