import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  backgroundService,
  HttpPeer,
  httpProxyService,
  httpService,
  LoadBalancer,
  metrics,
  prometheusService,
  RateLimiter,
  Server,
  tcpService,
  TcpHealthCheck,
  type ProxyHttp,
} from 'sluice';

const proxy: ProxyHttp = { upstreamPeer: () => new HttpPeer('127.0.0.1:1') };

/** As a program writes them whose types do not hold. */
const given = (options: object) => options as never;

const cases: { name: string; call: () => unknown; says: RegExp }[] = [
  {
    name: 'a proxy service',
    call: () => httpProxyService(proxy, given({ phaseTimeout: 1 })),
    says: /^httpProxyService: unknown option "phaseTimeout"; did you mean "phaseTimeoutMs"\?$/,
  },
  {
    name: 'its retries',
    call: () => httpProxyService(proxy, { retry: given({ status: [503] }) }),
    says: /^httpProxyService: retry: unknown option "status"; did you mean "statuses"\?$/,
  },
  {
    name: 'its waits',
    call: () => httpProxyService(proxy, { requestTimeoutMs: 0 }),
    says: /^httpProxyService: requestTimeoutMs: expected a number of milliseconds above 0, got 0$/,
  },
  {
    name: 'its phases',
    call: () => httpProxyService(given({})),
    says: /expected a proxy with the phase upstreamPeer/,
  },
  {
    name: 'a plain HTTP service',
    call: () => httpService(() => {}, given({ nam: 'a' })),
    says: /^httpService: unknown option "nam"; did you mean "name"\?$/,
  },
  {
    name: 'a background service',
    call: () => backgroundService('a', () => {}, given({ timeout: 1 })),
    says: /^backgroundService: unknown option "timeout"; there is readyTimeoutMs$/,
  },
  {
    name: 'a Prometheus service',
    call: () => prometheusService('127.0.0.1:0', given({ path: '/' })),
    says: /^prometheusService: unknown option "path"; there is name$/,
  },
  {
    name: 'a TCP service',
    call: () => tcpService(() => {}, given({ maxConnection: 1 })),
    says: /^tcpService: unknown option "maxConnection"; did you mean "maxConnections"\?$/,
  },
  {
    name: 'a TLS listener',
    call: () => httpProxyService(proxy).addTls('127.0.0.1:0', given({ cert: 'a', kye: 'b' })),
    says: /^addTls: unknown option "kye"; there is cert, key$/,
  },
  {
    name: 'a Unix listener',
    call: () => httpProxyService(proxy).addUnix('/tmp/a', given({ moed: 0 })),
    says: /^addUnix: unknown option "moed"; did you mean "mode"\?$/,
  },
  {
    name: 'a server',
    call: () => Server.fromArgs(given({ arg: [] })),
    says: /^Server\.fromArgs: unknown option "arg"; did you mean "args"\?$/,
  },
  {
    name: 'a balancer',
    call: () => new LoadBalancer(['127.0.0.1:1'], given({ name: 'a', healthChek: 1 })),
    says: /^LoadBalancer "a": unknown option "healthChek"; did you mean "healthCheck"\?$/,
  },
  {
    name: 'a health check',
    call: () => new TcpHealthCheck(given({ timeout: 1 })),
    says: /^TcpHealthCheck: unknown option "timeout"; .*timeoutMs/,
  },
  {
    name: 'a limiter',
    call: () => new RateLimiter(given({ name: 'a', rate: '1/s', burts: 1 })),
    says: /^RateLimiter "a": unknown option "burts"; did you mean "burst"\?$/,
  },
  {
    name: 'a peer',
    call: () => new HttpPeer('127.0.0.1:1', given({ conectTimeoutMs: 1 })),
    says: /unknown option "conectTimeoutMs"; did you mean "connectTimeoutMs"\?/,
  },
  {
    name: 'a metric',
    call: () => metrics.gauge(given({ name: 'a', hlep: 'b' })),
    says: /^metrics\.gauge: unknown option "hlep"; did you mean "help"\?$/,
  },
];

describe('an option that there is not', () => {
  for (const { name, call, says } of cases) {
    test(`is refused: ${name}`, () => {
      assert.throws(call, { name: 'TypeError', message: says });
    });
  }
});
